"""Calls of functions as Python closures.

Owns how arguments are counted and checked, and `and` and `or`, which stop early.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

from ollama_nb_server.gotemplate.errors import FunctionFault
from ollama_nb_server.gotemplate.frames import NOTHING, Evaluate, Frame, Frames, Stage, last_of
from ollama_nb_server.gotemplate.functions import BUILTINS, Function
from ollama_nb_server.gotemplate.nodes import (
    Bool,
    Chain,
    Field,
    Identifier,
    Nil,
    Node,
    Number,
    String,
    Variable,
)
from ollama_nb_server.gotemplate.quoting import quote
from ollama_nb_server.gotemplate.values import Value, type_name


class Calls(Frames):
    """Compiles calls."""

    @abstractmethod
    def operand(self, node: Node) -> Evaluate:
        """An argument."""

    def call(self, node: Identifier, arguments: Sequence[Node], at: Node) -> Stage:
        """A function's value; an error of its own is said to be at the whole command."""
        self.weight += 1
        name = node.name
        function = self.functions.get(name)
        if function is None:
            return _staged(self.failing(node, f"{quote(name)} is not a defined function"))
        values = self._arguments(function, arguments)
        if function is BUILTINS["call"]:
            values.insert(0, _callee(arguments))
        last = last_of(arguments[-1]) if arguments else node
        check = self._count_check(node, function, len(arguments))
        if name in ("and", "or"):
            return _staged_check(check, _short_circuit(values, stops_at=name == "or"))
        invoke = function.call
        wants_text = function.wants_text_first and not arguments

        def call(dot: Value, frame: Frame, final: Value) -> Value:
            if final is NOTHING:
                operands = [value(dot, frame) for value in values]
            else:
                operands = [*[value(dot, frame) for value in values], final]
                if wants_text:
                    self._check_text(last, final)
            try:
                return invoke(frame[0], operands)
            except FunctionFault as fault:
                self.fail(at, f"error calling {name}: {fault}")

        return _staged_check(check, call)

    def _count_check(
        self, node: Identifier, function: Function, num_given: int
    ) -> Callable[[Value], None] | None:
        """Go counts the arguments when it calls. None if the count is right in any case."""
        num_fixed = function.num_fixed

        def check(final: Value) -> None:
            num = num_given + (final is not NOTHING)
            if function.variadic and num < num_fixed:
                want = f"want at least {num_fixed} got {num_given}"
                self.fail(node, f"wrong number of args for {node.name}: {want}")
            if not function.variadic and num != num_fixed:
                want = f"want {num_fixed} got {num}"
                self.fail(node, f"wrong number of args for {node.name}: {want}")

        return None if function.variadic and num_given >= num_fixed else check

    def _arguments(self, function: Function, arguments: Sequence[Node]) -> list[Evaluate]:
        values = [self.operand(argument) for argument in arguments]
        if function.wants_text_first and values:
            values[0] = self._text_argument(arguments[0], values[0])
        return values

    def _text_argument(self, node: Node, evaluate: Evaluate) -> Evaluate:
        """An argument that has to be a string, checked as Go does it: constants by their looks."""
        if isinstance(node, String):
            return evaluate
        if isinstance(node, Nil):
            return self.failing(node, "cannot assign nil to string")
        if isinstance(node, (Number, Bool)):
            return self.failing(node, f"expected string; found {node}")
        last = last_of(node)
        is_field = isinstance(node, (Field, Chain)) or (
            isinstance(node, Variable) and len(node.names) > 1
        )

        def text(dot: Value, frame: Frame) -> Value:
            value = evaluate(dot, frame)
            if not isinstance(value, str):
                self._check_text(last, value, is_field=is_field)
            return value

        return text

    def _check_text(self, at: Node, value: Value, *, is_field: bool = False) -> None:
        if isinstance(value, str):
            return
        if value is None and not is_field:
            self.fail(at, "invalid value; expected string")
        got = "interface {}" if value is None else type_name(value)
        self.fail(at, f"wrong type for value; expected string; got {got}")


def _callee(arguments: Sequence[Node]) -> Evaluate:
    """How the value that is to be called is written, for the error that follows."""
    text = str(arguments[0]) if arguments else "what is piped in"
    return lambda dot, frame: text


def _staged(evaluate: Evaluate) -> Stage:
    return lambda dot, frame, final: evaluate(dot, frame)


def _staged_check(check: Callable[[Value], None] | None, call: Stage) -> Stage:
    """The call, once the number of its arguments is right."""
    if check is None:
        return call
    checked = check

    def counted(dot: Value, frame: Frame, final: Value) -> Value:
        checked(final)
        return call(dot, frame, final)

    return counted


def _short_circuit(values: Sequence[Evaluate], *, stops_at: bool) -> Stage:
    """`and` and `or`: the first operand that decides, else the last."""

    def call(dot: Value, frame: Frame, final: Value) -> Value:
        value: Value = None
        for evaluate in values:
            value = evaluate(dot, frame)
            if bool(value) is stops_at:
                return value
        return value if final is NOTHING else final

    return call
