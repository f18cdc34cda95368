"""Nasty values in every field of every request, on a real server: nobody else is to notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from ollama_nb_server.wire.chat import ChatRequest
from ollama_nb_server.wire.embed import EmbeddingsRequest, EmbedRequest
from ollama_nb_server.wire.generate import GenerateRequest
from ollama_nb_server.wire.models import (
    CopyRequest,
    CreateRequest,
    DeleteRequest,
    PullRequest,
    PushRequest,
    ShowRequest,
)
from ollama_nb_server.wire.options import READERS
from ollama_nb_server.wire.score import ScoreRequest
from ollama_nb_server.wire.tokens import DetokenizeRequest, TokenizeRequest

# As JSON text, since much of this no encoder writes.
NASTY = [
    "1e400", "1e308", "-1e308", "1e13", "2147483648", "-9223372036854775809", "NaN", "0", "-1", "0.1",
    "1" * 400, "true", '""', '"\\ud800\\u2028"', "[]", "{}", '[""]', "[-1]", "[4294967296]", '{"a": []}',
    '"' + "x" * 5000 + '"', "[" * 150 + "]" * 150, '{"items":' * 150 + "{}" + "}" * 150,
    "[" * 900 + "]" * 900,
]  # fmt: skip
ONE_TOKEN = '"options": {"num_predict": 1}, "stream": false'
VERBS: dict[str, tuple[str, type[Any], str]] = {
    "generate": ("POST", GenerateRequest, f'"model": "demo", "prompt": "Hi", {ONE_TOKEN}'),
    "chat": ("POST", ChatRequest, f'"model": "demo", "messages": [{{"role": "user", "content": "Hi"}}], {ONE_TOKEN}'),
    "embed": ("POST", EmbedRequest, '"model": "demo", "input": "Hi"'),
    "embeddings": ("POST", EmbeddingsRequest, '"model": "demo", "prompt": "Hi"'),
    "score": ("POST", ScoreRequest, '"model": "demo", "prompt": "Hi", "choices": ["a"]'),
    "tokenize": ("POST", TokenizeRequest, '"model": "demo", "text": "Hi"'),
    "detokenize": ("POST", DetokenizeRequest, '"model": "demo", "tokens": [1]'),
    "show": ("POST", ShowRequest, '"model": "demo"'),
    "create": ("POST", CreateRequest, '"model": "nasty", "from": "demo", "stream": false'),
    "copy": ("POST", CopyRequest, '"source": "demo", "destination": "nasty-copy"'),
    "delete": ("DELETE", DeleteRequest, '"model": "not-there"'),
    "pull": ("POST", PullRequest, '"model": "localhost:1/a/b", "stream": false'),
    "push": ("POST", PushRequest, '"model": "localhost:1/a/b", "stream": false'),
}  # fmt: skip
# 500 is what Ollama answers to an option or a format of a wrong type, and to what a registry says.
OLLAMAS = (
    "must be of type",
    "must be of an array",
    "invalid format:",
    "manifest",
    "unqualified name",
    "Go value of type []string",
    "unsupported quantization type",
    "does not support vision",
    "the input length exceeds",
)


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Any]) -> Any:
    return start_server()


@pytest.fixture
def client(server: Any) -> Iterator[httpx.Client]:
    with server.client() as client:
        client.post("/api/generate", json={"model": "demo"}).raise_for_status()
        yield client


def bodies(kind: type[Any], usual: str) -> list[str]:
    """The usual request with each field in turn set to each value; the last of equal keys counts."""
    names = [field.alias or name for name, field in kind.model_fields.items()]
    return [f'{{{usual}, "{name}": {value}}}' for name in names for value in NASTY]


def send(client: httpx.Client, verb: str, body: str) -> httpx.Response:
    return client.request(VERBS[verb][0], f"/api/{verb}", content=body)


def is_fine(answer: httpx.Response) -> bool:
    """An answer, or one sentence with a status that is ours or Ollama's."""
    if answer.status_code < 400:
        return True
    error = answer.json()["error"]
    return bool(error) and (answer.status_code < 500 or any(text in error for text in OLLAMAS))


def still_serves(client: httpx.Client) -> None:
    assert client.get("/api/ps").json()["models"] is not None
    assert client.get("/api/tags").is_success
    assert client.post("/api/generate", content=f"{{{VERBS['generate'][2]}}}").is_success


@pytest.mark.parametrize("verb", VERBS)
def test_no_field_breaks_the_server(client: httpx.Client, server: Any, verb: str) -> None:
    _, kind, usual = VERBS[verb]
    num_at_once = 1 if verb == "create" else 4  # who replaces a model may take another's blobs
    with ThreadPoolExecutor(num_at_once) as pool:
        answers = list(pool.map(lambda body: (body, send(client, verb, body)), bodies(kind, usual)))

    wrong = [(body[-60:], a.status_code, a.text[:200]) for body, a in answers if not is_fine(a)]
    assert not wrong
    assert "Traceback" not in server.log.read_text()
    still_serves(client)


@pytest.mark.parametrize("name", sorted(READERS))
def test_no_option_breaks_the_engine(client: httpx.Client, server: Any, name: str) -> None:
    usual = '"model": "demo", "prompt": "Once upon a time", "stream": false'
    values = [*NASTY, "1e38", "-1e38", "1e-38", "3.4e38"]
    sent = [f'{{{usual}, "options": {{"num_predict": 4, "{name}": {value}}}}}' for value in values]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda body: (body, send(client, "generate", body)), sent))

    assert not [(body[:200], a.status_code, a.text[:200]) for body, a in answers if not is_fine(a)]
    assert "Traceback" not in server.log.read_text()
    still_serves(client)


def test_a_long_keep_alive_leaves_ps_to_everybody(client: httpx.Client) -> None:
    client.post("/api/generate", json={"model": "demo", "keep_alive": 1e13}).raise_for_status()

    (model,) = client.get("/api/ps").json()["models"]
    assert model["expires_at"].startswith("2319-")
    client.post("/api/generate", json={"model": "demo", "keep_alive": 300}).raise_for_status()


def test_a_long_keep_alive_of_the_environment_does_so_too(start_server) -> None:
    with start_server(OLLAMA_KEEP_ALIVE="10000000000000").client() as client:
        client.post("/api/generate", json={"model": "demo"}).raise_for_status()

        (model,) = client.get("/api/ps").json()["models"]
    assert model["expires_at"].startswith("2319-")


@pytest.mark.parametrize("token", [-1, 512_000, 2**31, 2**62])
def test_a_context_of_no_tokens_is_refused(client: httpx.Client, token: int) -> None:
    answer = client.post(
        "/api/generate", json={"model": "demo", "prompt": "Hi", "context": [1, token]}
    )

    assert answer.status_code == 400
    assert f"{token} is no token of this model" in answer.json()["error"]


HEAVY = {  # none is over before it has been met by others
    "repeat_last_n": '"options": {"num_predict": 900, "repeat_penalty": 1.1, "repeat_last_n": 2147483647}, "stream": false, '
    '"format": {"type": "array", "minItems": 400, "items": {"type": "integer"}}',
    "long body": '"stream": false, "options": {"num_predict": 8, "x": [' + "[]," * 900_000 + "1]}",
    "text that is no UTF-8": '"stream": false, "options": {"num_predict": 8, "x": ["\\ud800' + '","a' * 900_000 + '"]}',
}  # fmt: skip


@pytest.mark.parametrize("heavy", HEAVY)
def test_others_are_answered_meanwhile(client: httpx.Client, server: Any, heavy: str) -> None:
    body = f'{{"model": "demo", "prompt": "Hi", {HEAVY[heavy]}}}'
    num_answered = 0
    with ThreadPoolExecutor(1) as pool, server.client() as other:
        waiting = pool.submit(other.post, "/api/generate", content=body)
        while not waiting.done():
            client.get("/api/version").raise_for_status()
            num_answered += 1

    assert waiting.result().is_success
    assert num_answered > 3


def test_long_lists_of_vectors_come_whole(client: httpx.Client) -> None:
    texts = [f"text {i}" for i in range(600)]
    answer = client.post("/api/embed", json={"model": "demo", "input": texts})
    alone = client.post("/api/embed", json={"model": "demo", "input": texts[-1]})

    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert len(answer.json()["embeddings"]) == len(texts)
    assert answer.json()["embeddings"][-1] == pytest.approx(alone.json()["embeddings"][0], abs=1e-2)


def test_a_body_larger_than_any_is_refused_in_words(client: httpx.Client) -> None:
    answer = client.post("/api/show", content=(b" " * (1 << 20) for _ in range(257)))

    assert answer.status_code == 413
    assert "larger than 256 MiB" in answer.json()["error"]


def test_a_model_cannot_bring_more_messages_than_a_chat(client: httpx.Client) -> None:
    turns = [{"role": "user", "content": "Hi"}] * 10_001
    told = "".join("MESSAGE user Hi\n" for _ in turns)
    for body in ({"from": "demo", "messages": turns}, {"modelfile": f"FROM demo\n{told}"}):
        answer = client.post("/api/create", json={"model": "talks", "stream": False, **body})

        assert answer.status_code == 400
        assert "10,001 messages" in answer.json()["error"]
