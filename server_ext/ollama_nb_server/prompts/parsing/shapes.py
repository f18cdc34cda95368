"""What a text must look like, as data that an engine can bind an answer to.

`document` is the way to the engine: `{"text": ...}`, `{"tag": ...}`, `{"json": ..., "label": ""}`,
`{"until": ...}`, `{"sequence": [...]}`, `{"choice": [...]}`, and `{"repeat": ..., "separator": "",
"least": 1, "most": 0}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class Shape(Protocol):
    """A part of a form."""

    def document(self) -> dict[str, Any]:
        """As JSON."""


@dataclass(frozen=True, slots=True)
class Text:
    """These letters."""

    text: str

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"text": self.text}


@dataclass(frozen=True, slots=True)
class Tag:
    """These letters, or the special token of this name where the vocabulary has one."""

    text: str

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"tag": self.text}


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON text that this schema allows; `label` says whose it is where it is refused."""

    schema: Mapping[str, Any] | bool
    label: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"json": self.schema, "label": self.label}


@dataclass(frozen=True, slots=True)
class Until:
    """Any text in which `text` does not occur, and `text` behind it."""

    text: str

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"until": self.text}


@dataclass(frozen=True, slots=True)
class Sequence:
    """One behind the other."""

    parts: tuple[Shape, ...]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"sequence": [part.document() for part in self.parts]}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these."""

    parts: tuple[Shape, ...]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"choice": [part.document() for part in self.parts]}


@dataclass(frozen=True, slots=True)
class Repeat:
    """From `least` to `most` of them (0: any number), `separator` between each two."""

    part: Shape
    separator: str = ""
    least: int = 1
    most: int = 0

    def document(self) -> dict[str, Any]:
        """As JSON."""
        counts = {"least": self.least, "most": self.most}
        return {"repeat": self.part.document(), "separator": self.separator, **counts}


def sequence(*parts: Shape | str) -> Shape:
    """One behind the other; letters stand for themselves."""
    return Sequence(tuple(Text(part) if isinstance(part, str) else part for part in parts))
