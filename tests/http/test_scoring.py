"""/api/score, /api/tokenize and /api/detokenize on both servers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

EXTRAS = {"X-Ollama-Nb-Extras": "1"}
WARNINGS, TIMEOUT = "X-Ollama-Nb-Warnings", "X-Ollama-Nb-Timeout"
CHOICES = ["positive", "negative", " once"]
ASKED = {"model": "demo", "prompt": "Tell a story.", "choices": CHOICES}
SAYS = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module", params=["ollama_server", "jupyter_server"])
def client(request) -> Iterator[httpx.Client]:
    with request.getfixturevalue(request.param).client() as client:
        yield client


def scored(client: httpx.Client, **fields: Any) -> list[dict[str, Any]]:
    """The scores of a single prompt."""
    answer = client.post("/api/score", json={"model": "demo", "choices": CHOICES} | fields)
    assert answer.is_success, answer.text
    (result,) = answer.json()["results"]
    return result["scores"]


def logprobs(scores: list[dict[str, Any]]) -> list[float]:
    return [score["logprob"] for score in scores]


# --- score ----------------------------------------------------------------------------------------


def test_every_choice_has_the_sum_of_its_tokens(client) -> None:
    answer = client.post("/api/score", json=ASKED)
    document = answer.json()
    ((scores),) = [result["scores"] for result in document["results"]]

    assert [score["choice"] for score in scores] == CHOICES
    for score in scores:
        assert score["logprob"] == pytest.approx(sum(t["logprob"] for t in score["tokens"]))
    assert document["eval_count"] == sum(len(score["tokens"]) for score in scores)
    assert document["model"] == "demo"
    assert list(document)[:3] == ["model", "created_at", "results"]
    assert min(document[f"{name}_duration"] for name in ("total", "load")) > 0


SEED = {"seed": 1}  # so that what is compared does not depend on how it was computed
FIRST = {"options": {"temperature": 0, "num_predict": 1, **SEED}, "logprobs": True, "stream": False}


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("generate", {"prompt": "Tell a story."}),
        ("generate", {"prompt": "Once upon", "raw": True}),
        ("generate", {"prompt": "Hi", "system": "Be brief."}),
        ("generate", {"prompt": "Hi", "template": "{{ .Prompt }} once"}),
        ("chat", {"messages": SAYS}),
        ("chat", {"messages": [*SAYS, {"role": "assistant", "content": "Once upon"}]}),
        ("chat", {"messages": [{"role": "user", "content": "<|im_end|>"}]}),
    ],
    ids=["prompt", "raw", "system", "template", "messages", "prefill", "text stays text"],
)
def test_a_prompt_is_read_as_generate_and_chat_read_it(client, path, fields) -> None:
    told = client.post(f"/api/{path}", json={"model": "demo", **fields, **FIRST}).json()
    (first,) = told["logprobs"]

    answer = client.post(
        "/api/score",
        json={"model": "demo", "choices": [first["token"]], "options": SEED, **fields},
    ).json()

    (score,) = answer["results"][0]["scores"]
    assert score["logprob"] == pytest.approx(first["logprob"], abs=1e-6)
    assert answer["prompt_eval_count"] == told["prompt_eval_count"]


def test_many_prompts_have_a_result_each_in_their_order(client) -> None:
    prompts = ["Tell a story.", "Hi", "", "Count: one two three"]
    answer = client.post(
        "/api/score",
        json={"model": "demo", "prompts": prompts, "choices": CHOICES, "options": SEED},
    )

    for prompt, result in zip(prompts, answer.json()["results"], strict=True):
        alone = logprobs(scored(client, prompt=prompt, options=SEED))
        assert logprobs(result["scores"]) == pytest.approx(alone, abs=1e-6)


def test_a_seed_makes_scores_the_same_to_the_last_bit(client) -> None:
    fields = {"prompt": "Hi", "options": {"seed": 1}}

    assert scored(client, **fields) == scored(client, **fields, choices=[*CHOICES, " on"])[:3]


TEMPLATE = "{{ range .Messages }}{{ .Content }}{{ end }}"


@pytest.mark.parametrize(
    ("spoken", "read"), [("", "Hi<|channel|>final<|message|>"), ("Yes", "HiYes")]
)
def test_the_answer_of_gpt_oss_is_opened_unless_it_is_begun(client, spoken, read) -> None:
    made = {"model": "osslike", "from": "demo", "template": TEMPLATE, "parser": "harmony"}
    client.post("/api/create", json=made | {"stream": False}).raise_for_status()
    begun = [{"role": "assistant", "content": spoken}] if spoken else []
    asked = {"model": "osslike", "messages": [{"role": "user", "content": "Hi"}, *begun]}

    scores = client.post("/api/score", json=asked | {"choices": ["a"]}).json()

    fields = {"text": read, "add_special": True, "parse_special": True}
    assert scores["prompt_eval_count"] == post(client, "tokenize", **fields)["count"]


BAD = {
    "no model of this name": ({"model": "nope"}, 404, "model 'nope' not found"),
    "no model": ({"model": ""}, 400, "model is required"),
    "no choices": ({"choices": None}, 400, "send a list of one text at least"),
    "none in the list": ({"choices": []}, 400, "send a list of one text at least"),
    "an empty choice": ({"choices": ["a", ""]}, 400, "choices: text 2 is empty"),
    "choices of a wrong type": ({"choices": "a"}, 400, "field ScoreRequest.choices of type slice"),
    "a choice of a wrong type": ({"choices": [1]}, 400, "field ScoreRequest.choices of type string"),
    "no prompt": ({"prompt": None}, 400, "one of prompt, prompts or messages"),
    "two prompts": ({"messages": SAYS}, 400, "one of prompt, prompts or messages"),
    "no prompts": ({"prompt": None, "prompts": []}, 400, "one of prompt, prompts or messages"),
    "system beside messages": ({"prompt": None, "messages": SAYS, "system": "x"}, 400, "system belongs to a prompt"),
    "raw and system": ({"raw": True, "system": "x"}, 400, "raw mode does not support"),
    "a thought": ({"think": True}, 400, "leave think out"),
    "images of many": ({"prompt": None, "prompts": ["a"], "images": [""]}, 400, "send prompt instead"),
    "images": ({"images": [""]}, 500, "image input is not supported"),
    "an option of a wrong type": ({"options": {"num_ctx": "x"}}, 500, "must be of type integer"),
    "too long": ({"prompt": "word " * 5000}, 400, "prompt 1 has"),
    "too many choices": ({"choices": ["a"] * 1001}, 400, "at most 1,000"),
    "too many in all": ({"prompt": None, "prompts": ["a"] * 9999, "choices": ["a" * 201]}, 400, "send the prompts in parts"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "status", "sentence"), BAD.values(), ids=BAD)
def test_what_cannot_be_scored_is_refused_in_one_sentence(client, fields, status, sentence) -> None:
    answer = client.post("/api/score", json=ASKED | fields)

    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert sentence in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_an_option_without_effect_is_named(client) -> None:
    options = {"temperature": 0.5, "num_thread": 1, "num_ctx": 512, "colour": 1}
    answer = client.post("/api/score", json=ASKED | {"options": options}, headers=EXTRAS)

    assert "option 'temperature' has no effect on scores" in answer.headers[WARNINGS]
    assert "'colour' has no effect" in answer.headers[WARNINGS]
    assert "num_" not in answer.headers[WARNINGS]
    assert "option 'temperature' has no effect on scores" in answer.json()["nb"]["warnings"]


def test_who_does_not_ask_for_extras_gets_none(client) -> None:
    assert "nb" not in client.post("/api/score", json=ASKED).json()


# Hundreds of thousands of tokens that nothing of is known before; raw, so that none is rendered.
LONG = ASKED | {
    "prompt": None,
    "raw": True,
    "prompts": [f"{n} {'word ' * 200}" for n in range(2000)],
}


def test_a_deadline_ends_it(client) -> None:
    answer = client.post("/api/score", json=LONG, headers={TIMEOUT: "0.3"})

    assert answer.status_code == 504


@pytest.mark.parametrize("path", ["score", "tokenize", "detokenize"])
def test_a_priority_that_is_none_is_refused(client, path) -> None:
    body = {"model": "demo", "prompt": "Hi", "choices": ["a"], "text": "a", "tokens": [1]}
    answer = client.post(f"/api/{path}", json=body, headers={"X-Ollama-Nb-Priority": "soon"})

    assert answer.status_code == 400


def test_it_is_accounted_for_however_it_ends(ollama_server, eventually) -> None:
    with ollama_server.client() as client:
        told = client.post("/api/score", json=ASKED).json()
        client.post("/api/score", json=LONG, headers={TIMEOUT: "3"})

    log, prompt, count = ollama_server.log, told["prompt_eval_count"], told["eval_count"]
    finished = f"{prompt + count} prompt tokens, 0 generated, finished"
    eventually(lambda: finished in log.read_text(), "the record of the first")
    eventually(lambda: " 0 generated, cancelled" in log.read_text(), "the record of the second")


# --- tokenize and detokenize ----------------------------------------------------------------------


def post(client: httpx.Client, path: str, **fields: Any) -> dict[str, Any]:
    answer = client.post(f"/api/{path}", json={"model": "demo", **fields})
    assert answer.is_success, answer.text
    return answer.json()


@pytest.mark.parametrize("text", ["Once upon a time", "é 日\n", "<|im_start|>user", ""])
def test_a_text_is_its_tokens_and_these_are_the_text(client, text) -> None:
    told = post(client, "tokenize", text=text)

    assert told["count"] == len(told["tokens"])
    assert post(client, "detokenize", tokens=told["tokens"])["text"] == text


def test_many_texts_at_once(client) -> None:
    texts = [f"text {n}" for n in range(200)]
    told = post(client, "tokenize", texts=texts)["results"]

    assert told[7]["tokens"] == post(client, "tokenize", text=texts[7])["tokens"]
    assert post(client, "detokenize", tokens=[t["tokens"] for t in told])["texts"] == texts


def test_special_tokens_are_these_where_the_request_says_so(client) -> None:
    letters = post(client, "tokenize", text="<|im_end|>")
    special = post(client, "tokenize", text="<|im_end|>", parse_special=True)

    assert letters["count"] > special["count"] == 1


def test_with_special_tokens_around_it_is_what_generate_reads(client) -> None:
    body = {
        "prompt": "Once upon a time",
        "raw": True,
        "stream": False,
        "options": {"num_predict": 1},
    }
    read = post(client, "generate", **body)["prompt_eval_count"]

    assert post(client, "tokenize", text="Once upon a time", add_special=True)["count"] == read


def test_nothing_is_nothing(client) -> None:
    assert post(client, "tokenize", texts=[])["results"] == []
    assert post(client, "detokenize", tokens=[])["text"] == ""
    assert post(client, "detokenize", tokens=[[]])["texts"] == [""]


WRONG = {
    "no model of this name": ("tokenize", {"model": "nope", "text": "a"}, 404, "model 'nope' not found"),
    "no text": ("tokenize", {}, 400, "give either text or texts"),
    "two": ("tokenize", {"text": "a", "texts": ["b"]}, 400, "give either text or texts"),
    "a number": ("tokenize", {"texts": [1]}, 400, "TokenizeRequest.texts"),
    "no ids": ("detokenize", {}, 400, "tokens must be a list of token ids"),
    "a text": ("detokenize", {"tokens": "a"}, 400, "tokens must be a list of token ids"),
    "both kinds": ("detokenize", {"tokens": [[1], 2]}, 400, "tokens must be a list of token ids"),
    "no whole numbers": ("detokenize", {"tokens": [1.5]}, 400, "tokens must be a list of token ids"),
    "truth": ("detokenize", {"tokens": [True]}, 400, "tokens must be a list of token ids"),
    "no token of it": ("detokenize", {"tokens": [[1], [2, 512_000]]}, 400, "512000 is no token of this model"),
    "less than none": ("detokenize", {"tokens": [-1]}, 400, "-1 is no token of this model"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "fields", "status", "sentence"), WRONG.values(), ids=WRONG)
def test_what_has_no_tokens_is_refused_in_one_sentence(client, path, fields, status, sentence):
    answer = client.post(f"/api/{path}", json={"model": "demo"} | fields)

    assert answer.status_code == status
    assert sentence in answer.json()["error"]


def test_a_model_that_computes_for_others_tokenizes_all_the_same(client) -> None:
    endless = {"num_predict": -1, "grammar": 'root ::= ([a-z ]{0,50} "\\n")+ "END"'}
    body = {"model": "demo", "prompt": "Hi", "options": endless}
    with client.stream("POST", "/api/generate", json=body) as response:
        lines = response.iter_lines()
        next(lines)
        assert post(client, "tokenize", text="a")["count"] == 1
