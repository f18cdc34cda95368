"""`ToolCall`: what a model asked for, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool.

    Parameters
    ----------
    name, arguments
        As the model wrote them.
    result
        What the function returned.
    exception
        What it raised, or why it was not run.
    done
        Whether the model is told what came of it; a call of a tool without a function is not done.
    id
        What ties the answer to the call, where the server gives one.
    told
        What the model is told came of it.

    Examples
    --------
    >>> print(ToolCall("mean", {"column": "age"}))
    mean(column='age')
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    result: Any = None
    exception: Exception | None = None
    done: bool = False
    id: str = ""
    told: str = ""

    @classmethod
    def from_wire(cls, call: Mapping[str, Any]) -> ToolCall:
        """Read a call of a message."""
        function = call.get("function") or {}
        arguments = dict(function.get("arguments") or {})
        return cls(str(function.get("name") or ""), arguments, id=str(call.get("id") or ""))

    def returned(self, result: Any, told: str) -> ToolCall:
        """Return the call with its result."""
        return replace(self, result=result, done=True, told=told)

    def raised(self, exception: Exception) -> ToolCall:
        """Return the call with what went wrong."""
        told = f"Error: {type(exception).__name__}: {exception}"
        return replace(self, exception=exception, done=True, told=told)

    def message(self) -> dict[str, str]:
        """Return what the model is told, as a message."""
        tied = {"tool_call_id": self.id} if self.id else {}
        return {"role": "tool", "content": self.told, "tool_name": self.name, **tied}

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.name}({given})"
