"""Answers that fit a schema, thoughts beside them, and probabilities, over HTTP."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor

import httpx
import jsonschema
import pytest

SCHEMA = {
    "type": "object",
    "properties": {
        "verdict": {"enum": ["positive", "negative"]},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
        "again": {"type": "boolean"},
    },
    "required": ["verdict", "stars", "again"],
}
WARM = {"temperature": 1.2, "seed": 3, "num_predict": 100}
THINKER = (
    "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}"
    "<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n<think>"
)
HOSTILE = "{{ range 1000 }}{{ range 1000 }}{{ range 1000 }}{{ end }}{{ end }}{{ end }}"


def body(path: str, **fields: object) -> dict[str, object]:
    asked = {"prompt": "A good soup."}
    if path == "chat":
        asked = {"messages": [{"role": "user", "content": "A good soup."}]}
    return {"model": "demo", "stream": False, "options": WARM} | asked | fields


def text_of(answer: dict) -> str:
    return answer["message"]["content"] if "message" in answer else answer["response"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("path", ["generate", "chat"])
def test_an_answer_fits_its_schema(client, path: str, seed: int) -> None:
    fields = body(path, format=SCHEMA, options=WARM | {"seed": seed})

    answer = client.post(f"/api/{path}", json=fields).json()

    jsonschema.validate(json.loads(text_of(answer)), SCHEMA)
    assert answer["done_reason"] == "stop"


@pytest.mark.parametrize("path", ["generate", "chat"])
def test_a_stream_of_it_is_the_same_text(client, path: str) -> None:
    whole = client.post(f"/api/{path}", json=body(path, format=SCHEMA)).json()

    streamed = client.post(f"/api/{path}", json=body(path, format=SCHEMA, stream=True))

    assert "".join(text_of(json.loads(line)) for line in streamed.iter_lines()) == text_of(whole)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "form", [{"type": "integer"}, {"type": "number"}, {"minimum": 0.1, "maximum": 0.3}]
)
def test_a_number_ends(client, form: dict, seed: int) -> None:
    fields = body(
        "generate", format=form, options={"temperature": 0.5, "seed": seed, "num_predict": 60}
    )

    answer = client.post("/api/generate", json=fields).json()

    number = json.loads(answer["response"])
    jsonschema.validate(number, form)
    assert (answer["done_reason"], math.isfinite(number)) == ("stop", True)


def test_json_mode_gives_an_object_or_says_that_it_was_cut(client) -> None:
    answer = client.post("/api/generate", json=body("generate", format="json")).json()

    assert answer["response"].startswith("{")
    assert answer["done_reason"] == "length" or isinstance(json.loads(answer["response"]), dict)


def test_a_budget_that_is_too_small_cuts_and_says_so(client) -> None:
    fields = body("generate", format=SCHEMA, options=WARM | {"num_predict": 4})

    answer = client.post("/api/generate", json=fields).json()

    assert (answer["done_reason"], answer["eval_count"]) == ("length", 4)
    assert answer["response"].startswith('{"ver')


@pytest.mark.parametrize(
    ("form", "place"),
    [
        ({"properties": {"a": {"$ref": "https://example.com/x.json"}}}, "/properties/a"),
        ({"properties": {"a": {"type": "strnig"}}}, "/properties/a"),
        ({"properties": {"a": {"pattern": "("}}}, "/properties/a"),
        ({"type": "object", "properties": {"a": {"not": {}}}}, "/properties/a"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_a_schema_that_cannot_be_kept_to_is_refused_with_its_place(
    client, form: dict, place: str, stream: bool
) -> None:
    answer = client.post("/api/generate", json=body("generate", format=form, stream=stream))

    assert answer.status_code == 400
    assert place in answer.json()["error"]


def test_sixteen_at_once_all_fit(client) -> None:
    def one(seed: int) -> dict:
        fields = body("generate", format=SCHEMA, options=WARM | {"seed": seed})
        return client.post("/api/generate", json=fields).json()

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(one, range(16)))

    for answer in answers:
        jsonschema.validate(json.loads(answer["response"]), SCHEMA)


@pytest.fixture
def thinker(client) -> str:
    """A model whose template opens its thoughts."""
    made = {"model": "thinker", "from": "demo", "template": THINKER, "stream": False}
    client.post("/api/create", json=made).raise_for_status()
    return "thinker"


@pytest.mark.parametrize("path", ["generate", "chat"])
def test_a_thinking_model_thinks_freely_and_then_fits_its_schema(client, thinker, path) -> None:
    fields = body(
        path, model=thinker, format=SCHEMA, options={"temperature": 0, "num_predict": 300}
    )

    answer = client.post(f"/api/{path}", json=fields).json()

    spoken = answer.get("message", answer)
    jsonschema.validate(json.loads(text_of(answer)), SCHEMA)
    assert spoken["thinking"]
    assert "{" not in spoken["thinking"]


def test_thoughts_stream_before_the_answer(client, thinker) -> None:
    options = {"temperature": 0, "seed": 1, "num_predict": 300}
    fields = body("chat", model=thinker, format=SCHEMA, stream=True, options=options)

    chunks = [json.loads(line) for line in client.post("/api/chat", json=fields).iter_lines()]

    kinds = ["thinking" if "thinking" in c["message"] else "answer" for c in chunks[:-1]]
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {"thinking", "answer"}


def test_think_false_takes_nothing_out(client, thinker) -> None:
    answer = client.post("/api/chat", json=body("chat", model=thinker, think=False)).json()

    assert "thinking" not in answer["message"]


def test_probabilities_of_forced_and_drawn_tokens(client) -> None:
    fields = body("generate", format=SCHEMA, logprobs=True, top_logprobs=3)

    answer = client.post("/api/generate", json=fields).json()

    tokens = answer["logprobs"]
    assert "".join(token["token"] for token in tokens) == answer["response"]
    assert all(token["logprob"] <= 0 for token in tokens)
    assert {len(token["top_logprobs"]) for token in tokens} == {3}
    assert all(
        sum(math.exp(t["logprob"]) for t in token["top_logprobs"]) <= 1.001 for token in tokens
    )


def test_probabilities_stream_with_their_text(client) -> None:
    fields = body("chat", logprobs=True, stream=True)

    chunks = [json.loads(line) for line in client.post("/api/chat", json=fields).iter_lines()]

    texts = ["".join(t["token"] for t in chunk.get("logprobs", ())) for chunk in chunks]
    assert texts == [chunk["message"]["content"] for chunk in chunks]
    assert "logprobs" not in chunks[-1]


def test_hostile_templates_wait_for_each_other_and_nobody_else_does(client) -> None:
    plain = body("generate", options={"num_predict": 1})
    client.post("/api/generate", json=plain)

    with ThreadPoolExecutor(9) as pool:
        hostile = [
            pool.submit(client.post, "/api/generate", json=plain | {"template": f"{HOSTILE}{n}"})
            for n in range(4)
        ]
        client.post("/api/generate", json=plain).raise_for_status()
        still_waiting = [future for future in hostile if not future.done()]
        answers: list[httpx.Response] = [future.result() for future in hostile]

    assert still_waiting
    assert {answer.status_code for answer in answers} == {500}
    assert "too much" in answers[0].json()["error"]
