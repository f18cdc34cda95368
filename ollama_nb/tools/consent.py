"""Ask the person at the notebook whether a call may run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollama_nb.tools.errors import NobodyToAsk

if TYPE_CHECKING:
    from ollama_nb.answers.tool_call import ToolCall

CHOICES = "[y]es, [n]o, [a]ll calls of this answer"
MAX_REPEATED_CHARS = 120
YES, ALL = ("y", "yes"), ("a", "all")


class Consent:
    """Whether calls may run: after a yes each, after one to all, or without asking."""

    def __init__(self, *, asks: bool) -> None:
        self._asks = asks

    def is_given(self, call: ToolCall, *, is_shown: bool) -> bool:
        """Ask, unless that is not wanted or all were allowed.

        `is_shown` says that the whole call stands above the question already.

        Raises
        ------
        NobodyToAsk
            Where nothing can be typed, as in a notebook that a program executes.
        """
        if not self._asks:
            return True
        try:
            said = input(f"Run {_named(call, is_shown)}? {CHOICES}: ").strip().lower()
        except (EOFError, OSError, NotImplementedError, RuntimeError):
            # What Jupyter, a closed terminal and a test runner say where there is no input.
            raise NobodyToAsk(call) from None
        self._asks = said not in ALL
        return said in (*YES, *ALL)


def _named(call: ToolCall, is_shown: bool) -> str:
    whole = str(call)
    return f"{call.name}(...)" if is_shown and len(whole) > MAX_REPEATED_CHARS else whole
