from __future__ import annotations

import pytest
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.image_tags import (
    revealed,
    split_at_tags,
    with_image_tags,
    with_tags_behind,
    without_literal_tags,
)


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([("x", 0)], ["x"]),
        ([("x", 1)], ["[img-0]x"]),
        ([("x", 2), ("y", 1)], ["[img-0][img-1]x", "[img-2]y"]),
        ([("a [img] b [img]", 2)], ["a [img-0] b [img-1]"]),
        ([("a [img]", 2)], ["[img-1]a [img-0]"]),
        ([("a [img] b [img]", 1)], ["a [img-0] b [img]"]),
        ([("", 1), ("", 0), ("", 1)], ["[img-0]", "", "[img-1]"]),
    ],
)
def test_every_image_gets_its_place(turns: list[tuple[str, int]], expected: list[str]) -> None:
    tagged = with_image_tags([Turn("user", text, images=(b"",) * n) for text, n in turns])

    assert [turn.content for turn in tagged] == expected
    assert [turn.num_images for turn in tagged] == [n for _, n in turns]


def test_text_that_looks_like_a_tag_is_no_tag() -> None:
    text = "See [img-0] and [img-1]."
    turns = [Turn("system", text), Turn("user", text, images=(b"",) * 2)]

    rendered = "|".join(turn.content for turn in with_image_tags(without_literal_tags(turns)))
    pieces = split_at_tags(rendered, {0, 1})

    assert [p if isinstance(p, int) else revealed(p) for p in pieces] == [f"{text}|", 0, 1, text]


def test_a_number_without_an_image_and_a_second_one_are_text() -> None:
    missing = {0, 1, 2}

    assert split_at_tags("[img-2][img-2][img-9]a[img-00]", missing) == [2, "[img-2][img-9]a", 0]
    assert missing == {1}


def test_llama_cpp_puts_images_behind_a_text() -> None:
    turns = [Turn("user", "a [img]", images=(b"",)), Turn("user", "b", images=(b"",) * 2)]

    assert [turn.content for turn in with_tags_behind(turns)] == [
        "a [img][img-0]",
        "b[img-1][img-2]",
    ]
