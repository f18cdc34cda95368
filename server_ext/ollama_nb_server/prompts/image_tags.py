"""Where a message's images stand in the text of a template (reference/ollama-models.md 6.4).

Only places are marked here; which image belongs to a number is known to whoever holds them. What
looks like a tag in a message is made unlike one before a template runs, and like it afterwards.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import replace

from ollama_nb_server.prompts.conversation import Turn

PLACE = "[img]"
OPENING = "[img-"
TAG = re.compile(r"\[img-(\d{1,9})\]")
APART = secrets.token_hex(8)  # nobody can write it: it is another one in every process


def with_image_tags(turns: Sequence[Turn]) -> list[Turn]:
    """The turns with an `[img-N]` for every image, N counting from 0 over all of them.

    A literal `[img]` in a message is where its next image goes; without one it goes in front.

    Examples
    --------
    >>> turns = [Turn("user", "left [img]", images=(b"", b"")), Turn("user", "it?", images=(b"",))]
    >>> [turn.content for turn in with_image_tags(turns)]
    ['[img-1]left [img-0]', '[img-2]it?']
    """
    tagged, first = [], 0
    for turn in turns:
        content = tagged_content(turn.content, range(first, first + turn.num_images))
        tagged.append(replace(turn, content=content))
        first += turn.num_images
    return tagged


def with_tags_behind(turns: Sequence[Turn]) -> list[Turn]:
    """The same as llama.cpp does it: behind a message's text, whatever that says.

    Examples
    --------
    >>> [turn.content for turn in with_tags_behind([Turn("user", "[img]?", images=(b"1", b"2"))])]
    ['[img]?[img-0][img-1]']
    """
    tagged, first = [], 0
    for turn in turns:
        tags = (f"[img-{number}]" for number in range(first, first + turn.num_images))
        tagged.append(replace(turn, content="".join([turn.content, *tags])))
        first += turn.num_images
    return tagged


def tagged_content(content: str, numbers: range) -> str:
    """A message's text with the tags of these images."""
    in_front = ""
    for number in numbers:
        tag = f"[img-{number}]"
        if PLACE in content:
            content = content.replace(PLACE, tag, 1)
        else:
            in_front += tag
    return in_front + content


def disguised(text: str) -> str:
    """A text in which nothing can be taken for a tag."""
    return text.replace(OPENING, f"[img{APART}-")


def revealed(text: str) -> str:
    """The text again that was disguised."""
    return text.replace(APART, "")


def without_literal_tags(turns: Sequence[Turn], *, but_own: bool = False) -> list[Turn]:
    """The turns with their texts disguised.

    With `but_own`, a message that has images may say by tags where they are, as it may to Ollama's
    built-in renderers.
    """
    return [turn if but_own and turn.images else _disguised(turn) for turn in turns]


def _disguised(turn: Turn) -> Turn:
    return replace(turn, content=disguised(turn.content), thinking=disguised(turn.thinking))


def split_at_tags(text: str, numbers: set[int]) -> list[str | int]:
    """A text's pieces, and between them the numbers of the images whose tags were there.

    A number's first tag counts; it is taken out of `numbers`. Other tags are text.

    Examples
    --------
    >>> split_at_tags("[img-1]a[img-0] [img-1][img-7]", {0, 1})
    [1, 'a', 0, ' [img-1][img-7]']
    """
    pieces: list[str | int] = []
    begin = 0
    for tag in TAG.finditer(text):
        number = int(tag[1])
        if number in numbers:
            numbers.remove(number)
            pieces += [text[begin : tag.start()], number]
            begin = tag.end()
    return [piece for piece in (*pieces, text[begin:]) if piece != ""]
