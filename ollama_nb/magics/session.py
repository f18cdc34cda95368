"""What the magics know about the notebook they run in: its variables and its cells.

The only module of the magics that touches the shell.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ollama_nb.errors import Interrupted, OllamaNbError, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from ollama_nb.answers.generation import Generation

P = ParamSpec("P")
R = TypeVar("R")


def in_one_line(body: Callable[P, R]) -> Callable[P, R]:
    """Let the mistakes of a user end a magic with one line instead of a traceback."""

    @functools.wraps(body)
    def magic(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return body(*args, **kwargs)
        except (OllamaNbError, Stopped) as error:
            error.in_one_line()
            raise
        except KeyboardInterrupt:  # outside of the call itself, while a server was looked for
            stopped = Stopped("stopped")
            stopped.in_one_line()
            raise stopped from None

    return magic


class Session:
    """The running shell, as far as a magic needs it."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell

    @property
    def variables(self) -> dict[str, Any]:
        """The notebook's variables."""
        names: dict[str, Any] = self._shell.user_ns
        return names

    @property
    def own_variables(self) -> dict[str, Any]:
        """The notebook's variables without those that the shell brought, such as `In`."""
        hidden = self._shell.user_ns_hidden
        return {
            name: value
            for name, value in self.variables.items()
            if name not in hidden or hidden[name] is not value
        }

    def answered(self, ask: Callable[[], Generation], bind: str | None) -> Generation:
        """Ask, and keep the answer in the variable `bind`, after Ctrl-C and after an error too.

        Raises
        ------
        Interrupted
            Again, naming the variable that holds the answer so far.
        """
        try:
            answer = ask()
        except Interrupted as interrupt:
            self._keep(interrupt.answer, bind)
            raise Interrupted(interrupt.answer, bind or "_") from None
        except OllamaNbError as error:
            if error.answer is not None:  # what had come by then
                self._keep(error.answer, bind)
            raise
        if bind:
            self._shell.user_ns[bind] = answer
        return answer

    def _keep(self, answer: Generation, bind: str | None) -> None:
        """Hold an answer that is not whole where a finished one would be: its variable, or `_`."""
        if bind:
            self._shell.user_ns[bind] = answer
        else:
            self._shell.displayhook.update_user_ns(answer)

    def kept(self, value: R, bind: str | None) -> R:
        """Return a value, and keep it in the variable `bind` if there is one."""
        if bind:
            self._shell.user_ns[bind] = value
        return value

    def cell(self) -> tuple[str | None, object]:
        """Return the running cell's id, where the front end tells, and which run of it this is."""
        if not hasattr(self._shell, "kernel"):
            return None, None
        parent = self._shell.get_parent()
        cell = parent.get("metadata", {}).get("cellId")
        return cell, parent.get("header", {}).get("msg_id")
