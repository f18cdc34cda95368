"""What an answer must look like: `format`, or a grammar of the options, as the engine takes it."""

from __future__ import annotations

from typing import Any

import orjson

from ollama_nb_server.answering.output import BoundCalls, OutputPlan
from ollama_nb_server.engine.messages import Grammar
from ollama_nb_server.prompts.parsing.loose_calls import loose_shape, loose_triggers
from ollama_nb_server.wire.errors import GrammarConflict, InvalidFormat, ToolChoiceConflict
from ollama_nb_server.wire.options import Options


def constraint(form: Any, options: Options, output: OutputPlan) -> Grammar | None:
    """The constraint of a request; None is a free answer.

    Parameters
    ----------
    form
        `format` as sent: "json" (any JSON object), a JSON Schema, or nothing.
    output
        How the answer is read: what may be thought before it, and whether calls are bound.

    Raises
    ------
    InvalidFormat, GrammarConflict, ToolChoiceConflict
        If it is something else; if a grammar is given as well; if calls are bound at once.
    """
    marks: dict[str, Any] = {}
    thoughts = output.thoughts
    if thoughts is not None:
        marks = {"after": thoughts.closes, "opens": "" if thoughts.begun else thoughts.opens}
    if output.calls is not None:
        if form or options.grammar:
            raise ToolChoiceConflict(
                "tool_choice binds calls, format and grammar the whole answer: give one of them"
            )
        return _calls(output.calls, marks)
    if form is None or form == "":
        return Grammar("gbnf", options.grammar, **marks) if options.grammar else None
    if form != "json" and not isinstance(form, dict):
        raise InvalidFormat(form)
    if options.grammar:
        raise GrammarConflict
    if form in ("json", {}):
        return Grammar("json_object", **marks)
    return Grammar("json_schema", orjson.dumps(form).decode(), **marks)


def _calls(bound: BoundCalls, marks: dict[str, str]) -> Grammar:
    """A free answer whose calls, from their opening tag on, are calls of the tools."""
    notation = bound.notation
    shape = orjson.dumps(notation.shape(bound.tools).document()).decode()
    inside = bound.end_thoughts and not bound.must_call  # of a thought
    behind: dict[str, Any] = {} if inside else {**marks}
    triggers = (notation.opens,)
    if bound.loose:
        loose = orjson.dumps(loose_shape(bound.tools).document()).decode()
        behind |= {"loose": loose, "loose_triggers": loose_triggers(bound.tools)}
    return Grammar("shape", shape, triggers=triggers, required=bound.must_call, **behind)
