"""Streams that have nothing to say yet: heartbeats, their `nb`, and what comes after them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, aclosing
from typing import Any

import httpx
import ollama
import pytest
from ollama_nb_server.answering.heartbeat import with_heartbeats
from ollama_nb_server.answering.progress import RequestProgress
from ollama_nb_server.scheduling.scheduler import Scheduler
from ollama_nb_server.wire.extras import Extras

EXTRAS = {"X-Ollama-Nb-Extras": "1"}
OPTIONS = {"temperature": 0, "seed": 1, "num_predict": 4}
ASKED = {
    "generate": {"model": "demo", "prompt": "Hi", "options": OPTIONS},
    "chat": {"model": "demo", "messages": [{"role": "user", "content": "Hi"}], "options": OPTIONS},
}
CHUNK = {
    "generate": ["model", "created_at", "response", "done"],
    "chat": ["model", "created_at", "message", "done"],
}


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Any]) -> Any:
    """One with a fast heart, one slot and one place for a model."""
    places = {"OLLAMA_MAX_LOADED_MODELS": "1", "OLLAMA_NUM_PARALLEL": "1"}
    return start_server(OLLAMA_NB_HEARTBEAT="5ms", **places)


@pytest.fixture
def client(server: Any) -> Iterator[httpx.Client]:
    with server.client() as client:
        client.post("/api/generate", json={"model": "demo"}).raise_for_status()
        yield client


@pytest.fixture
def stopped(client: httpx.Client, server: Any) -> Iterator[int]:
    """A worker that does nothing until it is told to go on; its process number."""
    (worker,) = server.workers()
    os.kill(worker.pid, signal.SIGSTOP)
    yield worker.pid
    if worker.is_running():
        os.kill(worker.pid, signal.SIGCONT)


def streamed(client: httpx.Client, verb: str, headers: dict[str, str], **fields: Any) -> Any:
    return client.stream("POST", f"/api/{verb}", json=ASKED[verb] | fields, headers=headers)


def text_of(chunk: dict[str, Any]) -> str:
    return chunk["message"]["content"] if "message" in chunk else chunk["response"]


@pytest.mark.parametrize("verb", ASKED)
def test_a_stream_that_waits_sends_empty_chunks(client, stopped: int, verb: str) -> None:
    with streamed(client, verb, {}) as response:
        lines = response.iter_lines()
        beats = [json.loads(next(lines)) for _ in range(3)]
        os.kill(stopped, signal.SIGCONT)
        rest = [json.loads(line) for line in lines]

    assert [list(beat) for beat in beats] == [CHUNK[verb]] * 3
    assert [(text_of(beat), beat["done"]) for beat in beats] == [("", False)] * 3
    assert rest[-1]["done_reason"] == "length"
    whole = client.post(f"/api/{verb}", json=ASKED[verb] | {"stream": False}).json()
    assert "".join(map(text_of, rest)) == text_of(whole)
    assert not any("nb" in chunk for chunk in [*beats, *rest, whole])


@pytest.mark.parametrize("verb", ASKED)
def test_the_official_client_takes_them(client, server, stopped: int, verb: str) -> None:
    with ollama.Client(server.url, trust_env=False) as official:
        parts = getattr(official, verb)(**ASKED[verb], stream=True)
        first = next(parts)
        os.kill(stopped, signal.SIGCONT)

        assert first.done is False
        assert list(parts)[-1].done


def test_they_are_events_where_events_are_asked_for(client, stopped: int) -> None:
    with streamed(client, "generate", {"Accept": "text/event-stream"}) as response:
        event = next(line for line in response.iter_lines() if line)
        os.kill(stopped, signal.SIGCONT)

        assert event.startswith('data: {"model":"demo"')


def test_an_error_after_a_heartbeat_is_the_last_line(client, stopped: int) -> None:
    with streamed(client, "generate", {}) as response:
        lines = response.iter_lines()
        next(lines)
        os.kill(stopped, signal.SIGKILL)
        last = json.loads(list(lines)[-1])

    assert response.status_code == 200
    assert list(last) == ["error"]


def test_an_error_before_the_first_heartbeat_has_its_status(client) -> None:
    fields = {"options": {"temperature": "hot"}}
    answer = client.post("/api/generate", json=ASKED["generate"] | fields, headers=EXTRAS)

    assert answer.status_code == 500


def test_an_answer_in_one_piece_has_no_heartbeats_but_its_extras(client) -> None:
    answer = client.post(
        "/api/generate", json=ASKED["generate"] | {"stream": False}, headers=EXTRAS
    )

    assert answer.json()["done"]
    assert answer.json()["nb"]["truncated_tokens"] == 0


# --- nb -------------------------------------------------------------------------------------------


def beats_of(response: httpx.Response, at_most: int = 5000) -> Iterator[dict[str, Any]]:
    """The `nb` of each heartbeat, until something else comes."""
    for _, line in zip(range(at_most), response.iter_lines(), strict=False):
        chunk = json.loads(line)
        if "nb" not in chunk or chunk["done"]:
            return
        yield chunk["nb"]


def test_nb_says_that_the_model_loads(server) -> None:
    with server.client() as client:
        client.post("/api/generate", json={"model": "demo", "keep_alive": 0})
        with streamed(client, "generate", EXTRAS) as response:
            phases = [beat for beat in beats_of(response) if beat["phase"] == "loading"]

    assert phases[0] == {"phase": "loading", "place": 1}


def test_nb_says_the_place_in_the_queue(client, server, stopped: int) -> None:
    """Whoever wants the model otherwise waits until nobody uses it as it is."""
    wanted = [{"options": OPTIONS | {"rope_frequency_base": base}} for base in (5000.0, 6000.0)]
    found, open_streams = [], []  # a stream that nobody holds is closed
    with ExitStack() as stack:
        for fields in ({}, *wanted):
            response = stack.enter_context(streamed(client, "generate", EXTRAS, **fields))
            open_streams.append(response.iter_lines())
            found.append(json.loads(next(open_streams[-1]))["nb"])
        os.kill(stopped, signal.SIGCONT)

    assert found == [
        {"phase": "queued"},  # it has a worker, which says nothing
        {"phase": "queued", "place": 1},
        {"phase": "queued", "place": 2},
    ]


def test_nb_counts_the_prompt(client) -> None:
    prompt = {"prompt": "Once upon a time. " * 250, "options": OPTIONS | {"num_batch": 16}}
    with streamed(client, "generate", EXTRAS, **prompt) as response:
        found = [beat for beat in beats_of(response) if beat["phase"] == "prefill"]
    counts = [beat["done"] for beat in found]

    assert counts == sorted(counts)
    assert counts[0] < counts[-1] <= found[-1]["total"]
    assert any("eta_s" in beat for beat in found)
    client.post("/api/generate", json={"model": "demo"}).raise_for_status()


@pytest.mark.parametrize("verb", ASKED)
@pytest.mark.parametrize("stream", [True, False])
def test_the_last_line_tells_what_was_lost(client, verb: str, stream: bool) -> None:
    long = {
        "generate": {"prompt": "word " * 600},
        "chat": {
            "messages": [{"role": "user", "content": f"{n} " + "word " * 40} for n in range(9)]
        },
    }
    body = ASKED[verb] | long[verb] | {"options": OPTIONS | {"num_ctx": 128, "tfs_z": 1}}
    with client.stream(
        "POST", f"/api/{verb}", json=body | {"stream": stream}, headers=EXTRAS
    ) as response:
        last = json.loads(list(response.iter_lines())[-1])["nb"]

    lost = {"generate": "truncated_tokens", "chat": "dropped_messages"}[verb]
    assert last[lost] > 0
    assert any("raise num_ctx" in warning for warning in last["warnings"])
    assert any("tfs_z" in warning for warning in last["warnings"])
    assert last["cached_tokens"] >= 0


# --- the wrapper ----------------------------------------------------------------------------------


async def slow(steps: list[asyncio.Event], ended: list[str]) -> AsyncGenerator[str, None]:
    try:
        for number, step in enumerate(steps):
            await step.wait()
            yield f"answer {number}"
    finally:
        ended.append("ended")


async def test_a_heartbeat_does_not_disturb_what_is_waited_for() -> None:
    steps, ended = [asyncio.Event(), asyncio.Event()], []
    found = []
    async for message in with_heartbeats(slow(steps, ended), lambda: "beat", 0.001):
        found.append(message)
        steps[0].set() if len(found) == 3 else None
        steps[1].set() if len(found) == 6 else None

    answers = [message for message in found if message != "beat"]
    assert answers == ["answer 0", "answer 1"]
    assert found[:3] == ["beat"] * 3
    assert ended == ["ended"]


async def test_leaving_ends_the_work_before_anybody_goes_on() -> None:
    ended: list[str] = []
    async with aclosing(
        with_heartbeats(slow([asyncio.Event()], ended), lambda: "beat", 0.001)
    ) as stream:
        assert await anext(stream) == "beat"

    assert ended == ["ended"]


async def test_cancelling_ends_the_work_too() -> None:
    ended: list[str] = []

    async def read() -> None:
        async for _ in with_heartbeats(slow([asyncio.Event()], ended), lambda: "beat", 60.0):
            pass

    task = asyncio.ensure_future(read())
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert ended == ["ended"]


async def test_an_error_comes_after_the_answers_before_it() -> None:
    async def broken() -> AsyncGenerator[str, None]:
        yield "one"
        yield "two"
        raise ValueError("no more")

    stream = with_heartbeats(broken(), lambda: "beat", 60.0)

    assert [await anext(stream), await anext(stream)] == ["one", "two"]
    with pytest.raises(ValueError, match="no more"):
        await anext(stream)


async def test_the_remaining_time_follows_from_what_was_done() -> None:
    seconds = iter([100.0, 102.0, 104.0])
    progress = RequestProgress(Scheduler(), clock=lambda: next(seconds))

    progress.prompt_computed(500, 2600)
    assert progress.extras() == Extras("prefill", done=500, total=2600)  # no speed yet
    progress.prompt_computed(1500, 2600)
    assert progress.extras() == Extras("prefill", eta_s=2.2, done=1500, total=2600)
    progress.answering()
    assert progress.extras() == Extras("decode")
