"""What an answer must look like: `format`, or a grammar of the options, as the engine takes it."""

from __future__ import annotations

from typing import Any

import orjson

from ollama_nb_server.answering.output import OutputPlan
from ollama_nb_server.engine.messages import Grammar
from ollama_nb_server.wire.errors import GrammarConflict, InvalidFormat
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
    InvalidFormat, GrammarConflict
        If it is something else; if a grammar is given as well.
    """
    marks: dict[str, Any] = {}
    thoughts = output.thoughts
    if thoughts is not None:
        marks = {"after": thoughts.closes, "opens": "" if thoughts.begun else thoughts.opens}
    if form is None or form == "":
        return Grammar("gbnf", options.grammar, **marks) if options.grammar else None
    if form != "json" and not isinstance(form, dict):
        raise InvalidFormat(form)
    if options.grammar:
        raise GrammarConflict
    if form in ("json", {}):
        return Grammar("json_object", **marks)
    return Grammar("json_schema", orjson.dumps(form).decode(), **marks)
