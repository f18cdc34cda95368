"""Every small template against what Go made of it, texts and errors alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ollama_nb_server.gotemplate import GoTemplateError, parse

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text("utf-8"))
# Go 1.19, which recorded the others, or our model of Go's types is not what Ollama runs here.
DIFFERENT = {
    # Newer Go names the types.
    "{{ eq .List 1 }}": 'template: :1:3: executing "" at <eq .List 1>: error calling eq: '
    "incompatible types for comparison: []interface {} and int",
    # Go's own text is a panic of its package reflect.
    "{{ len nil }}": 'template: :1:3: executing "" at <len nil>: error calling len: '
    "len of nil pointer",
    # Go says what the list's elements are declared as; we know what this one is.
    "{{ range .List }}{{ .X }}{{ end }}": 'template: :1:20: executing "" at <.X>: '
    "can't evaluate field X in type int",
    # Our nil pointers do not know the fields of what they could point to.
    "{{ .Message.Next.Nope }}": 'template: :1:11: executing "" at <.Message.Next.Nope>: '
    "nil pointer evaluating *main.Message.Nope",
}


def outcome(template: str, data: dict[str, Any]) -> dict[str, str]:
    try:
        return {"text": parse(template).execute(data)}
    except GoTemplateError as fault:
        return {"error": str(fault)}


SAME = [case for case in GOLDEN if case["template"] not in DIFFERENT]


@pytest.mark.parametrize("case", SAME, ids=lambda case: case["template"][:60])
def test_a_template_does_what_it_does_in_go(case: dict[str, str], data: dict[str, Any]) -> None:
    expected = {key: value for key, value in case.items() if key in ("text", "error")}

    assert outcome(case["template"], data) == expected


@pytest.mark.parametrize(("template", "error"), DIFFERENT.items())
def test_the_few_differences_are_meant(template: str, error: str, data: dict[str, Any]) -> None:
    assert outcome(template, data) == {"error": error}
