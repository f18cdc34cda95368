"""What is read off a template's tree. The expected readings are those of Ollama's code, run in Go."""

from __future__ import annotations

import pytest
from ollama_nb_server.gotemplate.analysis import read
from ollama_nb_server.prompts.go import GoChatTemplate

LOOP = "{{ range .Messages }}%s{{ end }}"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("text", ""),
        ("{{ .Prompt }}", "prompt"),
        ("{{ range $i, $_ := .Messages }}{{ $.Tools }}{{ .Role }}{{ end }}",
         "$ messages role tools"),
        ("{{ (index .Messages 0).Role }}", ""),
        ("{{ $x := .A }}{{ $x.B }}", "$x a b"),
        ('{{ define "t" }}{{ .C.D }}{{ end }}{{ template "t" .E }}', "c d e"),
        ("{{ if eq (len .F) 1 }}{{ else if .G }}{{ else }}{{ .H }}{{ end }}", "f g h"),
        ('{{ printf "%s" .I | print .J }}', "i j"),
        ("{{ with .K }}{{ . }}{{ else }}{{ .L }}{{ end }}", "k l"),
        ("{{ $x := 1 }}{{ $x }}{{ . }}", "$x"),
        ('{{ block "b" .M }}{{ .N }}{{ end }}', "m n"),
    ],
)  # fmt: skip
def test_the_names_that_a_template_uses(template: str, expected: str) -> None:
    reading = read(template)

    assert reading is not None
    assert sorted(reading.variables) == expected.split()


@pytest.mark.parametrize(
    ("template", "tag"),
    [
        ("", "{"),
        ("{{if .ToolCalls}}{{end}}", "{"),
        ("{{if .ToolCalls}}{{range .ToolCalls}}{{ . }}{{end}}{{end}}", "{"),
        ("{{if .ToolCalls}}```json\n{{end}}", "```json"),
        ("{{if .ToolCalls}}\n [ {{range .ToolCalls}}{{ . }}{{end}}]{{end}}", "["),
        ("{{if .ToolCalls}}{{range .ToolCalls}}{{ . }}{{end}}]{{end}}", "{"),
        ('{{if .ToolCalls}}{{range .ToolCalls}}<tool_call>{"name": 1}{{end}}{{end}}',
         "<tool_call>"),
        ("{{if .ToolCalls}}a\r\nb{{end}}", "a\nb"),
        ("{{if and .X (len .ToolCalls)}}<a>{{end}}", "{"),
        ("{{if and .X .ToolCalls}}<a>{{end}}", "<a>"),
        ("{{if .X}}{{else if .ToolCalls}}<b>{{end}}", "<b>"),
        ("{{range .Messages}}{{if .Content}}c{{else}}{{if .ToolCalls}}<d>{{end}}{{end}}{{end}}",
         "<d>"),
        ("{{with .M}}x{{else}}{{if $.ToolCalls}}<e>{{end}}{{if .ToolCalls}}<f>{{end}}{{end}}",
         "<f>"),
        ("{{if .ToolCalls}}{{if .X}}{{else}}<g>{{end}}<h>{{end}}", "<g>"),
        ("{{if .ToolCalls}}{{if .X}} {{end}}<h>{{end}}", "{"),
        ("{{if .ToolCalls}}{{$x := 1}}<i>{{end}}", "{"),
        ("{{if .ToolCalls}}{{end}}{{if .ToolCalls}}<second>{{end}}", "{"),
        ("{{range .ToolCalls}}<k>{{end}}", "{"),
        ('{{define "t"}}{{if .ToolCalls}}<l>{{end}}{{end}}{{template "t" .}}', "{"),
        ('{{if .ToolCalls}}{{template "t" .}}<m>{{end}}{{define "t"}}x{{end}}', "<m>"),
    ],
)  # fmt: skip
def test_the_tag_of_a_tool_call(template: str, tag: str) -> None:
    assert GoChatTemplate.of(template).tool_tag == tag


@pytest.mark.parametrize(
    ("template", "tags"),
    [
        (LOOP % "{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}",
         ("<think>", "</think>")),
        ("{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}" + LOOP % "", None),
        (LOOP % "<a>{{ .Thinking }}</a>", ("<a>", "</a>")),
        (LOOP % "{{ if .Thinking }}<b>{{ .Thinking }}{{ end }}", None),
        (LOOP % "{{ if .Thinking }}{{ .Thinking }}</c>{{ end }}", None),
        (LOOP % "{{ range .Parts }}<d>{{ .Thinking }}</d>{{ end }}", None),
        (LOOP % " <e>\n{{ if .Thinking }}x{{ end }}\n</e> ", ("<e>", "</e>")),
        (LOOP % "<f>{{ .Thinking }}</f>" + LOOP % "<g>{{ .Thinking }}</g>", ("<g>", "</g>")),
        (LOOP % "<h>{{ .Message.Thinking }}</h>", None),
        (LOOP % "<i>{{ .Thinking.X }}</i>", ("<i>", "</i>")),
        (LOOP % "<j>{{ (print .Thinking) }}</j>", ("<j>", "</j>")),
        (LOOP % "<k>{{ (index .X 0).Thinking }}</k>", None),
        (LOOP % "<l>{{ with .Thinking }}{{ . }}{{ end }}</l>", ("<l>", "</l>")),
        ("{{ range slice .Messages 1 }}<m>{{ .Thinking }}</m>{{ end }}", ("<m>", "</m>")),
        ("{{ range $.Messages }}<n>{{ .Thinking }}</n>{{ end }}", None),
        ('{{ range .Messages }}<o>{{ template "t" .Thinking }}</o>{{ end }}'
         '{{ define "t" }}{{ . }}{{ end }}', ("<o>", "</o>")),
        (LOOP % "<p>{{ .Thinking }}" + LOOP % "{{ .Thinking }}</q>", ("<p>", "</q>")),
        ("{{ range $i, $m := .Messages }}{{ if and .Thinking (eq $i 0) -}}\n<think>\n"
         "{{ .Thinking }}\n</think>\n{{- end }}{{ end }}", ("<think>", "</think>")),
        (LOOP % "<r>{{ $.Thinking }}</r>", None),
        ("{{ range .Thinking }}<s>{{ end }}", None),
        (LOOP % "{{ if .X }}<t>{{ else }}<u>{{ .Thinking }}</u>{{ end }}", ("<u>", "</u>")),
    ],
)  # fmt: skip
def test_the_tags_around_thinking(template: str, tags: tuple[str, str] | None) -> None:
    assert GoChatTemplate.of(template).think_tags == tags


@pytest.mark.parametrize("template", ["{{ .X", "{{ nope }}", "{{ if 1 }}"])
def test_a_text_that_is_no_template_has_no_reading(template: str) -> None:
    assert read(template) is None


def test_a_template_is_read_once() -> None:
    assert read("{{ .Once }}") is read("{{ .Once }}")
