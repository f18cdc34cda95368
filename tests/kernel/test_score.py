"""`score()` at a real server, and at one that has all but /api/score."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pandas as pd
import pytest
import vision_models
from vision_models import noise

import ollama_nb
from ollama_nb import score
from ollama_nb.asking.many_scores import PROMPTS_A_REQUEST
from ollama_nb.asking.scores import Score
from ollama_nb.errors import (
    AnswerFailed,
    BadChoices,
    BadMessage,
    ModelNotFound,
    NotText,
    ServerWarning,
    UnknownOption,
)
from ollama_nb.pictures.picture import picture_of

CHOICES = ["Yes", "No", "Maybe"]


class WithoutScores(ThreadingHTTPServer):
    """Hands everything on to a real server, but for scores, which Ollama does not have."""

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind, self.asked = url, list[str]()
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: WithoutScores

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._hand_on(b"")

    def do_POST(self) -> None:
        self._hand_on(self.rfile.read(int(self.headers["Content-Length"])))

    def _hand_on(self, body: bytes) -> None:
        self.server.asked.append(self.path)
        if self.path == "/api/score":
            self._send(404, b"404 page not found")
            return
        answer = httpx.request(
            self.command, self.server.behind + self.path, content=body, timeout=60
        )
        self._send(answer.status_code, answer.content)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def real(ollama_server):
    ollama_nb.connect(ollama_server.url)
    ollama_nb.settings.model = "demo"
    return ollama_server


@pytest.fixture
def without(ollama_server):
    server = WithoutScores(ollama_server.url)
    ollama_nb.connect(server.url)
    ollama_nb.settings.model = "demo"
    yield server
    server.shutdown()
    server.server_close()


def _told(server, prompt, **wishes):
    """The log-probabilities that the server itself tells."""
    asked = {} if prompt is None else {"prompt": prompt}
    body = {"model": "demo", **asked, "choices": CHOICES, **wishes}
    answer = httpx.post(f"{server.url}/api/score", json=body, timeout=60).json()
    return [one["logprob"] for one in answer["results"][0]["scores"]]


def test_probabilities_are_the_softmax_of_what_the_server_tells(real):
    found = score("Is Tim happy?", CHOICES, options={"seed": 1}, system="Be kind.")

    told = _told(real, "Is Tim happy?", options={"seed": 1}, system="Be kind.")
    total = sum(map(math.exp, told))
    expected = {name: math.exp(one) / total for name, one in zip(CHOICES, told, strict=True)}
    assert found.logprobs == tuple(told)
    assert found.probabilities == pytest.approx(expected)
    assert found.best == max(expected, key=expected.__getitem__)
    assert found.probability == pytest.approx(max(expected.values()))


def test_a_raw_prompt_and_a_system_text_count(real):
    plain = score("Answer:", CHOICES, options={"seed": 1})

    assert score("Answer:", CHOICES, options={"seed": 1}, raw=True).logprobs != plain.logprobs
    assert (
        score("Answer:", CHOICES, options={"seed": 1}, system="Say no.").logprobs != plain.logprobs
    )


SAYS = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Is it so?"}]
BEGUN = {"role": "assistant", "content": "I say"}


def _told_of(server, messages):
    return _told(server, None, messages=messages, options={"seed": 1})


@pytest.mark.parametrize("more", [(), (BEGUN,), (BEGUN, {"role": "user", "content": "Why?"})])
def test_a_conversation_is_scored_as_the_server_does(real, more):
    found = score([*SAYS, *more], CHOICES, options={"seed": 1})

    assert found.logprobs == tuple(_told_of(real, [*SAYS, *more]))


def test_a_text_in_a_conversation_is_the_user_s_and_the_system_text_goes_before(real):
    found = score([SAYS[1], BEGUN, "Why?"], CHOICES, options={"seed": 1}, system="Be brief.")

    asked = [*SAYS, BEGUN, {"role": "user", "content": "Why?"}]
    assert found.logprobs == tuple(_told_of(real, asked))


def test_an_answer_s_messages_can_be_gone_on_from(real):
    answer = ollama_nb.chat("Name a fruit.", options={"num_predict": 4, "seed": 1})

    found = score([*answer.messages, "Why?"], CHOICES, options={"seed": 1})

    assert found.logprobs == tuple(
        _told_of(real, [*answer.messages, {"role": "user", "content": "Why?"}])
    )


def test_a_server_without_scores_answers_a_conversation_but_goes_on_from_none(without):
    with pytest.warns(ServerWarning, match="does not tell how likely"):
        found = score(SAYS, CHOICES)
    with pytest.raises(AnswerFailed, match="ollama_nb's own server"):
        score([*SAYS, BEGUN], CHOICES)

    assert found.best in CHOICES
    assert "/api/chat" in without.asked


@pytest.fixture
def seeing(real, models_dir, demo_gguf):
    """The server with `eye`: the bundled model with a projector of random weights."""
    parts = {"model.gguf": demo_gguf, "eye.gguf": vision_models.written(models_dir, "demo")[1]}
    with real.client() as client:
        files = {}
        for name, path in parts.items():
            data = path.read_bytes()
            files[name] = f"sha256:{hashlib.sha256(data).hexdigest()}"
            client.post(f"/api/blobs/{files[name]}", content=data).raise_for_status()
        made = {"model": "eye", "files": files, "stream": False}
        client.post("/api/create", json=made).raise_for_status()
        yield real
        client.request("DELETE", "/api/delete", json={"model": "eye"})


def test_pictures_go_with_a_prompt_or_with_the_last_message(seeing):
    seen = noise(1)
    wire = {"images": [base64.b64encode(seen).decode()]}
    options = {"seed": 1}

    of_prompt = score("What is it?", CHOICES, model="eye", images=seen, options=options)
    of_chat = score(SAYS, CHOICES, model="eye", images=[seen], options=options)

    told = {"model": "eye", "options": options}
    assert of_prompt.logprobs == tuple(_told(seeing, "What is it?", **told, **wire))
    asked = [SAYS[0], {**SAYS[1], **wire}]
    assert of_chat.logprobs == tuple(_told(seeing, None, messages=asked, **told))
    other = score("What is it?", CHOICES, model="eye", images=noise(2), options=options)
    assert other.logprobs != of_prompt.logprobs
    rendered = ollama_nb.render("{{ it }}", it=picture_of(seen, "it"))
    assert score(rendered, CHOICES, model="eye", options=options).logprobs == tuple(
        _told(seeing, "[image 1]", **told, **wire)
    )


def test_pictures_for_a_model_that_sees_none_are_refused_in_words(real):
    with pytest.raises(AnswerFailed, match="image input is not supported"):
        score("What is it?", CHOICES, images=noise(1))


@pytest.mark.parametrize(
    ("prompt", "how", "sentence"),
    [
        (["a", "b"], {"images": noise(1)}, "belong to one prompt"),
        (SAYS, {"raw": True}, "raw is for a prompt"),
        ([*SAYS, 5], {}, "a message is a text or"),
        ([*SAYS, BEGUN], {"images": noise(1)}, "not one of the user"),
    ],
)
def test_what_no_conversation_can_be_is_told(connected, prompt, how, sentence):
    with pytest.raises(BadMessage, match=sentence):
        score(prompt, CHOICES, **how)
    assert connected.requests == []


def test_many_prompts_are_tables_with_the_index_of_the_series(real):
    number = PROMPTS_A_REQUEST * 2 + 3
    prompts = pd.Series([f"Is {n} odd?" for n in range(number)], index=range(100, 100 + number))

    found = score(prompts, CHOICES, options={"seed": 1})

    alone = score(prompts[134], CHOICES, options={"seed": 1})
    assert found.probabilities.index.equals(prompts.index)
    assert list(found.probabilities) == CHOICES
    assert found.probabilities.sum(axis=1).tolist() == pytest.approx([1.0] * number)
    assert found.logprobs.loc[134].tolist() == list(alone.logprobs)
    assert found.best[134] == alone.best
    assert list(found.best.cat.categories) == CHOICES
    assert [one.best for one in found] == found.best.tolist()


def test_it_is_a_call_in_the_statistics(real):
    score("Is Tim happy?", CHOICES)

    last = ollama_nb.stats().iloc[-1]
    assert (last["verb"], last["model"]) == ("score", "demo:latest")
    assert last["prompt_tokens"] > 3


def test_no_prompt_is_an_empty_table(real):
    found = score([], CHOICES)

    assert found.probabilities.shape == (0, 3)
    assert found.best.empty


def test_a_prompt_that_does_not_fit_is_named_and_the_others_are_asked(real):
    prompts = ["Is Tim happy?", "long " * 3000, "Is it odd?"]

    with pytest.raises(AnswerFailed, match="prompt 1"):
        score(prompts, CHOICES, options={"num_ctx": 256})


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ([], "choices is empty"),
        (["a", ""], "not empty"),
        (["a", "b", "a"], "'a' is there twice"),
        ("Yes", "not the text 'Yes'"),
        ([1, 2], "not 1"),
    ],
)
def test_choices_that_cannot_be_compared_are_refused(connected, choices, sentence):
    with pytest.raises(BadChoices, match=sentence):
        score("Is it?", choices)
    assert connected.requests == []


@pytest.mark.parametrize("prompt", [None, 5, b"bytes"])
def test_a_prompt_is_a_text_or_texts(connected, prompt):
    with pytest.raises(NotText):
        score(prompt, CHOICES)


def test_a_value_that_is_no_text_is_named_by_its_label(connected):
    with pytest.raises(NotText, match="'y'"):
        score(pd.Series(["a", None], index=["x", "y"]), CHOICES)


def test_errors_are_the_usual_ones(real):
    with pytest.raises(ModelNotFound):
        score("Is it?", CHOICES, model="nobody")
    with pytest.raises(UnknownOption):
        score("Is it?", CHOICES, options={"sed": 1})


def test_an_option_without_effect_is_told(real):
    with pytest.warns(ServerWarning, match="temperature"):
        score("Is it?", CHOICES, options={"temperature": 1})


def test_a_server_without_scores_says_which_it_prefers_and_that_this_is_all(without):
    with pytest.warns(ServerWarning, match="does not tell how likely"):
        found = score(["Is Tim happy?", "Is it odd?"], CHOICES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is said once
        again = score("Is Tim happy?", CHOICES)

    assert found.best.isin(CHOICES).all()
    assert found.probabilities.isna().all(axis=None)
    assert again == Score(tuple(CHOICES), found.best[0], None)
    assert again.probability is None
    assert without.asked.count("/api/score") == 1
    assert without.asked.count("/api/generate") == 3


def test_a_model_that_is_not_there_is_not_taken_for_a_server_without_scores(real):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModelNotFound):
            score("Is it?", CHOICES, model="nobody")


def test_a_score_shows_the_likeliest_first():
    assert repr(Score.of(["a", "b"], [-3.0, -1.0])) == "Score('b': 0.881, 'a': 0.119)"
    assert repr(Score(("a", "b"), "b")) == "Score('b', without probabilities)"
    assert json.dumps(Score.of(["a"], [-1.0]).probabilities) == '{"a": 1.0}'
