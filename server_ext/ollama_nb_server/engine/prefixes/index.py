"""Which token lists begin like another one, and for how long: a radix tree.

An edge holds the tokens that all lists below it share. What the lists stand for is the affair of
whoever adds them (`kv_cache`: what has been computed, and where it lies).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Generic, TypeVar

Owner = TypeVar("Owner", bound=Hashable)


class _Node(Generic[Owner]):
    """A place in the tree: the tokens that lead to it from its parent, and whose lists end here."""

    __slots__ = ("children", "edge", "owners", "parent")

    def __init__(self, edge: Sequence[int], parent: _Node[Owner] | None) -> None:
        self.edge, self.parent = edge, parent
        self.children: dict[int, _Node[Owner]] = {}
        self.owners: list[Owner] = []

    def below(self, without: _Node[Owner] | None = None) -> Iterator[Owner]:
        """Everybody whose list ends here or further down, but not in one of the branches."""
        nodes = [self]
        while nodes:
            node = nodes.pop()
            yield from node.owners
            nodes += [child for child in node.children.values() if child is not without]


class RadixIndex(Generic[Owner]):
    """Token lists, each with its owner."""

    def __init__(self) -> None:
        self._root: _Node[Owner] = _Node((), None)
        self._places: dict[Owner, _Node[Owner]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def add(self, owner: Owner, tokens: Sequence[int]) -> None:
        """Take a list in; its owner must not have one yet."""
        assert owner not in self._places
        *_, (node, shared, depth) = self._path(tokens)
        if shared < len(node.edge):
            node = _split(node, shared)
        if depth < len(tokens):
            leaf = node.children[tokens[depth]] = _Node(tokens[depth:], node)
            node = leaf
        node.owners.append(owner)
        self._places[owner] = node

    def remove(self, owner: Owner) -> None:
        """Let go of an owner's list."""
        node: _Node[Owner] | None = self._places.pop(owner)
        assert node is not None
        node.owners.remove(owner)
        while node is not None and node.parent is not None and not node.owners:
            parent = node.parent
            if len(node.children) > 1:
                return
            if node.children:
                _merge(node)
                return
            del parent.children[node.edge[0]]
            node = parent

    def matches(self, tokens: Sequence[int]) -> Iterator[tuple[int, Owner]]:
        """How many tokens each list shares with the beginning of these, the longest first."""
        passed: _Node[Owner] | None = None
        for node, _, depth in reversed(list(self._path(tokens))):
            for owner in node.below(without=passed):
                yield depth, owner
            passed = node

    def _path(self, tokens: Sequence[int]) -> Iterator[tuple[_Node[Owner], int, int]]:
        """The nodes down to where a list leaves the tree: each, how much of its edge, how deep."""
        node, depth = self._root, 0
        yield node, 0, 0
        while depth < len(tokens) and (child := node.children.get(tokens[depth])) is not None:
            shared = num_shared(child.edge, tokens[depth : depth + len(child.edge)])
            node, depth = child, depth + shared
            yield node, shared, depth
            if shared < len(node.edge):
                return


def num_shared(one: Sequence[object], other: Sequence[object]) -> int:
    """How many tokens, or letters, two lists have in common from their beginning."""
    if one == other:
        return len(one)
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _split(node: _Node[Owner], at: int) -> _Node[Owner]:
    """Put a new node into an edge; it becomes the parent of the old one."""
    assert node.parent is not None
    upper: _Node[Owner] = _Node(node.edge[:at], node.parent)
    node.parent.children[node.edge[0]] = upper
    node.edge, node.parent = node.edge[at:], upper
    upper.children[node.edge[0]] = node
    return upper


def _merge(node: _Node[Owner]) -> None:
    """Take out a node where nothing ends and nothing branches."""
    (child,) = node.children.values()
    assert node.parent is not None
    child.edge, child.parent = [*node.edge, *child.edge], node.parent
    node.parent.children[node.edge[0]] = child
