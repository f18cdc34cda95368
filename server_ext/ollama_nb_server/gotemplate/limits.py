"""How much a template may ask for: templates come with models, and models from strangers.

Owns the numbers and the account of one run (`Run`). Who spends is `evaluator` and `functions`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ollama_nb_server.gotemplate.errors import LimitExceeded


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one template and of one run of it.

    Parameters
    ----------
    max_source_chars : int
        Length of a template's text.
    max_depth : int
        How deep parentheses and bodies may be nested; each `else if` goes one deeper.
    max_run_depth : int
        How deep the templates that have called each other are nested together.
    max_steps : int
        Nodes visited, plus a share for work on long texts.
    max_output_chars : int
        Length of the output, and of every text made on the way.
    """

    max_source_chars: int = 250_000
    max_depth: int = 100
    max_run_depth: int = 200
    max_steps: int = 3_000_000
    max_output_chars: int = 8_000_000


DEFAULT_LIMITS = Limits()
# What the time of a step is worth, roughly
CHARS_PER_STEP = 16  # written anew, one by one
COPIED_PER_STEP = 1_000  # characters compared, elements of a list copied


class Run:
    """The output of one run, and what it has spent."""

    __slots__ = ("depth", "limits", "num_chars", "parts", "steps_left")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.steps_left = limits.max_steps
        self.num_chars = 0
        self.depth = 0
        self.parts: list[str] = []

    def spend(self, num_steps: int) -> None:
        """Take steps from what is left."""
        self.steps_left -= num_steps
        if self.steps_left < 0:
            raise LimitExceeded("steps", self.limits.max_steps)

    def enter(self, depth: int) -> None:
        """A template that is nested this deep begins."""
        self.depth += depth
        if self.depth > self.limits.max_run_depth:
            raise LimitExceeded(
                "levels of nesting in templates that call each other", self.limits.max_run_depth
            )

    def leave(self, depth: int) -> None:
        """It is over."""
        self.depth -= depth

    def write(self, text: str) -> None:
        """Add to the output."""
        self.num_chars += len(text)
        if self.num_chars > self.limits.max_output_chars:
            raise LimitExceeded("characters of output", self.limits.max_output_chars)
        self.parts.append(text)

    def made(self, text: str) -> str:
        """A text that was made on the way, paid for."""
        self.check_length(len(text))
        self.spend(len(text) // CHARS_PER_STEP)
        return text

    def check_length(self, num_chars: int) -> None:
        """Refuse a text that grows too long before it is whole."""
        if num_chars > self.limits.max_output_chars:
            raise LimitExceeded("characters in one text", self.limits.max_output_chars)
