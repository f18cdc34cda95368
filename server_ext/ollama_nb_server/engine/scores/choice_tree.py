"""Texts that may stand behind a prompt, as a tree of tokens: equal beginnings are one path.

A function of token ids: no native calls. Who computes its nodes, and when, is `scoring`'s affair.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

ROOT = 0  # the prompt


class ChoiceTree:
    """Nodes are tokens, the root is the prompt; `ends` are each choice's nodes, in order.

    A node's row of logits tells how likely each of its children is. Only `inner` nodes have
    children; they are in the order in which the tree is walked, so that going from one to the next
    forgets as little as possible.
    """

    def __init__(self, choices: Iterable[Sequence[int]]) -> None:
        self.tokens, self.parents, self.depths = [-1], [-1], [0]
        self.children: list[list[int]] = [[]]
        self.ends = [self._path(choice) for choice in choices]
        self.inner = [node for node in self._walk() if self.children[node]]

    def __len__(self) -> int:
        return len(self.tokens)

    def _path(self, choice: Sequence[int]) -> list[int]:
        """The nodes of a choice; those that are not there are made."""
        path, node = list[int](), ROOT
        for token in choice:
            node = self._child(node, token)
            path.append(node)
        return path

    def _child(self, node: int, token: int) -> int:
        for child in self.children[node]:
            if self.tokens[child] == token:
                return child
        self.children[node].append(len(self))
        self.children.append([])
        self.parents.append(node)
        self.depths.append(self.depths[node] + 1)
        self.tokens.append(token)
        return len(self) - 1

    def _walk(self) -> Iterator[int]:
        """All nodes but the root, each right behind its parent or behind the parent's others."""
        waiting = self.children[ROOT][::-1]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += self.children[node][::-1]

    def run(self, at: int, most: int) -> list[int]:
        """The inner nodes from place `at` on of which each is the child of the one before."""
        run = self.inner[at : at + 1]
        for node in self.inner[at + 1 : at + most]:
            if self.parents[node] != run[-1]:
                break
            run.append(node)
        return run
