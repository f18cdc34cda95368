"""`keep_alive`: a number of seconds or a Go duration (reference/ollama-http-api.md 4.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator

from ollama_nb_server.environment import MAX_DURATION_S, parse_duration
from ollama_nb_server.wire.bounds import MAX_DURATION_CHARS
from ollama_nb_server.wire.errors import BadBody

GO_TYPES = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """How long a model stays after its last request; `inf` means for good.

    A number of seconds that Go's 64 bits of nanoseconds cannot hold is for good too: in Go it
    depends on the processor. As a text Go refuses it.
    """

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
            if len(value) > MAX_DURATION_CHARS:
                raise BadBody(f'time: invalid duration "{value[:MAX_DURATION_CHARS]}..."')
            try:
                seconds = parse_duration(value)
            except ValueError as error:
                raise BadBody(str(error)) from error
        elif isinstance(value, int | float) and not isinstance(value, bool):
            seconds = math.inf if value > MAX_DURATION_S else float(value)
        else:
            raise BadBody(f"Unsupported type: '{GO_TYPES.get(type(value), 'nil')}'")
        return cls(math.inf if seconds < 0 else seconds)


KeepAliveField = Annotated[KeepAlive | None, BeforeValidator(KeepAlive.of)]
