"""Where a message's images stand in the text of a template (reference/ollama-models.md 6.4).

Only places are marked here; which image belongs to a number is known to whoever holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ollama_nb_server.prompts.conversation import Turn

PLACE = "[img]"


def with_image_tags(turns: Sequence[Turn]) -> list[Turn]:
    """The turns with an `[img-N]` for every image, N counting from 0 over all of them.

    A literal `[img]` in a message is where its next image goes; without one it goes in front.

    Examples
    --------
    >>> turns = [Turn("user", "left [img]", num_images=2), Turn("user", "this?", num_images=1)]
    >>> [turn.content for turn in with_image_tags(turns)]
    ['[img-1]left [img-0]', '[img-2]this?']
    """
    tagged, first = [], 0
    for turn in turns:
        content = tagged_content(turn.content, range(first, first + turn.num_images))
        tagged.append(replace(turn, content=content))
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
