"""Llama 3's way out of an answer: `<|python_tag|>`, and behind it a call or Python to be run."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ollama_nb_server.prompts.parsing.json_calls import JsonCalls
from ollama_nb_server.prompts.parsing.parts import Call, Tool
from ollama_nb_server.prompts.parsing.sections import CallBroken
from ollama_nb_server.prompts.parsing.shapes import Shape

BUILT_IN = re.compile(r"\s*([A-Za-z_][\w.]*)\.call\((.*)\)\s*", re.DOTALL)
INTERPRETERS = ("python", "ipython", "code_interpreter")


@dataclass(frozen=True, slots=True)
class PythonTag:
    """JSON as in the rest of the family; `look.call(at="sea")`; or code for an interpreter's tool.

    What follows the tag is one call, to the end of the answer.
    """

    json: JsonCalls
    opens: str = "<|python_tag|>"
    closes: str = ""

    def read(self, body: str, tools: Sequence[Tool]) -> Sequence[Call]:
        """The call of a body."""
        if body.lstrip().startswith(("{", "[")):
            return self.json.read(body, tools)
        if found := BUILT_IN.fullmatch(body):
            return [Call(found.group(1), _keywords(found.group(2)))]
        interpreter = next((tool.name for tool in tools if tool.name in INTERPRETERS), None)
        if interpreter is None or not body.strip():
            raise CallBroken("Python, and no tool that runs it")
        return [Call(interpreter, {"code": body})]

    def ends(self, body: str, since: int) -> int:
        """Only the answer's end ends it."""
        return 0

    def shape(self, tools: Sequence[Tool]) -> Shape:
        """A call in JSON."""
        return self.json.shape(tools)


def _keywords(text: str) -> dict[str, Any]:
    """The arguments of a call in Python, literals only."""
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise CallBroken("a built-in tool's arguments have names")
        return {one.arg or "": ast.literal_eval(one.value) for one in call.keywords}
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise CallBroken(f"failed to parse the arguments: {error}") from error
