"""Read an answer that was asked for as JSON: parsed, typed, and pretty.

What the answer was asked for is in `schema`; as a table it is in `frames`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ollama_nb.errors import AnswerCut, NotJson

if TYPE_CHECKING:
    from ollama_nb.errors import Answer

# A model that was not held to JSON likes to put it into a block of code.
_BLOCK = re.compile(r"\s*```(?:json)?[ \t]*\n(?P<inside>.*)\n[ \t]*```\s*", re.DOTALL)


def as_json(answer: Answer) -> Any:
    """Parse an answer.

    Raises
    ------
    AnswerCut
        If it is no JSON because it was not finished.
    NotJson
        If it is no JSON and finished.
    """
    text = _json_text(answer)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if answer.done_reason in ("length", "interrupted", "error"):
            raise AnswerCut(answer) from None
        raise NotJson(answer, str(error)) from None
    except RecursionError:
        raise NotJson(answer, "it is nested too deeply") from None


def as_data(answer: Answer) -> Any:
    """Return an answer as the type it was asked for, else as JSON.

    Raises
    ------
    AnswerCut, NotJson
        As for `as_json`.
    NotFitting
        If it is JSON of another form.
    """
    plain = as_json(answer)
    if answer.schema is None or answer.schema.kind is None:
        return plain
    from ollama_nb.answers.schemas.types import typed

    return typed(answer.schema.kind, _json_text(answer))


def pretty(text: str) -> str:
    """Return JSON with its lines indented; what is no JSON, such as a cut answer, as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (json.JSONDecodeError, RecursionError):
        return text


def _json_text(answer: Answer) -> str:
    found = _BLOCK.fullmatch(answer.text)
    return found["inside"] if found else answer.text
