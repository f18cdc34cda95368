"""Collation and the old style. What is expected was computed by Ollama's own code, run in Go."""

from __future__ import annotations

from datetime import datetime

import pytest
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.go import GoChatTemplate
from ollama_nb_server.prompts.go_forms import Exchange, collated, exchanges

THREE_PARTS = "[{{ .System }}|{{ .Prompt }}|{{ .Response }}]"


def noon() -> datetime:
    return datetime(2026, 3, 1, 12)


def turns(*texts: str) -> list[Turn]:
    """Turns written as `user: text`."""
    pairs = (text.split(": ", 1) for text in texts)
    return [Turn(role, content) for role, content in pairs]


def render(template: str, *texts: str) -> str:
    return GoChatTemplate.of(template, clock=noon).render(turns(*texts))


def test_neighbours_of_one_role_are_merged_with_an_empty_line() -> None:
    _, merged = collated(turns("user: 1", "user: 2", "user: 3", "assistant: A", "user: 4"))

    assert merged == turns("user: 1\n\n2\n\n3", "assistant: A", "user: 4")


def test_answers_of_tools_stay_apart() -> None:
    answers = [Turn("tool", "7", tool_name="a"), Turn("tool", "8", tool_name="b")]

    assert collated(answers) == ("", answers)


def test_all_system_texts_are_told_together_and_stay_where_they_were() -> None:
    system, merged = collated(turns("system: 1", "user: U", "system: 2"))

    assert system == "1\n\n2"
    assert merged == turns("system: 1", "user: U", "system: 2")


def test_a_merged_turn_keeps_what_came_with_its_first_one() -> None:
    first = Turn("assistant", "1", tool_calls=({"id": "a"},), thinking="hm", images=(b"",))
    second = Turn("assistant", "2", tool_calls=({"id": "b"},), thinking="no", images=(b"",) * 2)

    _, merged = collated([first, second])

    assert merged == [
        Turn("assistant", "1\n\n2", tool_calls=({"id": "a"},), thinking="hm", images=(b"",))
    ]


def test_the_last_exchange_is_the_one_that_is_not_over() -> None:
    over, now = exchanges(turns("system: S", "user: U1", "assistant: A1", "user: U2"))

    assert over == [Exchange("S", "U1", "A1")]
    assert now == Exchange("", "U2", "")


@pytest.mark.parametrize(
    ("conversation", "expected"),
    [
        (["system: S", "user: U1", "assistant: A1", "user: U2"], "[S|U1|A1][|U2|"),
        (["user: U1", "system: S", "user: U2"], "[|U1|][S|U2|"),
        (["system: S", "assistant: A0", "user: U2"], "[S||A0][|U2|"),
        (["user: U1", "assistant: A1", "assistant: A2", "tool: T", "user: U3"],
         "[|U1|A1\n\nA2][|U3|"),
        (["user: U1", "assistant: A1"], "[|U1|A1"),
        ([], "[||"),
        (["system: S1", "system: S2", "user: U"], "[S1\n\nS2|U|"),
        (["system: S1", "user: U", "system: S2"], "[S1|U|][S2||"),
        (["user: U1", "assistant: A1", "system: S"], "[|U1|A1][S||"),
        (["assistant: A"], "[||A"),
        (["user: U1", "tool: T", "user: U2"], "[|U2|"),
        (["other: X", "user: U"], "[|U|"),
    ],
)  # fmt: skip
def test_a_conversation_in_the_old_style(conversation: list[str], expected: str) -> None:
    assert render(THREE_PARTS, *conversation) == expected


@pytest.mark.parametrize(
    ("template", "asked", "answered", "begun"),
    [
        ("<a>{{ .Response }}</a>", "<a>", "<a>A1</a><a>", "<a>A1"),
        ("{{ if .Response }}<a>{{ .Response }}</a>{{ end }}tail", "", "<a>A1</a>tail", "<a>A1"),
        ("{{ with .Response }}<a>{{ . }}</a>{{ end }}tail",
         "tail", "<a>A1</a>tailtail", "<a>A1</a>tail"),
        ('{{ printf "%s!" .Response }}tail', "!", "A1!tail!", "A1!"),
        ("{{ .Response }}<u>{{ .Prompt }}</u>", "", "A1<u>U1</u>", "A1"),
        ('{{ .Response | printf "%s!" }}tail', "", "A1!tail", ""),
        ('{{ or .Response "x" }}tail', "", "A1tail", "A1"),
        ("{{ $r := .Response }}{{ .Prompt }}", "", "U1", ""),
        ("{{ $.Response }}{{ .Prompt }}tail", "U2tail", "A1U1tailU2tail", "A1U1tail"),
        ('{{ .Prompt }}{{ if eq .Response "" }}open{{ end }}tail',
         "U2opentail", "U1tailU2opentail", "U1tail"),
        ("{{ .Prompt }} {{ .Response }}{{ .Response }}", "U2 ", "U1 A1A1U2 ", "U1 A1"),
        ("{{ .Prompt }}{{ range .Nope }}{{ .Response }}{{ end }}tail", "U2", "U1tailU2", "U1"),
        ("{{ (len .Response) }}tail{{ .Prompt }}", "0", "2tailU10", "2"),
        ('{{ printf "%s-%s" (printf "%s" .Response) "x" }}tail',
         "-%!s(MISSING)", "A1-xtail-%!s(MISSING)", "A1-%!s(MISSING)"),
    ],
)  # fmt: skip
def test_the_last_run_ends_at_the_response(
    template: str, asked: str, answered: str, begun: str
) -> None:
    assert render(template, "user: U2") == asked
    assert render(template, "user: U1", "assistant: A1", "user: U2") == answered
    assert render(template, "user: U1", "assistant: A1") == begun


def test_a_template_without_messages_and_response_ends_with_the_response() -> None:
    assert render("{{ .System }}{{ .Prompt }}", "system: S", "user: U1", "assistant: A") == "SU1A"
    assert render("{{ .Prompt }}:", "user: U") == "U:"


# Where Ollama crashes or finds nothing defined in the last run.
@pytest.mark.parametrize(
    ("template", "asked", "begun"),
    [
        ("{{ if .Response }}<{{ .Response }}>{{ else }}none{{ end }}", "", "<A"),
        ("{{ if .Prompt }}{{ .Prompt }}{{ .Response }}x{{ else }}y{{ end }}z", "U", "UA"),
        ('{{ define "x" }}({{ . }}){{ end }}{{ template "x" .Prompt }}{{ .Response }}tail',
         "(U)", "(U)A"),
        ("{{ json .Prompt }}{{ .Response }}tail", '"U"', '"U"A'),
        ("{{ currentDate }} {{ .Prompt }}{{ .Response }}tail", "2026-03-01 U", "2026-03-01 UA"),
    ],
)  # fmt: skip
def test_the_last_run_can_do_what_the_others_can(template: str, asked: str, begun: str) -> None:
    assert render(template, "user: U") == asked
    assert render(template, "user: U", "assistant: A") == begun


def test_the_old_style_knows_thinking_but_no_tools() -> None:
    template = GoChatTemplate.of("{{ .Think }} {{ .ThinkLevel }} {{ .IsThinkSet }} {{ .Tools }}")

    assert template.render(turns("user: U"), tools=[], think="low") == "true low true <no value>"
