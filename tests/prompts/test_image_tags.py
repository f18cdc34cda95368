from __future__ import annotations

import pytest
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.image_tags import with_image_tags


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
    tagged = with_image_tags([Turn("user", text, num_images=n) for text, n in turns])

    assert [turn.content for turn in tagged] == expected
    assert [turn.num_images for turn in tagged] == [n for _, n in turns]
