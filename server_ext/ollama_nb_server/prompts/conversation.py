"""A conversation as templates see it: turns, and the rules that put one together.

Sources: reference/ollama-models.md 6.2 (order of messages), 5.3 (collation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. `tool_calls` are in OpenAI's shape, their arguments as objects.

    `thinking` is what an assistant thought before it said `content`, `images` are the files that
    come with the message: Go templates ask for both, Jinja templates never see them here.
    """

    role: str
    content: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""
    thinking: str = ""
    images: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def num_images(self) -> int:
        """How many images come with the message."""
        return len(self.images)


def with_model_turns(system: str, history: Sequence[Turn], turns: Sequence[Turn]) -> list[Turn]:
    """What the model brings along, then the request's turns.

    The model's system text leads unless the request's first turn is one itself.
    """
    own = turns and turns[0].role == "system"
    lead = [Turn("system", system)] if system and not own else []
    return [*lead, *history, *turns]


def without_old_thoughts(turns: Sequence[Turn]) -> list[Turn]:
    """The turns, but what an assistant thought before the last question is gone.

    Examples
    --------
    >>> turns = [Turn("assistant", "<think>Hm.</think> Hi."), Turn("user", "Well?")]
    >>> [turn.content for turn in without_old_thoughts(turns)]
    ['Hi.', 'Well?']
    """
    asked = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=0)
    return [
        replace(turn, content=_thoughtless(turn.content))
        if turn.role == "assistant" and i < asked
        else turn
        for i, turn in enumerate(turns)
    ]


def _thoughtless(content: str) -> str:
    """What follows the thoughts that a text begins with."""
    begun = content.lstrip()
    if not begun.startswith("<think>"):
        return content
    _, ended, rest = begun.partition("</think>")
    return rest.lstrip() if ended else ""


def starting_points(turns: Sequence[Turn]) -> list[int]:
    """Where a shortened conversation may begin, the whole one first; system turns are no loss."""
    return [i for i in range(len(turns)) if i == 0 or turns[i - 1].role != "system"]


def kept_from(turns: Sequence[Turn], first: int) -> list[Turn]:
    """The conversation from a turn on, and the system turns before it."""
    return [t for t in turns[:first] if t.role == "system"] + list(turns[first:])
