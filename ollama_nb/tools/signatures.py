"""What a function takes: as the JSON Schema that a model is sent, and to check what it answers.

pydantic knows the types (`answers.schemas.types`); here a signature becomes one.
"""

from __future__ import annotations

import inspect
import json
import types
import typing
from dataclasses import dataclass
from inspect import Parameter
from typing import TYPE_CHECKING, Annotated, Any

from ollama_nb.answers.schemas.types import of_type, typed
from ollama_nb.errors import BadSchema, NotFitting
from ollama_nb.tools.errors import BadTool, WrongArguments
from ollama_nb.tools.plain_schema import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_GUESSED = (bool, int, float, str, list, dict)  # a parameter without a type has its default's


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a tool's function.

    Parameters
    ----------
    name
        The function's.
    parameters
        Those that a model may give: all but `*args` and `**kwargs`.
    kind
        A TypedDict of them.
    """

    name: str
    parameters: tuple[Parameter, ...]
    kind: Any

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments."""
        found = plain(of_type(self.kind).definition)
        return {"type": "object", "properties": {}, **found}

    def bound(self, arguments: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Turn what a model gave into positional and named arguments of the annotated types.

        Raises
        ------
        WrongArguments
            If one is missing, unknown, or of another type.
        """
        try:
            given: dict[str, Any] = typed(self.kind, json.dumps(arguments))
        except NotFitting as error:
            raise WrongArguments(self.name, error.problems, self._words()) from None
        positional, named = [], {}
        for parameter in self.parameters:
            value = given.get(parameter.name, parameter.default)
            value = None if value is Parameter.empty else value  # it may be absent: it may be None
            if parameter.kind is Parameter.POSITIONAL_ONLY:
                positional.append(value)
            elif parameter.name in given or parameter.default is Parameter.empty:
                named[parameter.name] = value
        return positional, named

    def _words(self) -> str:
        return ", ".join(parameter.name for parameter in self.parameters) or "no arguments"


def signature_of(function: Callable[..., Any], name: str, meanings: Mapping[str, str]) -> Signature:
    """Return what a function takes.

    Raises
    ------
    BadTool
        If a model could not write what one of its parameters takes.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
        hints = typing.get_type_hints(_annotated(function), include_extras=True)
    except (NameError, TypeError, ValueError) as error:
        raise BadTool(f"the tool {name!r} has a signature that cannot be read: {error}") from None
    taken = tuple(one for one in parameters if one.kind not in _VARIADIC)
    fields = {one.name: _field(one, hints, meanings.get(one.name, "")) for one in taken}
    for parameter, hint in fields.items():
        _refuse_unwritable(name, parameter, hint)
    return Signature(name, taken, _typed_dict(name, fields))


def _annotated(function: Callable[..., Any]) -> Any:
    """Return what bears the annotations: an object that is called has them at its `__call__`."""
    is_plain = inspect.isroutine(function) or inspect.isfunction(inspect.unwrap(function))
    return function if is_plain else type(function).__call__


def _field(parameter: Parameter, hints: Mapping[str, Any], meaning: str) -> Any:
    """Return the type of a field of the TypedDict, which knows whether it may be absent."""
    from typing_extensions import NotRequired

    hint = _described(hints.get(parameter.name, _guessed(parameter.default)), meaning)
    may_be_absent = parameter.default is not Parameter.empty or _admits_none(hint)
    return NotRequired[hint] if may_be_absent else hint


def _guessed(default: Any) -> Any:
    """Return the type of a parameter without one, as the `ollama` client does: text."""
    return next((kind for kind in _GUESSED if type(default) is kind), str)


def _described(hint: Any, meaning: str) -> Any:
    """Add what the parameter means; a text in `Annotated` says it too, and goes before."""
    from pydantic import Field

    texts = [one for one in getattr(hint, "__metadata__", ()) if isinstance(one, str)]
    if texts:
        return Annotated[hint, Field(description=texts[0])]
    return Annotated[hint, Field(description=meaning)] if meaning and not _says(hint) else hint


def _says(hint: Any) -> bool:
    return any(getattr(one, "description", None) for one in getattr(hint, "__metadata__", ()))


def _admits_none(hint: Any) -> bool:
    if typing.get_origin(hint) is Annotated:
        return _admits_none(typing.get_args(hint)[0])
    is_union = typing.get_origin(hint) is typing.Union or isinstance(hint, types.UnionType)
    return is_union and type(None) in typing.get_args(hint)


def _refuse_unwritable(tool: str, parameter: str, hint: Any) -> None:
    try:
        of_type(_typed_dict(tool, {parameter: hint}))
    except BadSchema:
        raise BadTool(
            f"the tool {tool!r} takes {parameter!r}, which a model cannot write: "
            f"{getattr(hint, '__name__', hint)}. It can write str, int, float, bool, Literal, "
            "Enum, list, dict, dataclasses and pydantic models"
        ) from None


def _typed_dict(name: str, fields: Mapping[str, Any]) -> Any:
    from typing_extensions import TypedDict

    make: Any = TypedDict  # as a function: the fields are known only now
    made = make(name, dict(fields))
    made.__pydantic_config__ = {"extra": "forbid"}
    return made
