"""Streams as lines and as server-sent events: the same documents, whatever stands around them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from ollama_nb_server.handlers.streaming import EVENTS, NDJSON, streaming_for

OPTIONS = {"temperature": 0, "seed": 1, "num_predict": 8}
STREAMS = [
    ("generate", {"model": "demo", "prompt": "Hi", "options": OPTIONS}),
    ("chat", {"model": "demo", "messages": [{"role": "user", "content": "Hi"}], "options": OPTIONS}),
    ("create", {"model": "streamed", "from": "demo", "system": "S"}),
    ("push", {"model": "demo"}),
    ("pull", {"model": "localhost:1/a/b", "insecure": True}),
]  # fmt: skip
EVENT_STREAM = {"Accept": "text/event-stream"}


def events(response: httpx.Response) -> Iterator[dict]:
    """Every event of a response, strictly: one `data:` line each, an empty line behind it."""
    *whole, rest = response.read().decode().split("\n\n")
    assert rest == ""
    for event in whole:
        assert event.startswith("data: ")
        assert "\n" not in event
        yield json.loads(event.removeprefix("data: "))


def told(document: dict) -> list[str]:
    """The keys of a document; its times differ."""
    return list(document)


@pytest.mark.parametrize(("verb", "body"), STREAMS)
def test_events_are_the_lines_of_the_same_stream(client, verb: str, body: dict) -> None:
    with client.stream("POST", f"/api/{verb}", json=body) as response:
        lines = [json.loads(line) for line in response.iter_lines()]
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["Content-Type"] == "application/x-ndjson"
    with client.stream("POST", f"/api/{verb}", json=body, headers=EVENT_STREAM) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.headers["X-Accel-Buffering"] == "no"
        found = list(events(response))

    assert told(found[0]) == told(lines[0])
    assert told(found[-1]) == told(lines[-1])


def test_an_error_in_mid_stream_is_an_event(client) -> None:
    body = {"model": "a/b/c/d/e", "stream": True}
    with client.stream("POST", "/api/push", json=body, headers=EVENT_STREAM) as response:
        *_, last = events(response)

    assert list(last) == ["error"]


def test_an_error_before_the_stream_has_its_status_and_is_json(client) -> None:
    answer = client.post(
        "/api/generate", json={"model": "nope", "prompt": "x"}, headers=EVENT_STREAM
    )

    assert answer.status_code == 404
    assert answer.json()["error"] == "model 'nope' not found"


def test_an_answer_in_one_piece_stays_json(client) -> None:
    body = {"model": "demo", "prompt": "Hi", "options": OPTIONS, "stream": False}
    answer = client.post("/api/generate", json=body, headers=EVENT_STREAM)

    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.json()["done"]


def test_events_below_jupyter(jupyter_server) -> None:
    body = {"model": "demo", "prompt": "Hi", "options": OPTIONS}
    with (
        jupyter_server.client() as client,
        client.stream("POST", "/api/generate", json=body, headers=EVENT_STREAM) as response,
    ):
        assert response.headers["X-Accel-Buffering"] == "no"
        assert next(reversed(list(events(response))))["done"]


@pytest.mark.parametrize(
    ("accept", "streaming"),
    [
        ("", NDJSON),
        ("*/*", NDJSON),
        ("application/json", NDJSON),
        ("text/event-stream", EVENTS),
        ("Text/Event-Stream; charset=utf-8", EVENTS),
        ("application/json, text/event-stream;q=0.5", EVENTS),
        ("text/event-stream;q=0", NDJSON),
        ("text/event-stream;q=x", EVENTS),
        ("text/event-stream, application/x-ndjson", NDJSON),
        (",;=,", NDJSON),
    ],
)
def test_who_gets_events(accept: str, streaming: object) -> None:
    assert streaming_for(accept) is streaming
