"""Fields that requests share: `think`, `think_budget`, `tool_choice`, `images`, `top_logprobs`."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator

from ollama_nb_server.wire.bounds import MAX_IMAGE_CHARS, MAX_INT
from ollama_nb_server.wire.errors import (
    BadBody,
    BadThinkBudget,
    BadToolChoice,
    BadTopLogprobs,
    TooMuch,
)

LEVELS = ("high", "medium", "low", "max")
LEVELS_TEXT = '"high", "medium", "low", "max", true, or false'
MAX_TOP_LOGPROBS = 20


def _think(value: Any) -> bool | str:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if value in LEVELS:
            return value
        raise BadBody(f'invalid think value: "{value}" (must be {LEVELS_TEXT})')
    raise BadBody(f"think must be a boolean or string ({LEVELS_TEXT})")


def _images(value: Any) -> Any:
    return [_image(item) for item in value] if isinstance(value, list) else value


def _image(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if len(value) > MAX_IMAGE_CHARS:
        raise TooMuch(f"images: one is larger than {MAX_IMAGE_CHARS >> 20} MiB in base64")
    try:
        return base64.b64decode(value.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadBody(f"illegal base64 data at input byte {_bad_byte(value)}") from error


def _bad_byte(value: str) -> int:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n"
    return next((i for i, c in enumerate(value) if c not in letters), len(value))


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether a model must call a tool: `kind` is auto, required, none or function (`name`)."""

    kind: str
    name: str = ""

    @property
    def must_call(self) -> bool:
        """Whether an answer without a call is none."""
        return self.kind in ("required", "function")


CHOICES = ("auto", "required", "none")


def _choice(value: Any) -> Choice | None:
    if value is None or isinstance(value, Choice):
        return value
    if isinstance(value, str) and value in CHOICES:
        return Choice(value)
    function = value.get("function") if isinstance(value, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if isinstance(name, str) and name:
        return Choice("function", name)
    raise BadToolChoice


def _budget(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_INT:
        raise BadThinkBudget
    return value


def check_top_logprobs(value: int | None) -> None:
    """Refuse a number of alternatives outside 0 to 20."""
    if not 0 <= (value or 0) <= MAX_TOP_LOGPROBS:
        raise BadTopLogprobs


ToolChoice = Annotated[Choice | None, BeforeValidator(_choice)]
ThinkBudget = Annotated[int | None, BeforeValidator(_budget)]
Think = Annotated[bool | str | None, BeforeValidator(_think)]
Images = Annotated[list[bytes] | None, BeforeValidator(_images)]
