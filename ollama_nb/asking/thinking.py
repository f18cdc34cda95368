"""How much a model is to think: what `think=`, `think_budget=` and `--think` ask for.

What is thought arrives in `streaming` and is shown by `answers.rendering`.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

from ollama_nb.errors import BadThinking

LEVELS = ("low", "medium", "high", "max")
SWITCHES = {"on": True, "off": False}
SAYS = f"on, off, {', '.join(LEVELS)}, or a number of tokens"


@dataclass(frozen=True, slots=True)
class Thinking:
    """A wish: whether to think or how hard, and the most tokens of it; None leaves it open."""

    think: bool | str | None = None
    budget: int | None = None

    @property
    def extensions(self) -> dict[str, int]:
        """What Ollama's API has no field for."""
        return {} if self.budget is None else {"think_budget": self.budget}


def thinking_of(think: Any = None, budget: Any = None) -> Thinking:
    """Check what a call asks for; a budget by itself turns thinking on.

    Raises
    ------
    BadThinking
        For a level that there is not, a budget that is no number of tokens, or one without thought.
    """
    if not (think is None or isinstance(think, bool) or think in LEVELS):
        hint = "; a number of tokens goes into think_budget" if _is_number(think) else ""
        raise BadThinking(
            f"think is True, False or one of {', '.join(LEVELS)}, not {think!r}{hint}"
        )
    if budget is None:
        return Thinking(think)
    if not _is_number(budget) or budget < 0:
        raise BadThinking(f"think_budget is a number of tokens from 0, not {budget!r}")
    if think is False:
        raise BadThinking("think_budget is how long a model may think: leave think=False out")
    return Thinking(True if think is None else think, int(budget))


def _is_number(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def from_word(word: str) -> Thinking:
    """Read what stands behind `--think=`.

    Raises
    ------
    BadThinking
        If it is none of the words, and no number.

    Examples
    --------
    >>> from_word("off"), from_word("200")
    (Thinking(think=False, budget=None), Thinking(think=True, budget=200))
    """
    if word in SWITCHES:
        return Thinking(SWITCHES[word])
    if word in LEVELS:
        return Thinking(word)
    if word.isascii() and word.isdigit():
        return thinking_of(budget=int(word))
    raise BadThinking(f"--think takes {SAYS}, not {word!r}")
