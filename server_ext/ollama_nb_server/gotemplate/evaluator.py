"""From a template's trees to programs, once; running a template is calling its closures.

Owns bodies: text, actions, conditions, loops, calls of templates. Values are in `expressions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias

from ollama_nb_server.gotemplate.expressions import Expressions
from ollama_nb_server.gotemplate.formatting import show
from ollama_nb_server.gotemplate.frames import FIRST_SLOT, Evaluate, Frame, last_of, nil
from ollama_nb_server.gotemplate.functions import Function
from ollama_nb_server.gotemplate.limits import Run
from ollama_nb_server.gotemplate.nodes import (
    Action,
    Break,
    Continue,
    If,
    List,
    Node,
    Pipe,
    Range,
    TemplateCall,
    Text,
    With,
)
from ollama_nb_server.gotemplate.quoting import quote
from ollama_nb_server.gotemplate.values import NIL_ELEMENT, Value, sorted_items


class Signal(Enum):
    """Why a body ended early."""

    BREAK = auto()
    CONTINUE = auto()


Emit: TypeAlias = Callable[[Value, Frame], "Signal | None"]
Entries: TypeAlias = Callable[[Value, Run], Iterable[tuple[Value, Value]]]
NO_VALUE: Final = "<no value>"


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled template: its body, its frame's length, its nesting and its number of nodes."""

    body: Emit
    num_slots: int
    depth: int
    weight: int

    def execute(self, run: Run, data: Value) -> None:
        """Write the template's text for this data."""
        run.enter(self.depth)
        run.spend(self.weight)
        self.body(data, [run, data, *[None] * (self.num_slots - FIRST_SLOT)])
        run.leave(self.depth)


def compile_trees(
    trees: Mapping[str, List], functions: Mapping[str, Function]
) -> dict[str, Program]:
    """Every tree as a program; they call each other by name."""
    programs: dict[str, Program] = {}
    for name, root in trees.items():
        programs[name] = _Compiler(name, functions, programs).program(root)
    return programs


def _text(text: str) -> Emit:
    def emit(dot: Value, frame: Frame) -> None:
        frame[0].write(text)

    return emit


class _Compiler(Expressions):
    """Compiles one tree."""

    def __init__(
        self, name: str, functions: Mapping[str, Function], programs: Mapping[str, Program]
    ) -> None:
        super().__init__(name, functions)
        self.programs = programs

    def program(self, root: List) -> Program:
        """The whole tree."""
        body = self._body(root)
        return Program(body, self.num_slots, self.deepest, self.weight)

    def _body(self, node: List | None) -> Emit:
        if node is None:
            return nil
        self.enter()
        steps = tuple([self._emit(child) for child in node.nodes])
        self.leave()
        if len(steps) == 1:
            return steps[0]

        def emit(dot: Value, frame: Frame) -> Signal | None:
            for step in steps:
                signal = step(dot, frame)
                if signal is not None:
                    return signal
            return None

        return emit

    def _emit(self, node: Node) -> Emit:
        self.weight += 1
        if isinstance(node, Text):
            return _text(node.text)
        if isinstance(node, Action):
            return self._action(node)
        if isinstance(node, (If, With)):
            return self._condition(node)
        if isinstance(node, Range):
            return self._range(node)
        if isinstance(node, TemplateCall):
            return self._template_call(node)
        if isinstance(node, Break):
            return lambda dot, frame: Signal.BREAK
        if isinstance(node, Continue):
            return lambda dot, frame: Signal.CONTINUE
        if isinstance(node, List):
            return self._body(node)
        raise TypeError(f"a {type(node).__name__} cannot stand in the body of a template")

    def _action(self, node: Action) -> Emit:
        evaluate = self.pipe(node.pipe)
        if node.pipe.declarations:

            def emit_nothing(dot: Value, frame: Frame) -> None:
                evaluate(dot, frame)

            return emit_nothing

        def emit(dot: Value, frame: Frame) -> None:
            value = evaluate(dot, frame)
            if type(value) is not str:
                value = NO_VALUE if value is None else show(value)
            frame[0].write(value)

        return emit

    def _condition(self, node: If | With) -> Emit:
        """An if or a with. Go's truth is Python's, for the values that there are."""
        mark = self.mark()
        evaluate = self.pipe(node.pipe)
        body = self._body(node.body)
        otherwise = self._body(node.otherwise)
        self.forget(mark)

        def emit_if(dot: Value, frame: Frame) -> Signal | None:
            return body(dot, frame) if evaluate(dot, frame) else otherwise(dot, frame)

        def emit_with(dot: Value, frame: Frame) -> Signal | None:
            value = evaluate(dot, frame)
            return body(value, frame) if value else otherwise(dot, frame)

        return emit_if if isinstance(node, If) else emit_with

    def _template_call(self, node: TemplateCall) -> Emit:
        programs = self.programs
        evaluate = nil if node.pipe is None else self.pipe(node.pipe)

        def emit(dot: Value, frame: Frame) -> None:
            program = programs.get(node.name)
            if program is None:
                self.fail(node, f"template {quote(node.name)} not defined")
            program.execute(frame[0], evaluate(dot, frame))

        return emit

    # Loops

    def _range(self, node: Range) -> Emit:
        mark = self.mark()
        evaluate, key_slot, item_slot = self._range_pipe(node.pipe)
        weight = self.weight
        body = self._body(node.body)
        weight = 1 + self.weight - weight
        otherwise = self._body(node.otherwise)
        self.forget(mark)
        entries = self._entries(node.pipe)

        def emit(dot: Value, frame: Frame) -> Signal | None:
            run: Run = frame[0]
            empty = True
            for key, item in entries(evaluate(dot, frame), run):
                empty = False
                run.steps_left -= weight
                if run.steps_left < 0:
                    run.spend(0)
                item = NIL_ELEMENT if item is None else item
                if item_slot:
                    frame[item_slot] = item
                if key_slot:
                    frame[key_slot] = key
                if body(item, frame) is Signal.BREAK:
                    break
            return otherwise(dot, frame) if empty else None

        return emit

    def _range_pipe(self, pipe: Pipe) -> tuple[Evaluate, int | None, int | None]:
        """The value to loop over, and the slots of the key and of the element, if there are any."""
        evaluate = self.commands(pipe)
        slots: list[int | None] = []
        for name in (variable.names[0] for variable in pipe.declarations):
            slot = self.slot(name) if pipe.assigns else self.declare(name)
            if slot is None:
                evaluate = self.failing(last_of(pipe), f"undefined variable: {name}", evaluate)
            slots.append(slot)
        key_slot, item_slot = [None, None, *slots][-2:]
        return evaluate, key_slot, item_slot

    def _entries(self, pipe: Pipe) -> Entries:
        """What a loop goes over: pairs of a key and an element."""

        def entries(value: Value, run: Run) -> Iterable[tuple[Value, Value]]:
            if isinstance(value, list):
                return enumerate(value)
            if value is None:
                return ()
            if isinstance(value, dict):
                run.spend(len(value))
                return sorted_items(value)
            if not isinstance(value, int) or isinstance(value, bool):
                self.fail(last_of(pipe), f"range can't iterate over {show(value)}")
            if len(pipe.declarations) > 1:
                reason = f"can't use {value} to iterate over more than one variable"
                self.fail(last_of(pipe), reason)
            return ((None, number) for number in range(value))

        return entries
