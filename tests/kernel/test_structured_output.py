"""Real kernels and calls against a real server with the bundled model: answers of a given form."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Literal, TypedDict

import pydantic
import pytest
from cells import Cells, kernel_environ

import ollama_nb
from ollama_nb.errors import AnswerCut, AnswerFailed

HOW = {"model": "demo", "temperature": 0, "seed": 1, "options": {"num_predict": 200}}
REVIEW = "Is this review positive or negative? The room was dirty and the bed was broken."


class Review(pydantic.BaseModel):
    verdict: Literal["positive", "negative"]
    stars: int = pydantic.Field(ge=1, le=5)
    again: bool


@dataclass
class Verdict:
    verdict: Literal["positive", "negative"]


class Marks(TypedDict):
    marks: list[Literal[1, 2, 3]]


@pytest.fixture
def served(ollama_server):
    ollama_nb.connect(ollama_server.url)


@pytest.fixture(scope="module")
def real(ollama_server, tmp_path_factory):
    kernel = Cells(kernel_environ(ollama_server.url, tmp_path_factory.mktemp("home")))
    kernel.run("import ollama_nb; from ollama_nb import *")
    yield kernel
    kernel.close()


@pytest.mark.parametrize(
    ("wish", "kind"),
    [
        (Review, Review),
        (Verdict, Verdict),
        ("yes|no", str),
        ("1|2|3", int),
        ("bool", bool),
        ({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}, dict),
    ],
)
def test_an_answer_has_the_form_that_was_asked_for(served, wish, kind):
    answer = ollama_nb.generate(REVIEW, schema=wish, **HOW)

    assert type(answer.data) is kind
    assert answer.done_reason == "stop"


@pytest.mark.parametrize(
    ("form", "kinds"),
    [
        ("verdict positive|negative, stars 1|2|3|4|5, again bool", [str, int, bool]),
        ("day date", [datetime.date]),
        ("at {day date, sure bool}, mood good|bad|null", ["At", (str, type(None))]),
        ("maybe bool?", [(bool, type(None))]),
        ("ok true|false, half 0.5|1.5", [bool, float]),
    ],
)
def test_every_field_of_a_short_form_is_of_its_type(served, form, kinds):
    data = ollama_nb.generate(REVIEW, schema=form, **HOW).data

    values = list(vars(data).values())
    assert len(values) == len(kinds)
    assert [
        type(value).__name__ == kind if isinstance(kind, str) else isinstance(value, kind)
        for value, kind in zip(values, kinds, strict=True)
    ] == [True] * len(kinds)


def test_a_short_form_answers_in_its_order(served):
    answer = ollama_nb.generate(REVIEW, schema="zeta bool, alpha bool, mid 1|2", **HOW)

    assert list(answer.json) == ["zeta", "alpha", "mid"]


def test_a_chat_has_the_form_too(served):
    talk = ollama_nb.Conversation("demo")

    answer = talk.say(REVIEW, schema=Verdict, temperature=0, seed=1)

    assert answer.data in (Verdict("positive"), Verdict("negative"))
    assert talk.messages[-1]["content"] == str(answer)


def test_any_object(served):
    answer = ollama_nb.generate(REVIEW, format="json", **HOW)

    assert answer.startswith("{")
    assert answer.schema.format == "json"


def test_an_answer_that_is_cut_says_so(served):
    short = {**HOW, "options": {"num_predict": 3}}

    answer = ollama_nb.generate(REVIEW, schema="verdict positive|negative", **short)

    with pytest.raises(AnswerCut, match=r"after 3 tokens.*num_predict"):
        _ = answer.data


def test_many_answers_make_a_frame(real):
    real.run("form = 'verdict positive|negative, stars 1|2|3|4|5'")
    real.run(f"a = generate({REVIEW!r}, schema=form, model='demo', temperature=0, seed=1)")

    code = "{name: str(kind) for name, kind in a.frame.dtypes.items()}, len(a.frame)"
    assert real.run(code).result == "({'verdict': 'string', 'stars': 'Int64'}, 1)"


def test_a_cell_shows_json_as_code(real):
    run = real.run(f'%%generate -m demo -t 0 --schema "stars 1|2|3" -> a\n{REVIEW}', watched=True)

    assert run.text.startswith('{\n  "stars": ')
    assert run.saved[-1]["text/markdown"].startswith("```json\n")
    assert (
        real.run("a.data.stars in (1, 2, 3), a.data.stars == a.json['stars']").result
        == "(True, True)"
    )


def test_a_grammar_holds_the_answer(real):
    run = real.run("""%generate -m demo -t 0 -o grammar='root ::= "yes" | "no"' Well?""")

    assert run.text in ("yes", "no")


def test_a_schema_that_no_server_can_follow_is_one_line(real):
    run = real.run('%generate -m demo --schema \'{"type": "nonsense"}\' hi')

    assert run.error["ename"] == "AnswerFailed"
    assert len(run.error["traceback"]) == 1


def test_a_gap_is_filled(real):
    real.run('%%modelfile gap\nFROM demo\nTEMPLATE """{{ .Prompt }}{{ .Suffix }}"""')

    run = real.run("%%generate -m gap -o num_predict=5 --fill [GAP] -> a\nOnce [GAP] the end.")

    assert run.status == "ok"
    assert real.run("a.prompt").result == "'Once '"


def test_a_model_without_a_place_for_a_suffix_says_so(served):
    with pytest.raises(AnswerFailed, match="does not support insert"):
        ollama_nb.generate("Once", suffix="the end", **HOW)
