"""Templates that mean harm: each ends soon, and with an error that says why."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import pytest
from ollama_nb_server.gotemplate import GoTemplateError, LimitExceeded, Limits, parse

SOON_S = 10  # of a busy machine; each takes a tenth of that at most
TIGHT = Limits(max_steps=200_000, max_output_chars=2_000_000)
GROWING = '{{ $x := "0123456789" }}{{ range 99 }}{{ $x = print $x $x $x }}{{ end }}'
HOSTILE_RUNS = {
    "endless loop": "{{ range 1000000000000 }}{{ end }}",
    "loops in loops": "{{ range 99999 }}{{ range 99999 }}{{ range 99999 }}{{ end }}{{ end }}{{ end }}",
    "endless output": "{{ range 1000000000000 }}0123456789{{ end }}",
    "recursion": '{{ define "t" }}{{ template "t" }}{{ end }}{{ template "t" }}',
    "recursion of two": '{{ define "a" }}{{ template "b" }}{{ end }}{{ define "b" }}{{ if 1 }}{{ template "a" }}{{ end }}{{ end }}{{ template "a" }}',
    "recursion by its own name": '{{ template "" }}x',
    "a growing text": GROWING,
    "a growing printf": GROWING.replace("print $x", 'printf "%s%s%s" $x'),
    "a growing println": GROWING.replace("print $x", "println $x"),
    "growing escapes": '{{ $x := "<>" }}{{ range 99 }}{{ $x = html $x $x }}{{ end }}',
    "growing queries": '{{ $x := "&&" }}{{ range 99 }}{{ $x = urlquery $x $x }}{{ end }}',
    "growing js": "{{ $x := \"''\" }}{{ range 99 }}{{ $x = js $x $x }}{{ end }}",
    "wide numbers": '{{ range 99999 }}{{ $x := printf "%1000000d" 1 }}{{ end }}',
    "wide elements": '{{ printf "%1000000d" .Many }}',
    "precise elements": '{{ printf "%.1000000f" .Many }}',
    "many wide verbs": '{{ printf "'
    + "%1000000d" * 999
    + '" }}{{ printf "'
    + "%1000000d" * 99
    + '" '
    + "1 " * 99
    + "}}",
    "long texts measured": '{{ $x := printf "%1000000s" "é" }}{{ range 999999 }}{{ $y := len $x }}{{ end }}',
    "long texts sliced": '{{ $x := printf "%1000000s" "é" }}{{ range 999999 }}{{ $y := slice $x 1 }}{{ end }}',
    "long texts compared": "{{ $x := print .Long 1 }}{{ $y := print .Long 1 }}{{ range 999999 }}{{ $z := eq $x $y }}{{ end }}",
    "long texts ordered": "{{ $x := print .Long 1 }}{{ $y := print .Long 1 }}{{ range 999999 }}{{ $z := le $x $y }}{{ end }}",
    "long texts quoted": '{{ range 999999 }}{{ $z := printf "%q" $.Long }}{{ end }}',
    "a long list sliced": "{{ range 9999999 }}{{ $y := slice $.Many 1 }}{{ end }}",
}
DEEP = 10_000
HOSTILE_TEXTS = {
    "parentheses": "{{ " + "(" * DEEP + "1" + ")" * DEEP + " }}",
    "open parentheses": "{{ " + "(" * DEEP,
    "ifs": "{{ if 1 }}" * DEEP + "{{ end }}" * DEEP,
    "open ifs": "{{ if 1 }}" * DEEP,
    "else ifs": "{{ if 1 }}" + "{{ else if 1 }}" * 10_000 + "{{ end }}",
    "ranges": "{{ range 1 }}" * 10_000,
    "blocks": '{{ block "b" . }}' * 10_000,
    "else ranges": "{{ with 1 }}{{ else }}" * 10_000,
    "length": "x" * 250_001,
}


@pytest.mark.parametrize("template", HOSTILE_RUNS.values(), ids=HOSTILE_RUNS)
def test_a_run_that_wants_too_much_is_ended(template: str) -> None:
    started = time.monotonic()

    with pytest.raises(LimitExceeded):
        parse(template).execute({"Many": [1.5] * 10_000, "Long": "\n" * 1_000_000}, TIGHT)

    assert time.monotonic() - started < SOON_S


@pytest.mark.parametrize("template", HOSTILE_TEXTS.values(), ids=HOSTILE_TEXTS)
def test_a_text_that_is_too_long_or_too_deep_is_refused(template: str) -> None:
    started = time.monotonic()

    with pytest.raises(LimitExceeded):
        parse(template)

    assert time.monotonic() - started < SOON_S


@pytest.mark.parametrize(
    ("start", "piece", "end"),
    [
        ("", "{{ $a := 1 }}", ""),
        ("{{ $b := 1 }}", "{{ $a := 1 }}{{ $b }}", ""),
        ("{{ print ", "1 ", "}}"),
        ("{{ 1 ", "| print ", "}}"),
        ("{{ .A", ".B", " }}"),
        ("é", "{{ .A }}é", ""),
        ("", "\n{{ .A }}", ""),
        ("", "{{/**/}}", ""),
        ("{{ 0.", "9", " }}"),
        ("{{ ", "_", " }}"),
        ('{{ "', "\\x41", '" }}'),
        ("{{ `", "`", "` }}"),
        ("", "{{ - }}", ""),
        ('{{ printf "', "%5d", '" }}'),
        ('{{ printf "', "%[1]d", '" 1 }}'),
        ('{{ printf "%', "9", 'd" 1 }}'),
        ('{{ printf "', "%[", '" 1 }}'),
    ],
)
def test_a_long_text_takes_time_in_proportion(start: str, piece: str, end: str) -> None:
    short, long = (f"{start}{piece * num}{end}" for num in (100, 1_600))

    ratio = seconds(long) / seconds(short)

    assert ratio < 100  # 16 if it is in proportion, 256 if it grows by the square


def seconds(template: str) -> float:
    """The shortest of several times: the others were waiting for the processor."""
    return min(_seconds(template) for _ in range(3))


def _seconds(template: str) -> float:
    started = time.perf_counter()
    with contextlib.suppress(GoTemplateError):
        parse(template).execute({})
    return time.perf_counter() - started


def test_the_limits_are_the_callers() -> None:
    template = parse("{{ range 10 }}12345{{ end }}")

    assert len(template.execute({}, Limits(max_output_chars=50))) == 50
    with pytest.raises(LimitExceeded, match="more than 49 characters of output"):
        template.execute({}, Limits(max_output_chars=49))
    with pytest.raises(LimitExceeded, match="more than 9 steps"):
        template.execute({}, Limits(max_steps=9))
    with pytest.raises(LimitExceeded, match="more than 3 levels of nesting"):
        parse("{{ ((((1)))) }}", limits=Limits(max_depth=3))


def test_deep_data_is_no_way_round() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(LimitExceeded, match="levels of lists and maps"):
        parse("{{ . }}").execute(deep)


def test_the_deepest_template_runs_on_a_full_stack() -> None:
    levels = 90
    template = parse("{{ if 1 }}{{ range 1 }}" * (levels // 2) + "x" + "{{ end }}" * levels)
    texts: list[str] = []

    def descend(depth: int) -> None:
        if depth:
            descend(depth - 1)
        else:
            texts.append(template.execute({}))

    thread = threading.Thread(target=descend, args=(300,))
    thread.start()
    thread.join()

    assert texts == ["x"]


def test_what_is_used_by_chats_stays_far_below_the_limits() -> None:
    messages = [{"Role": "user", "Content": "word " * 200} for _ in range(5_000)]
    template = parse(
        "{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
        '{{ if and (eq .Role "user") (not $last) }}<{{ .Content }}>{{ end }}{{ end }}'
    )

    assert len(template.execute({"Messages": messages})) == 4_999 * 1_002
