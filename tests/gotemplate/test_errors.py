"""Where a fault is: line and column of what is wrong, and what its sentence says."""

from __future__ import annotations

import pytest
from ollama_nb_server.gotemplate import ExecutionFault, FunctionFault, Struct, SyntaxFault, parse

SYNTAX = [
    ("{{ .X", 1, 5, "unclosed action"),
    ("one\ntwo {{ nope }}", 2, 7, 'function "nope" not defined'),
    ("äö {{ nope }}", 1, 8, 'function "nope" not defined'),
    ("{{ if 1 }}\n\n{{ end 2 }}", 3, 7, 'unexpected "2" in end'),
    (
        "a\n{{ .X\n\n| € }}",
        4,
        2,
        "unrecognized character in action: U+20AC '€' in action started at :2",
    ),
    ("{{ 2i }}", 1, 3, 'complex numbers are not supported: "2i"'),
]
EXECUTION = [
    ("{{ .A.B }}", 1, 5, ".A.B", "nil pointer evaluating interface {}.B"),
    ("\n\nä{{ len 3 }}", 3, 5, "len 3", "error calling len: len of type int"),
    (
        "{{ with .M }}{{ .Foo.Bar }}{{ end }}",
        1,
        20,
        ".Foo.Bar",
        "can't evaluate field Foo in type api.Message",
    ),
]


@pytest.mark.parametrize(("template", "line", "column", "reason"), SYNTAX)
def test_a_syntax_fault_knows_its_place(template: str, line: int, column: int, reason: str) -> None:
    with pytest.raises(SyntaxFault) as caught:
        parse(template)

    fault = caught.value
    assert (fault.line, fault.column, fault.reason) == (line, column, reason)
    assert str(fault) == f"template: :{line}: {reason}"
    assert fault.detail == f"line {line}, column {column + 1}: {reason}"


@pytest.mark.parametrize(("template", "line", "column", "context", "reason"), EXECUTION)
def test_an_execution_fault_knows_its_place(
    template: str, line: int, column: int, context: str, reason: str
) -> None:
    with pytest.raises(ExecutionFault) as caught:
        parse(template).execute({"M": Struct("api.Message", {"Role": "user"})})

    fault = caught.value
    assert (fault.line, fault.column, fault.context) == (line, column, context)
    assert str(fault) == f'template: :{line}:{column}: executing "" at <{context}>: {reason}'


def test_a_fault_in_a_defined_template_names_it() -> None:
    template = parse('{{ define "inner" }}\n{{ len 3 }}{{ end }}{{ template "inner" }}')

    with pytest.raises(ExecutionFault, match=r':2:3: executing "inner" at <len 3>') as caught:
        template.execute({})

    assert caught.value.name == "inner"


def test_a_function_of_ours_reports_what_it_cannot_use() -> None:
    def shout(text: str) -> str:
        if not isinstance(text, str):
            raise FunctionFault("shout wants a text")
        return text.upper()

    template = parse("{{ shout . }}", {"shout": shout})

    assert template.execute("hi") == "HI"
    with pytest.raises(ExecutionFault, match="error calling shout: shout wants a text"):
        template.execute(3)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ two 1 }}", "wrong number of args for two: want 2 got 1"),
        ("{{ 1 | two 1 2 }}", "wrong number of args for two: want 2 got 3"),
        ("{{ some }}", "wrong number of args for some: want at least 1 got 0"),
    ],
)
def test_arguments_of_a_function_of_ours_are_counted(template: str, reason: str) -> None:
    functions = {"two": lambda a, b: "", "some": lambda a, *more: "", "opt": lambda a, b=1: ""}

    with pytest.raises(ExecutionFault) as caught:
        parse(template, functions).execute({})

    assert caught.value.reason == reason


def test_a_value_that_stands_for_nothing_in_go_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError, match="stands for no Go value"):
        parse("{{ . }}").execute(object())
