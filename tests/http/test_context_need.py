"""A request that names no context takes the one that is loaded, if it suffices."""

from __future__ import annotations

from types import SimpleNamespace

import httpx
import pytest
from ollama_nb_server.answering.context_need import ANSWER_TOKENS, least_ctx
from ollama_nb_server.wire.chat import ChatRequest
from ollama_nb_server.wire.generate import GenerateRequest
from ollama_nb_server.wire.options import Options

MODEL = SimpleNamespace(
    system="", messages=(), uses_jinja=False, template="{{ .Prompt }}", metadata=None
)
SHORT, LONG = "Once upon a time", "Once upon a time there was a fox. " * 60  # 2,040 letters


def need(request: object, **options: object) -> int:
    return least_ctx(request, MODEL, Options.merge({}, options))


def test_who_names_a_context_takes_no_other() -> None:
    assert need(GenerateRequest(prompt=SHORT), num_ctx=512) == 0
    assert need(GenerateRequest(prompt=SHORT)) > 0


@pytest.mark.parametrize(
    "request_",
    [
        GenerateRequest(prompt=LONG),
        GenerateRequest(system=LONG),
        GenerateRequest(suffix=LONG),
        GenerateRequest(context=list(range(len(LONG)))),
        ChatRequest(messages=[{"role": "user", "content": LONG}]),
        ChatRequest(messages=[{"role": "assistant", "thinking": LONG}]),
        ChatRequest(tools=[{"function": {"name": "f", "description": LONG}}]),
    ],
)
def test_all_that_a_model_may_read_needs_room(request_: object) -> None:
    empty = type(request_)()
    assert need(request_) >= need(empty) + len(LONG)


def test_letters_of_several_bytes_need_more() -> None:
    assert need(GenerateRequest(prompt="\u6f22" * 10)) == need(GenerateRequest(prompt="a" * 30))


def test_what_a_model_brings_itself_needs_room() -> None:
    talks = SimpleNamespace(**{**vars(MODEL), "system": LONG})
    request = GenerateRequest(prompt=SHORT)

    assert least_ctx(request, talks, Options()) == need(request) + len(LONG)


def test_an_answer_needs_room_as_long_as_it_may_be() -> None:
    request = GenerateRequest(prompt=SHORT)

    assert need(request, num_predict=7) == need(request) - ANSWER_TOKENS + 7


def test_images_take_what_only_a_loaded_model_can_tell() -> None:
    said = {"role": "user", "content": SHORT, "images": ["aaaa"]}

    assert need(ChatRequest(messages=[said])) == 0
    assert need(GenerateRequest(prompt=SHORT, images=["aaaa"])) == 0


def loaded_ctx(client: httpx.Client) -> int:
    (model,) = client.get("/api/ps").json()["models"]
    return model["context_length"]


def test_a_smaller_model_that_is_loaded_serves_what_fits_and_is_loaded_anew_for_the_rest(
    client: httpx.Client, ollama_server: object
) -> None:
    def ask(prompt: str, **options: object) -> dict:
        body = {"model": "demo", "prompt": prompt, "stream": False}
        return client.post("/api/generate", json=body | {"options": {"num_predict": 4, **options}})

    ask(SHORT, num_ctx=1200)
    (before,) = ollama_server.workers()
    ask(SHORT)
    (after,) = ollama_server.workers()
    assert (after.pid, loaded_ctx(client)) == (before.pid, 1200)

    answer = ask(LONG).json()
    assert loaded_ctx(client) == 2048  # the default, as far as the model was trained
    assert "truncated" not in str(answer.get("nb", ""))

    larger = ask(LONG, num_ctx=600)  # who names a context has it, however much is loaded
    assert "a context of 600" in larger.headers["X-Ollama-Nb-Warnings"]
