"""What callers do with a template: look at its tree, cut it, give it functions and values."""

from __future__ import annotations

import time
from typing import Any

import pytest
from ollama_nb_server.gotemplate import ExecutionFault, NilPointer, Struct, Template, parse
from ollama_nb_server.gotemplate.nodes import (
    Action,
    Command,
    Field,
    List,
    Node,
    Pipe,
    Position,
    Range,
    TemplateCall,
    Text,
    Variable,
    walk,
)


class Shouting(list[str]):
    """A list that prints in its own way."""

    def go_string(self) -> str:
        return "!".join(self)


def test_a_tree_is_walked_in_the_order_of_the_document() -> None:
    root = parse("a{{ if .X }}{{ range $i, $m := .Y }}{{ $m.Z }}{{ end }}{{ else }}b{{ end }}").root

    shown = [str(node) for node in walk(root) if isinstance(node, Field | Variable | Text)]

    assert shown == ["a", ".X", "$i", "$m", ".Y", "$m.Z", "b"]


def test_nodes_know_their_place_but_are_equal_wherever_they_stand() -> None:
    first, second = parse("{{ .A }}\né{{ .A }}").root.nodes[::2]

    assert first == second
    assert (first.position, second.position) == (Position(1, 3), Position(2, 5))


def test_an_action_can_be_added_to_the_root() -> None:
    template = parse("{{ .Prompt }}")
    response: Node = Action(Pipe((Command((Field(("Response",)),)),)))

    longer = template.replace(List((*template.root.nodes, response)))

    assert longer.execute({"Prompt": "p", "Response": "r"}) == "pr"
    assert template.execute({"Prompt": "p", "Response": "r"}) == "p"


def test_a_part_of_a_template_runs_without_the_variables_around_it() -> None:
    template = parse("{{ $x := 1 }}{{ range .L }}{{ . }}{{ $x }}{{ end }}")
    loop = next(node for node in walk(template.root) if isinstance(node, Range))

    with pytest.raises(ExecutionFault, match=r"undefined variable: \$x"):
        template.replace(loop.body).execute("dot")


def test_a_template_can_be_left_without_its_functions_and_its_templates() -> None:
    template = parse('{{ define "t" }}x{{ end }}{{ template "t" }}{{ json . }}', {"json": repr})

    assert template.execute(1) == "x1"
    with pytest.raises(ExecutionFault, match='"json" is not a defined function'):
        template.replace(functions={}).execute(1)
    with pytest.raises(ExecutionFault, match='template "t" not defined'):
        template.replace(trees={}).execute(1)


def test_the_trees_are_there_by_name() -> None:
    template = parse('{{ block "b" .X }}{{ . }}{{ end }}')

    assert template.root == List((TemplateCall("b", parse("{{ .X }}").root.nodes[0].pipe),))
    assert str(template.trees["b"]) == "{{.}}"
    assert list(template.trees) == ["b", ""]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ . }}", "a!b!c"),
        ("{{ slice . 1 }}", "b!c"),
        ("{{ print . 1 }}", "a!b!c 1"),
        (
            '{{ printf "%s|%v|%q|%d" . . . . }}',
            'a!b!c|a!b!c|"a!b!c"|[%!d(string=a) %!d(string=b) %!d(string=c)]',
        ),
        ("{{ range . }}<{{ . }}>{{ end }}{{ len . }}{{ index . 1 }}", "<a><b><c>3b"),
        ("{{ html . }}", "a!b!c"),
    ],
)
def test_a_value_prints_in_its_own_way(template: str, text: str) -> None:
    assert parse(template).execute(Shouting(["a", "b", "c"])) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ('{{ slice "é€" 0 1 }}{{ slice "é€" 1 }}', "é€"),
        ('{{ slice "é" 0 1 }}', "\ufffd"),
        ('{{ "\\xff" }}|{{ printf "%q" "\\xff" }}', '\ufffd|"\\xff"'),
        ('{{ len (slice "é" 1) }}', "1"),
        ("{{ len . }}", "3"),
        ("{{ . }}", "\ufffd"),
    ],
)
def test_bytes_that_are_no_text_do_no_harm(template: str, text: str) -> None:
    lone_surrogate = "\ud800"

    assert parse(template).execute(lone_surrogate) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ if .P }}t{{ else }}f{{ end }}", "f"),
        ("{{ .P }}", "<nil>"),
        ("{{ eq .P nil }}", "true"),
        ("{{ if .S }}t{{ end }}{{ .S }}", "t{ 0}"),
        ('{{ printf "%+v" .S }}', "{Name: Age:0}"),
        ('{{ printf "%#v" .S }}', 'main.S{Name:"", Age:0}'),
    ],
)
def test_structs_are_true_and_nil_pointers_are_not(template: str, text: str) -> None:
    data = {"P": NilPointer("*main.S"), "S": Struct("main.S", {"Name": "", "Age": 0})}

    assert parse(template).execute(data) == text


def test_a_template_keeps_nothing_of_its_runs() -> None:
    template = parse("{{ $x := .A }}{{ range .L }}{{ $x = . }}{{ end }}{{ $x }}")

    texts = [template.execute({"A": n, "L": items}) for n, items in [(1, [2, 3]), (4, [])]]

    assert texts == ["3", "4"]


def test_a_longer_chat_takes_time_in_proportion() -> None:
    template = parse(
        "{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
        '{{ if eq .Role "user" }}<u>{{ .Content }}{{ else }}<a>{{ .Content }}{{ end }}'
        "{{ if $last }}.{{ end }}{{ end }}"
    )

    ratio = seconds(template, 2_000) / seconds(template, 200)

    assert ratio < 40  # 10 if it is in proportion, 100 if it grows by the square


def seconds(template: Template, num_messages: int) -> float:
    """The shortest of several times: the others were waiting for the processor."""
    data: dict[str, Any] = {
        "Messages": [Struct("api.Message", {"Role": "user", "Content": "Hi"})] * num_messages
    }
    times: list[float] = []
    for _ in range(5):
        started = time.perf_counter()
        template.execute(data)
        times.append(time.perf_counter() - started)
    return min(times)
