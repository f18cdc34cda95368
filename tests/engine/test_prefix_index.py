"""The radix tree finds what comparing all lists would find."""

from hypothesis import given
from hypothesis import strategies as st
from ollama_nb_server.engine.prefixes.index import RadixIndex

LISTS = st.lists(st.integers(0, 2), max_size=7)


def shared(one: list[int], other: list[int]) -> int:
    return max(n for n in range(len(one) + 1) if one[:n] == other[:n])


def nodes(index: RadixIndex) -> int:
    """Places in the tree below its root."""
    found, todo = 0, [index._root]
    while todo:
        children = todo.pop().children.values()
        found, todo = found + len(children), [*todo, *children]
    return found


@given(st.lists(LISTS, max_size=12), st.sets(st.integers(0, 11)), LISTS)
def test_every_list_is_found_with_what_it_shares(lists, removed, wanted):
    index = RadixIndex[int]()
    for owner, tokens in enumerate(lists):
        index.add(owner, tokens)
    for owner in removed & set(range(len(lists))):
        index.remove(owner)

    matches = list(index.matches(wanted))

    left = {owner: tokens for owner, tokens in enumerate(lists) if owner not in removed}
    assert {owner: length for length, owner in matches} == {
        owner: shared(tokens, wanted) for owner, tokens in left.items()
    }
    assert len(matches) == len(left) == len(index)
    assert [length for length, _ in matches] == sorted((n for n, _ in matches), reverse=True)


@given(st.lists(LISTS, max_size=12))
def test_what_is_removed_leaves_nothing_behind(lists):
    index, sizes = RadixIndex[int](), [0]
    for owner, tokens in enumerate(lists):
        index.add(owner, tokens)
        sizes.append(nodes(index))

    for owner in reversed(range(len(lists))):
        assert nodes(index) == sizes.pop()
        index.remove(owner)

    assert nodes(index) == 0
