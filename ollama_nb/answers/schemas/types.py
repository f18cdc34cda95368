"""Schemas of Python's types, and values of these types read from JSON; pydantic does the work.

The only module here that imports pydantic, which the `ollama` client needs anyway.
"""

from __future__ import annotations

import functools
import sys
import types
import typing
from typing import TYPE_CHECKING, Any

from ollama_nb.answers.schemas.schema import Schema
from ollama_nb.errors import BadSchema, NotFitting

if TYPE_CHECKING:
    from pydantic import TypeAdapter


def of_type(kind: Any) -> Schema:
    """Return the schema of a type: a pydantic model, a dataclass, `list[...]`, a Literal, ...

    Raises
    ------
    BadSchema
        If it is no type, or holds one that JSON has no form for.
    """
    from pydantic import PydanticUserError
    from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUndefinedAnnotation

    kind = _as_type(kind)
    try:
        kind = _modern(kind)
        definition = _adapter(kind).json_schema()
    except PydanticInvalidForJsonSchema as error:
        raise BadSchema(f"{_name(kind)} has no form in JSON: {_first_sentence(error)}") from None
    except (PydanticUserError, PydanticUndefinedAnnotation, NameError, TypeError) as error:
        raise BadSchema(
            f"no schema can be made of {_name(kind)} ({_first_sentence(error)}); take a pydantic "
            "model, a dataclass, a TypedDict, an Enum or types such as list[str]"
        ) from None
    return Schema(_closed(definition), kind)


def typed(kind: Any, text: str) -> Any:
    """Return the value that a JSON text stands for.

    Raises
    ------
    NotFitting
        If the JSON is not of that type.
    """
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_json(text)
    except ValidationError as error:
        raise NotFitting([_problem(one) for one in error.errors(include_url=False)]) from error


def _problem(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    return f"{place}: {error['msg']}" if place else str(error["msg"])


def _adapter(kind: Any) -> TypeAdapter[Any]:
    try:
        return _cached_adapter(kind)
    except TypeError:  # a type that cannot be hashed, such as Annotated[str, [...]]
        return _cached_adapter.__wrapped__(kind)


@functools.lru_cache(maxsize=64)
def _cached_adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _as_type(kind: Any) -> Any:
    """Return the type; `[Person]` stands for `list[Person]`.

    Raises
    ------
    BadSchema
        For a value that is no type.
    """
    if isinstance(kind, list) and len(kind) == 1:
        return list[_as_type(kind[0])]  # type: ignore[misc]
    if is_type(kind):
        return kind
    raise BadSchema(
        f"a value of type {type(kind).__name__} is no schema; give a short form such as "
        '"name, age int", a JSON Schema as a dict, or a class'
    )


def is_type(value: Any) -> bool:
    """Tell whether a value is a type, in the wide sense of annotations."""
    made_of_types = typing.get_origin(value) is not None or isinstance(value, types.UnionType)
    return isinstance(value, type) or made_of_types or value is Any


def _modern(kind: Any) -> Any:
    """Replace each TypedDict by one of typing_extensions: pydantic takes no other before 3.12."""
    if sys.version_info >= (3, 12):
        return kind
    if typing.is_typeddict(kind) and type(kind).__module__ == "typing":
        return _modern_typed_dict(kind)
    arguments = typing.get_args(kind)
    modern = tuple(_modern(one) for one in arguments)
    if all(new is old for new, old in zip(modern, arguments, strict=True)):
        return kind
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return typing.Union[modern]  # noqa: UP007 - not an annotation
    return kind.copy_with(modern) if hasattr(kind, "copy_with") else kind.__origin__[modern]


def _modern_typed_dict(kind: Any) -> Any:
    import typing_extensions

    optional = typing_extensions.NotRequired
    hints = {
        name: _modern(hint) if name in kind.__required_keys__ else optional[_modern(hint)]
        for name, hint in typing.get_type_hints(kind).items()
    }
    make: Any = typing_extensions.TypedDict  # as a function: the fields are known only now
    made = make(kind.__name__, hints)
    made.__doc__ = kind.__doc__
    return made


def _closed(definition: Any) -> Any:
    """Let objects with named fields have no others, where the type leaves that open.

    A small model that may add fields goes on adding them. That the items of a set differ is left
    out: no server can promise it, and what comes twice is once in the set.
    """
    if isinstance(definition, list):
        return [_closed(one) for one in definition]
    if not isinstance(definition, dict):
        return definition
    closed = {
        key: {name: _closed(one) for name, one in value.items()}
        if key in ("properties", "$defs")
        else value
        if key in ("default", "const", "enum", "examples")
        else _closed(value)
        for key, value in definition.items()
        if not (key == "uniqueItems" and value is True)
    }
    return {**({"additionalProperties": False} if "properties" in closed else {}), **closed}


def _name(kind: Any) -> str:
    return (
        kind.__name__ if typing.get_origin(kind) is None and isinstance(kind, type) else repr(kind)
    )


def _first_sentence(error: Exception) -> str:
    return str(error).partition("\n")[0].partition(". ")[0].rstrip(".")
