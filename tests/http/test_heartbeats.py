"""Streams that have nothing to say yet: heartbeats, their `nb`, and what comes after them."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import ollama
import pytest
from ollama_nb_server.answering.heartbeat import Heart, interval_for, repeating
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


@pytest.mark.parametrize(("headers", "interval"), [({}, "5"), (EXTRAS, "1")])
def test_a_stream_s_head_says_how_long_it_is_silent_at_most(ollama_server, headers, interval):
    with (
        ollama_server.client() as client,
        streamed(client, "generate", headers) as answer,
    ):
        answer.read()

    assert answer.headers["X-Ollama-Nb-Heartbeat"] == interval


def test_steps_of_making_a_model_say_it_too(ollama_server) -> None:
    with ollama_server.client() as client:
        made = client.post("/api/create", json={"model": "brief", "from": "demo", "system": "Hi"})
        client.request("DELETE", "/api/delete", json={"model": "brief"})

    assert made.headers["X-Ollama-Nb-Heartbeat"] == "5"


def test_a_stream_without_heartbeats_promises_none(start_server) -> None:
    with start_server(OLLAMA_NB_HEARTBEAT="0").client() as client:
        answer = client.post("/api/generate", json=ASKED["generate"])

    assert "X-Ollama-Nb-Heartbeat" not in answer.headers


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


def test_nb_says_how_much_of_the_model_is_read(start_server, held_load) -> None:
    gate, environ = held_load
    server = start_server(OLLAMA_NB_HEARTBEAT="5ms", **environ)
    with server.client() as client, streamed(client, "generate", EXTRAS) as response:
        lines = response.iter_lines()
        first = next(beat for line in lines if "fraction" in (beat := json.loads(line)["nb"]))
        gate.touch()
        rest = [json.loads(line) for line in lines]

    assert first["phase"] == "loading"
    assert first["place"] == 1
    assert 0 < first["fraction"] < 1
    assert rest[-1]["done_reason"] == "length"


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


# --- how long a request waited ----------------------------------------------------------------------


def last_of(lines: Iterator[str]) -> dict[str, Any]:
    return json.loads(list(lines)[-1])


def started(stack: ExitStack, client: httpx.Client, verb: str, **fields: Any) -> Iterator[str]:
    """The lines of an answer that has begun to wait."""
    lines = stack.enter_context(streamed(client, verb, EXTRAS, **fields)).iter_lines()
    next(lines)
    return lines


@pytest.mark.parametrize("verb", ASKED)
def test_a_wait_for_a_slot_is_told(client, stopped: int, verb: str) -> None:
    with ExitStack() as stack:
        running, queued = (started(stack, client, verb) for _ in range(2))
        os.kill(stopped, signal.SIGCONT)
        first, second = last_of(running), last_of(queued)

    assert first["nb"]["load_s"] == second["nb"]["load_s"] == 0
    assert second["nb"]["queue_s"] > first["nb"]["queue_s"]
    assert second["nb"]["queue_s"] * 1e9 > first["eval_duration"]


def test_the_load_is_told_apart_from_the_wait_for_a_place(client, stopped: int) -> None:
    """Whoever wants the model otherwise waits until nobody uses it, and then for its load."""
    other = {"options": OPTIONS | {"rope_frequency_base": 7000.0}}
    with ExitStack() as stack:
        running = started(stack, client, "generate")
        queued = started(stack, client, "generate", **other)
        os.kill(stopped, signal.SIGCONT)
        first, second = last_of(running), last_of(queued)

    waited = second["nb"]
    assert waited["load_s"] > 0
    assert waited["queue_s"] * 1e9 > first["eval_duration"]
    assert waited["queue_s"] + waited["load_s"] > second["load_duration"] / 1e9 - 1e-5


def test_who_comes_while_a_model_loads_waits_for_the_rest_of_the_load(server, eventually) -> None:
    with server.client() as client, ExitStack() as stack:
        client.post("/api/generate", json={"model": "demo", "keep_alive": 0})
        eventually(lambda: not server.workers(), "the worker ends")
        lines = [started(stack, client, "generate") for _ in range(2)]
        first, second = map(last_of, lines)

    assert 0 < second["nb"]["load_s"] <= first["nb"]["load_s"]
    assert first["nb"]["load_s"] > first["nb"]["queue_s"]


IN_ONE_PIECE = {
    "embed": {"input": ["a", "b"]},
    "score": {"prompt": "a", "choices": ["b", "c"]},
}


@pytest.mark.parametrize("verb", IN_ONE_PIECE)
def test_answers_in_one_piece_tell_their_waits_and_their_time(
    client, server, eventually, verb: str
) -> None:
    client.post("/api/generate", json={"model": "demo", "keep_alive": 0})
    eventually(lambda: not server.workers(), "the worker ends")
    asked = {"model": "demo", **IN_ONE_PIECE[verb]}
    cold, warm = (
        client.post(f"/api/{verb}", json=asked, headers=EXTRAS).json()["nb"] for _ in range(2)
    )

    assert cold["load_s"] > 0 == warm["load_s"]
    assert min(cold["prompt_s"], warm["prompt_s"]) > 0
    assert cold["queue_s"] < cold["load_s"]
    assert "nb" not in client.post(f"/api/{verb}", json=asked).json()


@pytest.mark.parametrize(
    ("usual_s", "is_shown", "interval_s"),
    [(5.0, False, 5.0), (5.0, True, 1.0), (0.5, True, 0.5), (math.inf, True, math.inf)],
)
def test_who_shows_what_they_tell_hears_more_of_them(
    usual_s: float, is_shown: bool, interval_s: float
) -> None:
    assert interval_for(usual_s, is_shown=is_shown) == interval_s


# --- their clock ----------------------------------------------------------------------------------


class Loop:
    """The clock and the timers of an event loop."""

    def __init__(self) -> None:
        self.now_s, self.timers = 0.0, list[asyncio.TimerHandle]()

    def time(self) -> float:
        return self.now_s

    def call_at(self, when: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        self.timers.append(asyncio.TimerHandle(when, call, (), asyncio.get_running_loop()))
        return self.timers[-1]

    def pass_to(self, now_s: float) -> None:
        while due := [t for t in self.timers if t.when() <= now_s and not t.cancelled()]:
            self.timers.remove(due[0])
            self.now_s = due[0].when()
            due[0]._run()
        self.now_s = now_s


async def test_it_beats_wherever_nothing_is_told_for_the_interval() -> None:
    loop, beats = Loop(), list[float]()
    with Heart(lambda: beats.append(loop.now_s), 5.0, loop) as heart:
        for told_s in (1, 2, 6, 10.5):
            loop.pass_to(told_s)
            heart.told()
        loop.pass_to(26)

    assert beats == [15.5, 20.5, 25.5]


async def test_a_step_that_takes_its_time_is_told_again() -> None:
    async def steps():
        yield "pulling"
        yield "verifying"

    stream = repeating(steps(), "pulling manifest", 5.0)

    told = [stream.heartbeat()]
    async for _ in stream.answers:
        told.append(stream.heartbeat())
    assert told == ["pulling manifest", "pulling", "verifying"]


async def test_it_needs_one_timer_however_much_is_told() -> None:
    loop = Loop()
    with Heart(bool, 5.0, loop) as heart:
        for now_s in range(1, 40):
            loop.pass_to(now_s)
            heart.told()
            assert len(loop.timers) == 1


async def test_it_stops_with_its_stream() -> None:
    loop, beats = Loop(), list[int]()
    with Heart(lambda: beats.append(1), 5.0, loop):
        loop.pass_to(6)
    loop.pass_to(60)

    assert beats == [1]


async def test_there_is_none_where_they_are_switched_off() -> None:
    loop = Loop()
    with Heart(bool, math.inf, loop):
        assert loop.timers == []


async def test_the_remaining_time_follows_from_what_was_done() -> None:
    seconds = iter([100.0, 102.0, 104.0])
    progress = RequestProgress(Scheduler(), clock=lambda: next(seconds))

    progress.prompt_computed(500, 2600)
    assert progress.extras() == Extras("prefill", done=500, total=2600)  # no speed yet
    progress.prompt_computed(1500, 2600)
    assert progress.extras() == Extras("prefill", eta_s=2.2, done=1500, total=2600)
    progress.answering()
    assert progress.extras() == Extras("decode")
