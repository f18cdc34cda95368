"""Choices as a tree of tokens: every node once, parents before their children."""

from hypothesis import given
from hypothesis import strategies as st
from ollama_nb_server.engine.scores.choice_tree import ROOT, ChoiceTree

CHOICES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=12)


def spelled(tree: ChoiceTree, path: list[int]) -> list[int]:
    return [tree.tokens[node] for node in path]


@given(CHOICES)
def test_every_choice_is_a_path_from_the_prompt(choices):
    tree = ChoiceTree(choices)

    assert [spelled(tree, path) for path in tree.ends] == choices
    for path in tree.ends:
        assert [tree.parents[node] for node in path] == [ROOT, *path[:-1]]
        assert [tree.depths[node] for node in path] == list(range(1, len(path) + 1))


@given(CHOICES)
def test_equal_beginnings_are_one_path(choices):
    beginnings = {tuple(choice[:n]) for choice in choices for n in range(1, len(choice) + 1)}

    assert len(ChoiceTree(choices)) == 1 + len(beginnings)


@given(CHOICES, st.integers(1, 3))
def test_walking_in_runs_computes_every_inner_node_once_behind_its_parent(choices, most):
    tree, path, computed, at = ChoiceTree(choices), [ROOT], [], 0
    while at < len(tree.inner):
        run = tree.run(at, most)
        assert 0 < len(run) <= most
        path = path[: tree.depths[run[0]]]
        for node in run:
            assert path[-1] == tree.parents[node]
            path.append(node)
        computed += run
        at += len(run)

    assert sorted(computed) == [n for n in range(1, len(tree)) if tree.children[n]]
