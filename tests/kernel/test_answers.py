from __future__ import annotations

import copy
import json
from datetime import datetime, timezone

import pytest

from ollama_nb.answers.call_stats import CallStats
from ollama_nb.answers.generation import Generation

START = datetime(2026, 1, 2, tzinfo=timezone.utc)


@pytest.fixture
def answer():
    return Generation("Paris", model="demo", prompt="Capital?", done_reason="stop", context=[1, 2])


def test_it_is_a_string_wherever_one_is_expected(answer):
    assert answer == "Paris"
    assert f"{answer}!" == "Paris!"
    assert json.dumps({"a": answer}) == '{"a": "Paris"}'
    assert {"Paris": 1}[answer] == 1
    assert repr(answer) == "'Paris'"


def test_its_text_is_a_plain_string(answer):
    assert type(answer.text) is str
    assert type(str(answer)) is str


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_keeps_the_facts(answer, copied):
    twin = copied(answer)

    assert (twin, twin.model, twin.context) == ("Paris", "demo", (1, 2))
    assert isinstance(twin, Generation)


def test_it_renders_as_html_markdown_and_plain_text(answer):
    assert answer._repr_html_() == "<p>Paris</p>\n"
    assert answer._repr_markdown_() == "Paris"
    assert answer.bundle() == {
        "text/html": "<p>Paris</p>\n",
        "text/markdown": "Paris",
        "text/plain": "Paris",
    }


def test_nanoseconds_become_seconds():
    part = {
        "total_duration": 2_000_000_000,
        "load_duration": 500_000_000,
        "prompt_eval_duration": 250_000_000,
        "eval_duration": 1_000_000_000,
        "prompt_eval_count": 5,
        "eval_count": 20,
    }

    stats = CallStats.from_wire(part, started_at=START, elapsed_s=9.0)

    assert (stats.total_s, stats.load_s, stats.prompt_s, stats.eval_s) == (2.0, 0.5, 0.25, 1.0)
    assert stats.tokens_per_s == 20.0


def test_what_a_server_does_not_tell_is_none_and_the_total_is_measured():
    stats = CallStats.from_wire({}, started_at=START, elapsed_s=9.0)

    assert stats.total_s == 9.0
    assert (stats.load_s, stats.answer_tokens, stats.tokens_per_s) == (None, None, None)


def test_a_missing_duration_gives_no_speed():
    part = {"eval_count": 3, "eval_duration": None}

    assert CallStats.from_wire(part, started_at=START, elapsed_s=1.0).tokens_per_s is None
