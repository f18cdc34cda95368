"""`Schema`, the form of an answer as it is sent and as it is read.

What one is made of is in `wishes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Schema:
    """The form of an answer.

    Parameters
    ----------
    format
        What the server is told: a JSON Schema, or "json" for any object.
    kind
        The Python type that `Generation.data` is made of; None leaves JSON as it is.
    told
        What the prompt says of it; empty to say nothing.
    """

    format: dict[str, Any] | Literal["json"]
    kind: Any = None
    told: str = ""

    @property
    def definition(self) -> dict[str, Any]:
        """The JSON Schema; of "json" that of any object."""
        return {"type": "object"} if isinstance(self.format, str) else self.format
