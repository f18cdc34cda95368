"""Where the texts of special tokens stand in other texts, and which of them count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_nb_server.prompts.reserved import (
    ReservedTexts,
    TextFinder,
    reserved_from_assistant,
)

LETTERS = st.text("<|a>", max_size=12)


@given(st.lists(st.text("<|a>", min_size=1, max_size=4), max_size=6), LETTERS)
def test_every_place_is_found_with_the_longest_text_there(texts: list[str], text: str) -> None:
    longest = {
        at: max((len(t) for t in texts if text.startswith(t, at)), default=0)
        for at in range(len(text))
    }

    found = dict(TextFinder(texts).starts(text))

    assert found == {at: length for at, length in longest.items() if length}


@given(st.lists(st.text("<|a>", min_size=1, max_size=4), max_size=6), LETTERS)
def test_the_ends_that_may_become_one_are_found(texts: list[str], text: str) -> None:
    expected = [
        at
        for at in range(len(text))
        if any(len(t) > len(text) - at and t.startswith(text[at:]) for t in texts)
    ]

    assert TextFinder(texts).begun_at_end(text) == expected


def test_nothing_of_a_vocabulary_s_size_is_read_twice() -> None:
    """Texts that begin alike share their beginning, as in a tree: no list of them is tried."""
    texts = [f"<unused{number}>" for number in range(6_000)]

    pattern = TextFinder(texts)._pattern.pattern

    assert pattern.count("unused") == 1
    assert len(pattern) < sum(map(len, texts))


@pytest.mark.parametrize("length", [100, 101])
def test_texts_of_more_than_a_hundred_letters_are_not_looked_for(length: int) -> None:
    texts = ["<" * n for n in range(1, 100)] + ["a" * length]

    found = dict(TextFinder(texts).starts("a" * 101))

    assert found == ({0: 100, 1: 100} if length == 100 else {})


@pytest.mark.parametrize(
    "tag",
    ["<tool_call>", "</think>", "<|fim_prefix|>", "[INST]", "[/INST]", "\u2581<PRE>", "<unused7>",
     "<\uff5ctool\u2581call\u2581end\uff5c>", "\u3008|EOS|\u3009", "<|\"|>"],
)  # fmt: skip
def test_user_defined_tags_are_reserved(tag: str) -> None:
    assert ReservedTexts((), (tag,)).user_defined.texts == {tag}


@pytest.mark.parametrize(
    "word",
    [
        "\n\n",
        "    ",
        "\u2581\u2581",
        "<table>",
        "</td>",
        "<h1>",
        "#weather",
        "It was",
        "->",
        "[1, 2]",
    ],
)
def test_user_defined_words_are_not(word: str) -> None:
    assert ReservedTexts((), (word,)).all.texts == set()


def test_control_tokens_are_reserved_whatever_they_look_like() -> None:
    texts = ReservedTexts(("<b>", "/nothink", "\n"), ())

    assert texts.all.texts == {"<b>", "/nothink"}
    assert texts.user_defined.texts == set()


def test_an_assistant_may_write_the_tags_of_its_family() -> None:
    texts = ReservedTexts(("<|im_end|>", "[TOOL_CALLS]"), ("<tool_call>",))

    found = reserved_from_assistant(texts, frozenset({"[TOOL_CALLS]"}))

    assert found.texts == {"<|im_end|>"}
