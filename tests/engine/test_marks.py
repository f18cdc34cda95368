from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_nb_server.engine.grammars.marks import MarkScanner


def found(marks: list[bytes], pieces: list[bytes]) -> tuple[bytes, bytes] | None:
    """What is found first, and all that comes behind it."""
    scanner = MarkScanner(marks)
    for number, piece in enumerate(pieces):
        if told := scanner.feed(piece):
            return told[0], told[1] + b"".join(pieces[number + 1 :])
    return None


@given(st.binary(max_size=6), st.lists(st.integers(0, 40), max_size=5))
def test_a_mark_is_found_however_the_text_is_cut(behind, cuts):
    text = b"a < b <tool_ <tool_call" + b"<tool_call>" + behind
    places = [0, *sorted(cuts), len(text)]
    pieces = [text[a:b] for a, b in pairwise(places)]

    assert found([b"<tool_call>", b"</think>"], pieces) == (b"<tool_call>", behind)


@pytest.mark.parametrize(
    ("marks", "text", "told"),
    [
        ([b"<tool_call>", b"<tool"], b"<tool_call>x", (b"<tool", b"_call>x")),
        ([b"call>", b"<call>"], b"<call>x", (b"<call>", b"x")),
        ([b"b", b"a"], b"xab", (b"a", b"b")),
        ([b""], b"xab", None),
        ([], b"xab", None),
    ],
    ids=["the first that is whole", "of two ends the longer", "the first", "nothing", "none"],
)
def test_which_of_several_marks_counts(marks, text, told):
    assert found(marks, [text]) == told
    assert found(marks, [bytes([byte]) for byte in text]) == told


def test_how_much_of_a_mark_has_begun():
    scanner = MarkScanner([b"</think>"])
    scanner.feed(b"a < b </th")

    assert scanner.begun(b"</think>") == 4
    assert scanner.begun(b"<tool") == 0
