"""The functions that every Go template has, and how a function of ours takes its arguments.

Owns the table of them. What they do is in `comparing`, `indexing` and `writing`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from ollama_nb_server.gotemplate import comparing, indexing, writing
from ollama_nb_server.gotemplate.errors import FunctionFault
from ollama_nb_server.gotemplate.limits import Run
from ollama_nb_server.gotemplate.values import Value, type_name


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a template.

    Parameters
    ----------
    call : Callable
        Takes the run and the arguments, gives the value.
    num_fixed : int
        How many arguments it wants.
    variadic : bool
        Whether it takes more.
    wants_text_first : bool
        Whether the first one has to be a string.
    """

    call: Callable[[Run, Sequence[Value]], Value]
    num_fixed: int
    variadic: bool = False
    wants_text_first: bool = False


def wrap(function: Callable[..., Value]) -> Function:
    """A plain Python function as one of a template; its signature says what it takes."""
    num_fixed, variadic = 0, False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            variadic = True
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            num_fixed += parameter.default is parameter.empty
            variadic = variadic or parameter.default is not parameter.empty

    def call(run: Run, arguments: Sequence[Value]) -> Value:
        value = function(*arguments)
        return run.made(value) if isinstance(value, str) else value

    return Function(call, num_fixed, variadic)


def _not(run: Run, arguments: Sequence[Value]) -> bool:
    return not arguments[0]


def _call(run: Run, arguments: Sequence[Value]) -> NoReturn:
    """No value of a template is a function. The evaluator says first how the value is written."""
    text, value, *_ = arguments
    if value is None:
        raise FunctionFault("call of nil")
    raise FunctionFault(f"non-function {text} of type {type_name(value)}")


def _short_circuit(run: Run, arguments: Sequence[Value]) -> NoReturn:
    raise AssertionError("`and` and `or` are the evaluator's: they stop early")


BUILTINS: Final = {
    "and": Function(_short_circuit, 1, variadic=True),
    "call": Function(_call, 1, variadic=True),
    "eq": Function(comparing.equal, 1, variadic=True),
    "ge": Function(comparing.greater_or_equal, 2),
    "gt": Function(comparing.greater_than, 2),
    "html": Function(writing.html_, 0, variadic=True),
    "index": Function(indexing.index, 1, variadic=True),
    "js": Function(writing.js_, 0, variadic=True),
    "le": Function(comparing.less_or_equal, 2),
    "len": Function(indexing.length, 1),
    "lt": Function(comparing.less_than, 2),
    "ne": Function(comparing.not_equal, 2),
    "not": Function(_not, 1),
    "or": Function(_short_circuit, 1, variadic=True),
    "print": Function(writing.print_, 0, variadic=True),
    "printf": Function(writing.printf_, 1, variadic=True, wants_text_first=True),
    "println": Function(writing.println_, 0, variadic=True),
    "slice": Function(indexing.cut, 1, variadic=True),
    "urlquery": Function(writing.urlquery_, 0, variadic=True),
}
