"""Go templates as Ollama runs them, golden texts from Go itself (tools/record_families.py)."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from ollama_nb_server.library.families import FAMILIES
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.errors import GoTemplateBroken, GoTemplateFailed
from ollama_nb_server.prompts.go import DEFAULT, GoChatTemplate

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "library" / "families" / "golden.json").read_text("utf-8")
)
CONVERSATIONS, RECORDED = GOLDEN["conversations"], GOLDEN["families"]
ASK = [Turn("system", "S"), Turn("user", "U")]
FIM = "{{ if .Suffix }}<PRE> {{ .Prompt }} <SUF>{{ .Suffix }} <MID>{{ else }}{{ .Prompt }}{{ end }}"


@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.key)
def test_a_familys_template_writes_what_go_writes(family: Any, name: str) -> None:
    turns = [Turn(turn["role"], turn["content"]) for turn in CONVERSATIONS[name]]

    text = GoChatTemplate.of(family.template).render(turns)

    assert text == RECORDED[family.key]["renderings"][name]


@pytest.mark.parametrize(
    ("think", "expected"),
    [
        (None, "false||false"),
        (False, "false||true"),
        (True, "true|medium|true"),
        ("high", "true|high|true"),
    ],
)
def test_think_is_told_in_three_variables(think: bool | str | None, expected: str) -> None:
    template = GoChatTemplate.of(
        "{{ range .Messages }}{{ end }}{{ .Think }}|{{ .ThinkLevel }}|{{ .IsThinkSet }}"
    )

    assert template.render(ASK, think=think) == expected


def test_a_template_over_messages_knows_no_prompt() -> None:
    template = GoChatTemplate.of(
        "{{ range .Messages }}{{ end }}{{ .System }}|{{ .Prompt }}|{{ .Suffix }}|{{ .Response }}|"
    )

    assert template.render(ASK) == "S|<no value>|<no value>||"


def test_what_comes_before_and_after_is_filled_in_between() -> None:
    template = GoChatTemplate.of(FIM)

    assert template.render_insert("def f(", "return x") == "<PRE> def f( <SUF>return x <MID>"
    assert template.render(ASK) == "U"


def test_filling_in_knows_thinking_and_nothing_else() -> None:
    template = GoChatTemplate.of(
        "{{ .System }}{{ .Messages }}{{ .Tools }}|{{ .Think }}{{ .ThinkLevel }}{{ .IsThinkSet }}"
    )

    assert template.render_insert("p", "s", think="low") == (
        "<no value><no value><no value>|truelowtrue"
    )


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("{{ currentDate }}", "2026-03-01"),
        ("{{ yesterdayDate }}", "2026-02-28"),
        ('{{ currentDate "02 Jan" }}', "2026-03-01"),
    ],
)
def test_dates_are_those_of_the_clock(action: str, expected: str) -> None:
    text = "{{ range .Messages }}{{ end }}" + action
    template = GoChatTemplate.of(text, clock=lambda: datetime(2026, 3, 1, 23, 59))

    assert template.render(ASK) == expected


def test_every_rendering_asks_the_clock_anew() -> None:
    days = iter([datetime(2026, 12, 31), datetime(2027, 1, 1)])
    template = GoChatTemplate.of("{{ currentDate }}{{ .Messages }}", clock=lambda: next(days))

    assert [template.render([]), template.render([])] == ["2026-12-31[]", "2027-01-01[]"]


def test_a_template_is_made_once() -> None:
    assert GoChatTemplate.of("{{ .Prompt }}") is GoChatTemplate.of("{{ .Prompt }}")


@pytest.mark.parametrize(
    ("template", "reason", "line"),
    [
        ("{{ .X", "template: :1: unclosed action", 1),
        ("a\n{{ nope .X }}", 'template: :2: function "nope" not defined', 2),
        ("{{ if .X }}a", "template: :1: unexpected EOF", 1),
    ],
)
def test_a_broken_template_is_refused_in_gos_words(template: str, reason: str, line: int) -> None:
    with pytest.raises(GoTemplateBroken) as broken:
        GoChatTemplate.of(template)

    assert str(broken.value) == reason
    assert broken.value.line == line


def test_a_template_that_fails_says_where() -> None:
    template = GoChatTemplate.of('a\n{{ range .Messages }}{{ eq "a" 1 }}{{ end }}')

    with pytest.raises(GoTemplateFailed) as failed:
        template.render(ASK)

    assert str(failed.value) == (
        'template: :2:24: executing "" at <eq "a" 1>: error calling eq: '
        "incompatible types for comparison: string and int"
    )
    assert (failed.value.line, failed.value.column) == (2, 24)


def test_a_template_that_writes_without_end_is_stopped() -> None:
    template = GoChatTemplate.of(
        '{{ range 100000 }}{{ printf "%1000000s" "" }}{{ end }}{{ range .Messages }}{{ end }}'
    )

    with pytest.raises(GoTemplateFailed, match="too much for a template"):
        template.render(ASK)


def test_all_runs_of_the_old_style_together_may_write_what_one_may() -> None:
    template = GoChatTemplate.of('{{ printf "%1000000s" "" }}{{ .Prompt }}{{ .Response }}')

    assert template.render(ASK).endswith("U")
    with pytest.raises(GoTemplateFailed, match="too much for a template"):
        template.render([Turn("user", "U"), Turn("assistant", "A")] * 20)


def test_a_model_without_template_repeats_what_was_said() -> None:
    turns = [Turn("user", "1"), Turn("user", "2"), Turn("assistant", "A"), Turn("user", "3")]

    assert GoChatTemplate.of(DEFAULT).render([Turn("system", "S"), *turns]) == "1\n\n2A3"


def test_a_hundred_messages_cost_little_more_than_their_share_of_one() -> None:
    chatml = next(family for family in FAMILIES if family.key == "chatml")
    template = GoChatTemplate.of(chatml.template)
    turns = [Turn("user" if i % 2 == 0 else "assistant", f"Message {i}.") for i in range(100)]

    few, many = (_fastest_s(template, turns[:n]) for n in (10, 100))

    assert many < 30 * few


def _fastest_s(template: GoChatTemplate, turns: list[Turn]) -> float:
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        template.render(turns)
        times.append(time.perf_counter() - begun)
    return min(times)
