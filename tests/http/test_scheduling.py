"""Between users of one real server: nobody's options, pace or leaving harm another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from ollama_nb_server.app import OllamaNb
from ollama_nb_server.engine.messages import Priority
from ollama_nb_server.handlers.access import Open
from ollama_nb_server.handlers.base import ApiHandler, Route
from ollama_nb_server.handlers.body_memory import BodyMemory
from ollama_nb_server.scheduling.context import OWNER, Caller, RequestContext
from tornado import httputil, web

PROMPT = "Write a story about a fox."
WARNINGS = "X-Ollama-Nb-Warnings"
LINES = 'root ::= ([a-z ]{0,50} "\\n")+ "END"'  # an end that no model comes to by itself
ENDLESS = {"temperature": 0, "num_predict": -1, "grammar": LINES}
GREEDY = {"temperature": 0, "seed": 1, "num_predict": 8}


@contextmanager
def streaming(client: httpx.Client, **options: object) -> Iterator[Iterator[str]]:
    """The lines of an answer that goes on for long; the first one is there."""
    body = {"model": "demo", "prompt": PROMPT, "options": ENDLESS | options}
    with client.stream("POST", "/api/generate", json=body) as response:
        lines = response.iter_lines()
        next(lines)
        yield lines


def ask(client: httpx.Client, **options: object) -> httpx.Response:
    body = {"model": "demo", "prompt": PROMPT, "stream": False, "options": GREEDY | options}
    return client.post("/api/generate", json=body)


def test_a_busy_model_serves_another_num_batch_at_once_and_says_so(client) -> None:
    ask(client)
    with streaming(client) as lines:
        answer = ask(client, num_batch=64)
        assert not json.loads(next(lines))["done"], "it was served beside the other one"

    assert answer.is_success
    assert "'num_batch': others use the model" in answer.headers[WARNINGS]


def test_an_idle_model_is_loaded_anew_for_another_num_batch(client, ollama_server) -> None:
    ask(client, num_batch=512)
    before = {worker.pid for worker in ollama_server.workers()}
    answer = ask(client, num_batch=64)

    assert WARNINGS not in answer.headers
    assert {worker.pid for worker in ollama_server.workers()} - before


@pytest.mark.parametrize(
    "setting", [{"OLLAMA_NB_RELOAD_ON_REQUEST": "1"}, "--reload-on-request"], ids=str
)
def test_a_server_may_wait_and_load_anew_as_ollama_does(
    start_server: Callable[..., object], setting: object
) -> None:
    environ, flags = (setting, []) if isinstance(setting, dict) else ({}, [setting])
    with start_server(*flags, **environ).client() as client:
        ask(client)
        with streaming(client, num_predict=300) as lines:
            answer = ask(client, num_batch=64)
            told = [json.loads(line) for line in lines]

    assert answer.is_success
    assert WARNINGS not in answer.headers
    assert told[-1]["done"], "the other answer was not harmed"


@pytest.mark.parametrize("path", ["/api/embed", "/api/embeddings"])
def test_embeddings_tell_options_without_effect_too(client, path: str) -> None:
    body = {"model": "demo", "input": "a", "prompt": "a", "options": {"tfs_z": 0.5}}
    answer = client.post(path, json=body)

    assert "'tfs_z' has no effect" in answer.headers[WARNINGS]


def test_an_interactive_request_runs_before_a_batch_that_came_first(
    start_server: Callable[..., object],
) -> None:
    server = start_server(OLLAMA_NUM_PARALLEL="1", OLLAMA_NB_HEARTBEAT="5ms")
    body = {"model": "demo", "prompt": PROMPT, "options": GREEDY}
    with server.client() as client, ExitStack() as waiting:
        told = {}
        with streaming(client):
            for priority in ("batch", "interactive"):
                headers = {"X-Ollama-Nb-Priority": priority, "X-Ollama-Nb-Extras": "1"}
                asked = client.stream("POST", "/api/generate", json=body, headers=headers)
                told[priority] = map(json.loads, waiting.enter_context(asked).iter_lines())
                wait_until_in_place(1, told[priority])
            wait_until_in_place(2, told["batch"])
        texts = {who: [chunk for chunk in told[who] if chunk["response"]] for who in told}

    last, first = texts["interactive"][-1], texts["batch"][0]
    assert np.datetime64(last["created_at"][:-1]) < np.datetime64(first["created_at"][:-1])


def wait_until_in_place(place: int, told: Iterator[dict]) -> None:
    assert any(chunk["nb"].get("place") == place for chunk in islice(told, 5000)), place


@pytest.mark.parametrize("path", ["generate", "chat", "embed", "embeddings"])
def test_a_priority_that_there_is_not_is_refused(client: httpx.Client, path: str) -> None:
    headers = {"X-Ollama-Nb-Priority": "urgent"}
    answer = client.post(f"/api/{path}", json={"model": "demo"}, headers=headers)

    assert answer.status_code == 400
    assert answer.json()["error"] == (
        "X-Ollama-Nb-Priority must be 'interactive' or 'batch', not 'urgent'"
    )


def test_a_request_is_accounted_for_in_the_log(ollama_server, client: httpx.Client) -> None:
    ask(client)

    assert "generated, finished" in ollama_server.log.read_text()


@pytest.mark.parametrize("caller", [OWNER, Caller("ada", manages=False)])
async def test_a_request_carries_who_asks_and_how_urgently(caller) -> None:
    app = web.Application()
    request = httputil.HTTPServerRequest(
        headers=httputil.HTTPHeaders({"X-Ollama-Nb-Priority": " Batch ", "Host": "localhost"}),
        start_line=httputil.RequestStartLine("POST", "/", "HTTP/1.1"),
        connection=SimpleNamespace(set_close_callback=lambda _: None),
    )
    route = Route("/", "generate", {})
    handler = type("Api", (ApiHandler, Open), {})(
        app, request, route=route, app=None, bodies=BodyMemory(), prefix=""
    )
    handler.caller = caller

    assert handler.request_context() == RequestContext(caller, Priority.BATCH, verb="generate")


def test_inside_jupyter_the_account_names_the_user(jupyter_server) -> None:
    with jupyter_server.client() as client:
        ask(client)

    assert "generated, finished, for " in jupyter_server.log.read_text()


def test_the_extensions_traits_win_over_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("OLLAMA_NB_SEND_TIMEOUT", "7s")
    by_trait = OllamaNb(reload_on_request=True, send_timeout=3.0)._settings()
    by_environment = OllamaNb()._settings()

    assert (by_trait.reload_on_request, by_trait.send_timeout_s) == (True, 3.0)
    assert (by_environment.reload_on_request, by_environment.send_timeout_s) == (False, 7.0)
