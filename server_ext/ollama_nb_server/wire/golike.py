"""Reads JSON bodies as Go's encoding/json does (reference/ollama-http-api.md 1.2).

The first value of the body only, keys in any letter case, the last of equal keys counts, null is
"not given". Types are checked by pydantic; errors speak Go.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, ClassVar, NoReturn, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ollama_nb_server.wire.bounds import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_INT64,
    MAX_TEXT_CHARS,
    MAX_VALUES,
)
from ollama_nb_server.wire.errors import BadBody, MissingBody, TooMuch

BLANKS = " \t\r\n"


def _readable(value: str) -> str:
    """Refuse a text for whose tokens everybody else's long texts would wait."""
    if len(value) > MAX_TEXT_CHARS:
        raise TooMuch(f"a text of {len(value):,} letters is longer than {MAX_TEXT_CHARS:,}")
    return value


Text = Annotated[str, AfterValidator(_readable)]
GoInt = Annotated[int, Field(ge=-MAX_INT64 - 1, le=MAX_INT64)]


class GoModel(BaseModel):
    """A struct that Go would decode: unknown fields ignored, names in any letter case."""

    model_config = ConfigDict(strict=True, extra="ignore", populate_by_name=True)
    go_name: ClassVar[str] = ""

    @model_validator(mode="before")
    @classmethod
    def _fold(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        names = _names(cls)
        folded: dict[str, Any] = {}
        for key, value in data.items():
            name = names.get(key) or names.get(key.casefold())
            if name is not None and value is not None:
                folded[name] = value
        return folded


_NAMES: dict[type[GoModel], dict[str, str]] = {}


def _names(kind: type[GoModel]) -> dict[str, str]:
    if kind not in _NAMES:
        wires = [(field.alias or name) for name, field in kind.model_fields.items()]
        _NAMES[kind] = {wire.casefold(): wire for wire in wires} | {wire: wire for wire in wires}
    return _NAMES[kind]


Struct = TypeVar("Struct", bound=GoModel)


def read(kind: type[Struct], body: bytes) -> Struct:
    """A request of this kind from a body.

    Raises
    ------
    MissingBody
        If there is nothing but blanks.
    BadBody
        If it is no JSON or a field has another type; the sentence is Go's.
    """
    _check_amount(body)
    if not body.strip():
        raise MissingBody
    value = first_value(body)
    _check_depth(value)
    try:
        return kind.model_validate({} if value is None else value)
    except ValidationError as error:
        raise BadBody(_mismatch(kind, error)) from error


def first_value(body: bytes) -> Any:
    """The first JSON value of a body, whatever follows it."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _slowly(body)


def _check_amount(body: bytes) -> None:
    """Refuse what takes long to read, by counting what cannot be fewer than its values."""
    if len(body) > MAX_VALUES and sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise TooMuch(f"the request has more than {MAX_VALUES:,} commas and brackets")


def _check_depth(value: Any) -> None:
    """Refuse what is nested so deep that it cannot be written again. Level by level: no stack."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        inner = (item.values() if isinstance(item, dict) else item for item in level)
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
        if not level:
            return
    raise BadBody("exceeded max depth")


def _slowly(body: bytes) -> Any:
    """With what orjson refuses and Go takes: trailing text, invalid UTF-8, lone surrogates."""
    text = body.decode("utf-8", "replace").lstrip(BLANKS)
    decoder = json.JSONDecoder(parse_constant=_no_constant, parse_int=_int, parse_float=_float)
    try:
        value, _ = decoder.raw_decode(text)
    except json.JSONDecodeError as error:
        raise BadBody(_syntax(text, error.pos)) from error
    except RecursionError as error:
        raise BadBody("exceeded max depth") from error
    _check_depth(value)
    return _whole(value)


def _int(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise BadBody(_no_number(text))
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise BadBody(_no_number(text))
    return number


def _no_number(text: str) -> str:
    return f"json: cannot unmarshal number {text[:40]} into Go value of type float64"


def _no_constant(name: str) -> NoReturn:
    raise BadBody(f"invalid character '{name[0]}' looking for beginning of value")


def _whole(value: Any) -> Any:
    """The value with lone surrogates replaced, as Go does; its depth has been checked."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return value


def _syntax(text: str, at: int) -> str:
    rest = text[at:].lstrip(BLANKS)
    if not rest:
        return "unexpected EOF"
    for word in ("true", "false", "null"):
        if rest[0] == word[0]:
            wrong = next((i for i, c in enumerate(word) if rest[i : i + 1] != c), 0)
            if wrong and wrong < len(rest):
                found, wanted = rest[wrong], word[wrong]
                return f"invalid character '{found}' in literal {word} (expecting '{wanted}')"
    return f"invalid character '{rest[0]}' looking for beginning of value"


def _mismatch(kind: type[GoModel], error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"] if isinstance(part, str))
    found, wanted = _kind(problem["input"]), WANTED.get(problem["type"], problem["type"])
    if not place:
        return f"json: cannot unmarshal {found} into Go value of type api.{kind.go_name}"
    field = f"{kind.go_name}.{place}"
    return f"json: cannot unmarshal {found} into Go struct field {field} of type {wanted}"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object" if isinstance(value, dict) else "null"


# pydantic's kinds of error -> Go's type names
WANTED = {
    "string_type": "string",
    "bool_type": "bool",
    "int_type": "int",
    "int_from_float": "int",
    "greater_than_equal": "int",
    "less_than_equal": "int",
    "float_type": "float64",
    "list_type": "slice",
    "dict_type": "map[string]interface {}",
    "model_type": "struct",
}
