"""Pipelines, operands and fields as Python closures.

Owns what an expression's value is. Calls are in `calls`, bodies in `evaluator`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ollama_nb_server.gotemplate import fields
from ollama_nb_server.gotemplate.calls import Calls
from ollama_nb_server.gotemplate.errors import FunctionFault
from ollama_nb_server.gotemplate.frames import NOTHING, Evaluate, Frame, Stage, last_of, nil
from ollama_nb_server.gotemplate.nodes import (
    Bool,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Nil,
    Node,
    Number,
    Pipe,
    String,
    Variable,
)
from ollama_nb_server.gotemplate.numbers import MAX_INT
from ollama_nb_server.gotemplate.values import NIL_ELEMENT, Struct, Value


def _dot(dot: Value, frame: Frame) -> Value:
    return None if dot is NIL_ELEMENT else dot


def _raw_dot(dot: Value, frame: Frame) -> Value:
    return dot


def _constant(value: Value) -> Evaluate:
    return lambda dot, frame: value


def _raw_variable(slot: int) -> Evaluate:
    return lambda dot, frame: frame[slot]


def _variable(slot: int) -> Evaluate:
    def variable(dot: Value, frame: Frame) -> Value:
        value = frame[slot]
        return None if value is NIL_ELEMENT else value

    return variable


class Expressions(Calls):
    """Compiles expressions."""

    def pipe(self, pipe: Pipe) -> Evaluate:
        """A pipeline's value; its variables are set on the way."""
        evaluate = self.commands(pipe)
        if not pipe.declarations:
            return evaluate
        name = pipe.declarations[0].names[0]
        slot = self.slot(name) if pipe.assigns else self.declare(name)
        if slot is None:
            return self.failing(last_of(pipe), f"undefined variable: {name}", evaluate)
        target = slot

        def assign(dot: Value, frame: Frame) -> Value:
            value = frame[target] = evaluate(dot, frame)
            return value

        return assign

    def commands(self, pipe: Pipe) -> Evaluate:
        """A pipeline's value, whatever it declares."""
        first, *others = pipe.commands
        evaluate = self._command(first, pipe)
        if not others:
            return evaluate
        stages = [self._stage(*pair) for pair in zip(others, pipe.commands, strict=False)]

        def chain(dot: Value, frame: Frame) -> Value:
            value = evaluate(dot, frame)
            for stage in stages:
                value = stage(dot, frame, value)
            return value

        return chain

    def _command(self, command: Command, pipe: Pipe) -> Evaluate:
        """A first command: nothing is piped into it."""
        first, *arguments = command.arguments
        if isinstance(first, Identifier):
            call = self.call(first, arguments, command)
            return lambda dot, frame: call(dot, frame, NOTHING)
        if isinstance(first, (Field, Variable, Chain)):
            return self._fields(first, has_arguments=bool(arguments))
        if arguments:
            at = pipe if isinstance(first, Pipe) else first
            return self.failing(at, f"can't give argument to non-function {first}")
        if isinstance(first, Nil):
            return self.failing(first, "nil is not a command")
        return self.operand(first)

    def _stage(self, command: Command, before: Command) -> Stage:
        """A later command, with the value of the one before piped into it."""
        first, *arguments = command.arguments
        if isinstance(first, Identifier):
            return self.call(first, arguments, command)
        if isinstance(first, (Field, Variable, Chain)):
            evaluate = self._fields(first, has_arguments=True)
        else:
            reason = f"can't give argument to non-function {first}"
            evaluate = self.failing(last_of(before), reason)
        return lambda dot, frame, final: evaluate(dot, frame)

    def operand(self, node: Node) -> Evaluate:
        """An argument, or a command without arguments."""
        self.weight += 1
        if isinstance(node, (Field, Variable, Chain)):
            return self._fields(node)
        if isinstance(node, Pipe):
            self.enter()
            evaluate = self.pipe(node)
            self.leave()
            return evaluate
        if isinstance(node, Dot):
            return _dot
        if isinstance(node, Number) and isinstance(node.value, int) and node.value > MAX_INT:
            return self.failing(node, f"{node} overflows int")
        if isinstance(node, (String, Number, Bool)):
            return _constant(node.value)
        if isinstance(node, Identifier):
            call = self.call(node, [], node)
            return lambda dot, frame: call(dot, frame, NOTHING)
        return nil

    # Fields

    def _fields(self, node: Field | Variable | Chain, *, has_arguments: bool = False) -> Evaluate:
        """Fields of the dot, of a variable, of a parenthesis."""
        self.weight += 1
        if isinstance(node, Field):
            if len(node.names) == 1 and not has_arguments:
                return self._field_of_dot(node.names[0], node)
            return self._follow(_raw_dot, node.names, node, has_arguments)
        if isinstance(node, Chain):
            inner = self.operand(node.node)
            return self._follow(inner, node.names, last_of(node.node), has_arguments)
        name, *names = node.names
        slot = self.slot(name)
        if slot is None:
            return self.failing(node, f"undefined variable: {name}")
        if names:
            return self._follow(_raw_variable(slot), names, node, has_arguments)
        if has_arguments:
            return self.failing(node, f"can't give argument to non-function {node}")
        return _variable(slot)

    def _follow(
        self, start: Evaluate, names: Sequence[str], at: Node, has_arguments: bool
    ) -> Evaluate:
        follow = fields.call if has_arguments else fields.follow

        def evaluate(dot: Value, frame: Frame) -> Value:
            try:
                return follow(start(dot, frame), names)
            except FunctionFault as fault:
                self.fail(at, str(fault))

        return evaluate

    def _field_of_dot(self, name: str, at: Node) -> Evaluate:
        """The most common of all, so it asks for little."""
        names = (name,)

        def evaluate(dot: Value, frame: Frame) -> Value:
            if type(dot) is dict:
                return dot.get(name)
            if isinstance(dot, Struct) and name in dot.fields:
                return dot.fields[name]
            try:
                return fields.follow(dot, names)
            except FunctionFault as fault:
                self.fail(at, str(fault))

        return evaluate
