"""What the prompt says of a schema: with descriptions, when asked, and never twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd
import pytest
from cells import Cells, kernel_environ
from pydantic import BaseModel, Field

import ollama_nb
import ollama_nb.frames
from ollama_nb.answers.schemas import schema_of, wanted

FORM = "name, age int|null: in years, mood happy|sad, where {city str: no country}?"
TOLD = """Answer with JSON of these fields:
- name (text)
- age (whole number or null): in years
- mood (one of "happy", "sad")
- where (object, may be left out)
  - city (text): no country"""


class Part(BaseModel):
    weight: float = Field(description="in kg")
    parts: list[Part] = []


@dataclass
class Person:
    name: str
    kind: Literal["a", "b"]


def test_a_short_form_with_descriptions_is_told():
    assert schema_of(FORM).told == TOLD


def test_one_without_descriptions_is_not_unless_asked():
    assert schema_of("name, age int").told == ""
    assert "- age (whole number)" in wanted("name, age int", None, True).told
    assert wanted(FORM, None, False).told == ""


def test_classes_and_json_schemas_are_told_when_asked():
    assert schema_of(Part).told == ""
    assert "- weight (number): in kg" in wanted(Part, None, True).told
    assert '- kind (one of "a", "b")' in wanted(Person, None, True).told
    assert "a list of objects" in wanted(list[Person], None, True).told
    assert wanted({"type": "object"}, None, True).told == ""


def test_a_schema_that_contains_itself_ends():
    assert len(wanted(Part, None, True).told.splitlines()) < 20


def test_generate_sends_it_below_the_prompt_and_keeps_the_prompt(connected):
    answer = ollama_nb.generate("Who?", schema=FORM)

    assert connected.requests[-1]["prompt"] == f"Who?\n\n{TOLD}"
    assert answer.prompt == "Who?"


def test_a_chat_tells_it_in_the_last_message_only(connected):
    talk = ollama_nb.Conversation()

    talk.say("Who?", schema=FORM)
    talk.say("And now?", schema=FORM)

    sent = [one["content"] for one in connected.requests[-1]["messages"]]
    assert sent[0] == "Who?"
    assert sent[-1] == f"And now?\n\n{TOLD}"
    assert [one["content"] for one in talk.messages][::2] == ["Who?", "And now?"]


@pytest.mark.parametrize("told", [True, False, None])
def test_the_choice_is_the_caller_s(connected, told):
    ollama_nb.generate("Who?", schema=FORM, schema_in_prompt=told)
    ollama_nb.generate("Who?", schema="name", schema_in_prompt=told)

    described, plain = (body["prompt"] for body in connected.requests[-2:])
    assert ("in years" in described) is (told is not False)
    assert ("- name" in plain) is (told is True)


def test_a_gap_to_fill_is_left_alone(connected):
    ollama_nb.generate("a", suffix="b", schema=FORM)

    assert connected.requests[-1]["prompt"] == "a"


def test_rows_of_a_frame_are_told_and_kept_apart(connected):
    frame = pd.DataFrame({"text": ["x"]})

    for told in (None, False):
        with pytest.warns(ollama_nb.RowsFailed):  # the other server answers with the prompt
            frame.llm.generate("{{ text }}", schema="age int: in years", schema_in_prompt=told)

    with_it, without = (body["prompt"] for body in connected.requests[-2:])
    assert "in years" in with_it
    assert without == "x"


def test_the_magics_have_the_switch(cells, other_for_cells):
    cells.run('%generate --schema "age int: in years" Who?')
    cells.run('%generate --schema "age int: in years" --schema-in-prompt off Who?')
    cells.run('%chat --schema "age int" --schema-in-prompt=on Who?')

    first, second, third = other_for_cells.requests[-3:]
    assert "in years" in first["prompt"]
    assert second["prompt"] == "Who?"
    assert "- age (whole number)" in third["messages"][-1]["content"]


@pytest.mark.parametrize("switch", ["", "--schema-in-prompt off"])
def test_a_dry_run_shows_it_as_it_would_be_sent(ollama_server, tmp_path, switch):
    kernel = Cells(kernel_environ(ollama_server.url, tmp_path))

    run = kernel.run(f'%generate -m demo --dry-run --schema "age int: in years" {switch} Who?')

    kernel.close()
    assert ("in years" in run.result) is not bool(switch)


def test_a_model_reads_what_a_field_means(ollama_server):
    ollama_nb.connect(ollama_server.url)
    asked = {"model": "demo", "temperature": 0, "seed": 1, "options": {"num_predict": 60}}

    told = ollama_nb.generate("Ada.", schema="age int: in years", **asked)
    untold = ollama_nb.generate("Ada.", schema="age int", **asked)

    assert told.stats.prompt_tokens > untold.stats.prompt_tokens + 10
