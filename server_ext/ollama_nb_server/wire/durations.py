"""`keep_alive`: a number of seconds or a Go duration (reference/ollama-http-api.md 4.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator

from ollama_nb_server.environment import parse_duration
from ollama_nb_server.wire.errors import BadBody

GO_TYPES = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """How long a model stays after its last request; `inf` means for good."""

    seconds: float

    @property
    def unloads(self) -> bool:
        """Whether the model goes as soon as nobody uses it."""
        return self.seconds == 0

    @classmethod
    def of(cls, value: Any) -> KeepAlive:
        """Read what the request holds.

        Raises
        ------
        BadBody
            In Go's words.
        """
        if isinstance(value, KeepAlive):
            return value
        if isinstance(value, str):
            try:
                seconds = parse_duration(value)
            except ValueError as error:
                raise BadBody(str(error)) from error
        elif isinstance(value, int | float) and not isinstance(value, bool):
            seconds = float(value)
        else:
            raise BadBody(f"Unsupported type: '{GO_TYPES.get(type(value), 'nil')}'")
        return cls(math.inf if seconds < 0 else seconds)


KeepAliveField = Annotated[KeepAlive | None, BeforeValidator(KeepAlive.of)]
