"""What is wrong with a tool, or with a call of it.

OllamaNbError
|-- BadTool             something that a model cannot be given as a tool
|-- NobodyToAsk         a call was to be confirmed where nobody can be asked
`-- what a model is told of its call
    |-- WrongArguments  the function does not take them
    |-- UnknownTool     there is no such tool
    `-- CallRefused     it was not run, and why
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollama_nb.errors import OllamaNbError

if TYPE_CHECKING:
    from collections.abc import Sequence


class BadTool(OllamaNbError, TypeError):
    """Something that a model cannot be given as a tool."""


class WrongArguments(OllamaNbError, TypeError):
    """A call with arguments that the function does not take; the model is told."""

    def __init__(self, tool: str, problems: Sequence[str], takes: str) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{tool} takes {takes}: {'; '.join(problems)}")


class UnknownTool(OllamaNbError, LookupError):
    """A call of a tool that there is not; the model is told."""

    def __init__(self, name: str, there: Sequence[str]) -> None:
        super().__init__(f"there is no tool {name!r}; there is {', '.join(there)}")


class CallRefused(OllamaNbError):
    """A call that was not run, and why; the model is told."""


class NobodyToAsk(OllamaNbError):
    """A call that was to be confirmed where nobody can be asked."""

    def __init__(self, call: object) -> None:
        super().__init__(
            f"the model wants to call {call}, and nobody can be asked here whether it may: "
            "confirm=False runs calls unasked"
        )
