"""Templates made by chance: nothing but this package's errors comes out of them, and soon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ollama_nb_server.gotemplate import GoTemplateError, Limits, Struct, parse
from ollama_nb_server.gotemplate.lexer import Kind, tokenize
from ollama_nb_server.gotemplate.nodes import walk

LIMITS = Limits(max_steps=20_000, max_output_chars=200_000)
DATA: dict[str, Any] = {
    "A": 1, "B": "äb", "C": [1, "x", None, 2.5], "D": {"k": "v", "n": None, "d": {"e": [0]}}, "E": None,
    "F": True, "G": Struct("api.Message", {"Role": "user", "List": [], "Any": None}), "H": -0.0,
}  # fmt: skip
OPERANDS = [
    ".", "$", ".A", ".B", ".C", ".D.d", ".D.n.x", ".E", ".F", ".G.Role", ".G.X", ".H", "$x", "$y", "$.C",
    "0", "1", "-3", "2.5", "0x1F", "1e9", "'a'", '"s"', '"%d|%5.2v|%*q"', '"%[2]x"', "`r`", "nil", "true",
    '"\\xff\\u00e9"', "9223372036854775807", "(len .B)", "(index .C 1)", "(slice .B 1)", "(print .D)",
]  # fmt: skip
FUNCTIONS = [
    "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice", "print", "printf",
    "println", "html", "js", "urlquery", "call",
]  # fmt: skip
JUNK = [
    "{{", "}}", "{{-", "-}}", "{{- ", " -}}", " ", "\n", "/*", "*/", "{{/*", "*/}}", "(", ")", "|", ",", ":=",
    "=", ".", "..", "$", '"', "'", "`", "\\", "0x", "1_", "é", "²", "€", "\x00", "\ud800", "\udcff", "end",
    "else", "if", "range", "with", "define", "block", "template", "break", "continue", "nil", "text",
]  # fmt: skip
GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text("utf-8"))

expressions = st.recursive(
    st.sampled_from(OPERANDS),
    lambda inner: st.builds(
        lambda name, args, tail: f"({' '.join([name, *args])}{tail})",
        st.sampled_from(FUNCTIONS),
        st.lists(inner, max_size=4),
        st.sampled_from(["", " | print", " | len", ".k", " | index .C", ' | printf "%v"']),
    ),
    max_leaves=12,
)
actions = st.builds(
    lambda opening, pipe, closing: f"{{{{{opening}{pipe}{closing}}}}}",
    st.sampled_from(["", "- ", "$x := ", "$x = "]),
    expressions,
    st.sampled_from(["", " -", " | print"]),
)
bodies = st.recursive(
    st.lists(actions | st.sampled_from(["text ", " \n", "ü", "{"]), max_size=3).map("".join),
    lambda inner: st.builds(
        lambda opening, pipe, body, middle, rest: (
            f"{{{{{opening} {pipe}}}}}{body}{middle}{rest}{{{{end}}}}"
        ),
        st.sampled_from(
            ["if", "with", "range", "range $y :=", "range $i, $y :=", "if $y :=", 'block "t"']
        ),
        expressions,
        inner,
        st.sampled_from(
            ["", "{{else}}", "{{else if 1}}", "{{else with .A}}", "{{break}}", "{{continue}}"]
        ),
        inner,
    ),
    max_leaves=8,
)
quick = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def run(template: str) -> str | None:
    """The text, or None where there is an error that we promise."""
    try:
        return parse(template).execute(DATA, LIMITS)
    except GoTemplateError:
        return None


@quick
@given(st.lists(st.sampled_from(JUNK + OPERANDS + FUNCTIONS), max_size=25).map("".join))
def test_junk_is_a_text_or_an_error(template: str) -> None:
    run(template)


@quick
@given(st.text(max_size=60).map(lambda text: "{{" + text))
def test_any_text_in_an_action_is_a_text_or_an_error(template: str) -> None:
    run(template)


@quick
@given(st.lists(bodies, max_size=3).map("".join))
def test_templates_that_look_right_are_a_text_or_an_error(body: str) -> None:
    run("{{ $x := 1 }}" + body)


@quick
@given(
    st.text(alphabet="%+-# 0123.*[]vdsqxXtfgeEcUTpbo é", max_size=12),
    st.lists(st.sampled_from(OPERANDS), max_size=4),
)
def test_any_format_prints_something(format_text: str, operands: list[str]) -> None:
    run(f"{{{{ $x := 1 }}}}{{{{ $y := 2 }}}}{{{{ printf `{format_text}` {' '.join(operands)} }}}}")


@quick
@given(st.data())
def test_a_template_that_was_cut_is_a_text_or_an_error(data: st.DataObject) -> None:
    template = data.draw(st.sampled_from(GOLDEN))["template"]
    start = data.draw(st.integers(0, len(template)))
    end = data.draw(st.integers(start, len(template)))

    run(template[:start] + template[end:])


@quick
@given(st.lists(st.sampled_from(JUNK + OPERANDS), max_size=25).map("".join))
def test_tokens_are_pieces_of_the_text_in_order(template: str) -> None:
    tokens = tokenize(template)

    at = 0
    for token in tokens[:-1]:
        at = template.index(token.text, at) + len(token.text)
    assert tokens[-1].kind in (Kind.EOF, Kind.ERROR)
    places = [(token.position.line, token.position.column) for token in tokens]
    assert places == sorted(places)


@quick
@given(bodies)
def test_a_tree_printed_and_read_again_is_the_same(body: str) -> None:
    text = "{{ $x := 1 }}{{ $y := 2 }}" + body.replace("{{", "\x01").replace("{", "").replace(
        "\x01", "{{"
    )
    try:
        root = parse(text).root
    except GoTemplateError:
        return

    again = parse(str(root)).root

    assert again == root
    assert sum(1 for _ in walk(again)) == sum(1 for _ in walk(root))
