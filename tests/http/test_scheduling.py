"""Between users of one real server: nobody's options, pace or leaving harm another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

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
    (before,) = ollama_server.workers()
    answer = ask(client, num_batch=64)

    assert WARNINGS not in answer.headers
    assert [worker.pid for worker in ollama_server.workers()] != [before.pid]


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
