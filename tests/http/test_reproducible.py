"""Whose answers do not depend on who else is being served, over HTTP."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from ollama_nb_server.answering.preparation import reproducible
from ollama_nb_server.environment import Settings
from ollama_nb_server.wire.options import Options

PROMPTS = ["The cat", "Once upon a time there was a robot", "Yesterday " * 30, "One " * 64]
GREEDY, HOT = {"temperature": 0}, {"temperature": 2.0, "top_k": 0, "top_p": 1.0}


@pytest.fixture
def serve(start_server, q4_k_gguf: Path):
    """`serve(OLLAMA_NB_REPRODUCIBLE=...)`: a client of a server with the model `q`."""
    clients = []

    def started(**environ: str) -> httpx.Client:
        clients.append(start_server(OLLAMA_NUM_PARALLEL="8", **environ).client())
        data = q4_k_gguf.read_bytes()
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        clients[-1].post(f"/api/blobs/{digest}", content=data).raise_for_status()
        body = {"model": "q", "files": {"q.gguf": digest}, "stream": False}
        clients[-1].post("/api/create", json=body).raise_for_status()
        return clients[-1]

    yield started

    for client in clients:
        client.close()


def told(client: httpx.Client, prompt: str, options: dict) -> object:
    body = {"model": "q", "prompt": prompt, "raw": True, "stream": False, "logprobs": True}
    options = {"num_predict": 24, **options}
    answer = client.post("/api/generate", json={**body, "top_logprobs": 2, "options": options})
    return answer.raise_for_status().json()["logprobs"]


def alone_and_at_once(client: httpx.Client, options: dict) -> tuple[list[object], list[object]]:
    asked = [(client, prompt, options) for prompt in PROMPTS * 2]
    alone = [told(*each) for each in asked]
    with ThreadPoolExecutor(len(asked)) as pool:
        return alone, list(pool.map(lambda each: told(*each), asked))


def test_answers_with_a_seed_do_not_depend_on_others(serve):
    alone, at_once = alone_and_at_once(serve(), {"seed": 7, **HOT})

    assert at_once == alone


def test_those_of_temperature_0_do_not_either_where_it_is_wanted(serve):
    alone, at_once = alone_and_at_once(serve(OLLAMA_NB_REPRODUCIBLE="always"), GREEDY)

    assert at_once == alone


@pytest.mark.parametrize(
    ("policy", "options", "expected"),
    [
        ("seeded", {"seed": 7}, True),
        ("seeded", {"seed": 0}, True),
        ("seeded", {"seed": -1}, False),
        ("seeded", {}, False),
        ("seeded", {"temperature": 0}, False),
        ("always", {"temperature": 0}, True),
        ("always", {"seed": 7}, True),
        ("always", {}, False),
        ("never", {"seed": 7, "temperature": 0}, False),
    ],
)
def test_the_administrator_says_for_whom_it_holds(policy, options, expected):
    app = SimpleNamespace(settings=Settings.from_environ({"OLLAMA_NB_REPRODUCIBLE": policy}))

    assert reproducible(app, Options.merge({}, options, default_num_ctx=4096)) is expected


def test_another_word_is_the_default_and_a_warning(caplog):
    assert Settings.from_environ({"OLLAMA_NB_REPRODUCIBLE": "maybe"}).reproducible == "seeded"
    assert "OLLAMA_NB_REPRODUCIBLE='maybe'" in caplog.text
