"""What Go does since the version that recorded `golden.json` (1.19): Ollama is built with newer ones."""

from __future__ import annotations

from typing import Any

import pytest
from ollama_nb_server.gotemplate import ExecutionFault, SyntaxFault, parse

TEXTS = {
    # Since 1.22: range over an int
    "{{ range 3 }}{{ . }}{{ end }}": "012",
    "{{ range $i := 3 }}{{ $i }}{{ end }}": "012",
    "{{ range 0 }}x{{ else }}none{{ end }}": "none",
    "{{ range -2 }}x{{ else }}none{{ end }}": "none",
    "{{ range .One }}{{ . }}{{ end }}": "0",
    "{{ range len .Names }}{{ . }}{{ end }}": "01",
    "{{ range 6 }}{{ if eq . 1 }}{{ continue }}{{ end }}{{ if eq . 4 }}{{ break }}{{ end }}{{ . }}{{ end }}": "023",
    # Since 1.23: else with
    "{{ with .Null }}a{{ else with .Text }}b{{ . }}{{ else }}c{{ end }}": "btext",
    "{{ with .Null }}a{{ else with .Zero }}b{{ else }}c{{ end }}": "c",
    "{{ with $x := .Zero }}a{{ else with .Text }}{{ $x }}{{ . }}{{ end }}": "0text",
    # Since 1.24: a loop can assign to variables that there are already
    "{{ $x := 0 }}{{ range $x = .Names }}{{ end }}{{ $x }}": "a",
    "{{ $i := 9 }}{{ $x := 9 }}{{ range $i, $x = .Names }}{{ end }}{{ $i }}{{ $x }}": "1a",
}
FAULTS = {
    "{{ range $i, $x := 3 }}{{ end }}": "can't use 3 to iterate over more than one variable",
    "{{ range $x = .Names }}{{ end }}": "undefined variable: $x",
    '{{ eq "a" 1 }}': "incompatible types for comparison: string and int",
    '{{ lt "a" 1 }}': "incompatible types for comparison: string and int",
    "{{ call .Text }}": "error calling call: non-function .Text of type string",
    "{{ slice .Message.Next }}": "error calling slice: slice of nil pointer",
}


@pytest.mark.parametrize(("template", "text"), TEXTS.items())
def test_a_template_of_newer_go_runs(template: str, text: str, data: dict[str, Any]) -> None:
    assert parse(template).execute(data) == text


@pytest.mark.parametrize(("template", "reason"), FAULTS.items())
def test_errors_are_those_of_newer_go(template: str, reason: str, data: dict[str, Any]) -> None:
    with pytest.raises(ExecutionFault) as caught:
        parse(template).execute(data)

    assert caught.value.reason.endswith(reason)


def test_else_with_belongs_to_with_alone() -> None:
    with pytest.raises(SyntaxFault, match="unexpected <with> in input"):
        parse("{{ if 1 }}{{ else with 1 }}{{ end }}")
