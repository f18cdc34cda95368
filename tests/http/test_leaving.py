"""Clients that leave while nothing has been sent to them: what they wanted is not computed.

What the worker computes is compared, in seconds of a processor, with what the whole request takes.
"""

from __future__ import annotations

import hashlib
import http.client
import json
from functools import partial

import httpx
import psutil
import pytest

LONG, SHORT = ["word " * 100] * 20, ["a"]


def generate(texts: list[str], stream: bool) -> tuple[str, dict[str, object]]:
    return "/api/generate", {"prompt": "".join(texts), "raw": True, "stream": stream}


def chat(texts: list[str]) -> tuple[str, dict[str, object]]:
    return "/api/chat", {"messages": [{"role": "user", "content": "".join(texts)}]}


def embed(texts: list[str]) -> tuple[str, dict[str, object]]:
    return "/api/embed", {"input": texts}


def score(texts: list[str]) -> tuple[str, dict[str, object]]:
    return "/api/score", {"prompts": texts, "choices": ["yes", "no"]}


ASKING = {
    "generate, streaming": partial(generate, stream=True),
    "generate, whole": partial(generate, stream=False),
    "chat": chat,
    "embed": embed,
    "score": score,
}


@pytest.fixture(scope="module")
def server(start_server, q4_k_gguf):
    """With one slot, and a model that takes a while to read a prompt, every time."""
    server = start_server(OLLAMA_NUM_PARALLEL="1", OLLAMA_NB_PREFIX_CACHE_MB="0")
    data = q4_k_gguf.read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    with server.client() as client:
        assert client.post(f"/api/blobs/{digest}", content=data).is_success
        body = {"model": "q4", "files": {"q4.gguf": digest}, "stream": False}
        assert client.post("/api/create", json=body).is_success
        ask(client, *generate(SHORT, stream=False))
    return server


def body_of(fields: dict[str, object]) -> dict[str, object]:
    return {"model": "q4", "options": {"num_ctx": 2048, "num_predict": 1}, **fields}


def ask(client: httpx.Client, path: str, fields: dict[str, object]) -> None:
    assert client.post(path, json=body_of(fields)).is_success


def spent_s(worker: psutil.Process) -> float:
    """What the worker has computed so far, in seconds of a processor."""
    times = worker.cpu_times()
    return times.user + times.system


@pytest.mark.parametrize("request_for", ASKING.values(), ids=ASKING)
def test_what_a_client_wanted_that_has_left_is_not_computed(server, eventually, request_for):
    (worker,), (path, fields) = server.workers(), request_for(LONG)
    with server.client() as client:
        before = spent_s(worker)
        ask(client, path, fields)
        whole_s = spent_s(worker) - before

        before = spent_s(worker)
        leaving = http.client.HTTPConnection(httpx.URL(server.url).netloc.decode())
        leaving.request("POST", path, json.dumps(body_of(fields)))
        eventually(lambda: spent_s(worker) - before > whole_s / 10, "the text being read")
        leaving.close()
        ask(client, path, fields)  # over when the other one would be, by turns or behind it

    assert spent_s(worker) - before < 1.5 * whole_s


def test_an_answer_ends_when_its_reader_leaves(server):
    endless = {"num_ctx": 8192, "num_predict": -1, "temperature": 0}  # 80,000 tokens
    body = body_of({"prompt": "a", "raw": True, "options": endless})
    with server.client() as client:
        with client.stream("POST", "/api/generate", json=body) as response:
            assert next(response.iter_lines())

        ask(client, *generate(SHORT, stream=False))  # in the only slot, which is free again
