"""EngineCore in this process: what it answers, step by step, and whom a fault of ours ends."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ollama_nb_server.engine.core import ActiveRequests, EngineCore
from ollama_nb_server.engine.engine import Engine
from ollama_nb_server.engine.errors import DecodeFailed
from ollama_nb_server.engine.messages import (
    Cancel,
    Cancelled,
    Delta,
    Embed,
    Finished,
    Generate,
    Grammar,
    LoadSpec,
    Priority,
    Progress,
    SamplingParams,
    TextSegment,
    Tokenize,
)
from ollama_nb_server.engine.native import AbortSwitch, NativeLog
from ollama_nb_server.engine.sampling.logprobs import Pieces

GREEDY = SamplingParams(seed=1, temperature=0)
LONG = "Once upon a time there was a robot. " * 30
OBJECT = Grammar("json_schema", '{"type": "object"}')
LIST = Grammar("json_schema", '{"type": "array"}')


class Core:
    """An EngineCore on a thread, and what it has sent; `told` has what was sent at once together."""

    def __init__(self, engine: Engine) -> None:
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.sent: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.told: list[set[int]] = []
        core = EngineCore(engine, self.inbox, ActiveRequests(AbortSwitch()), self._send)
        threading.Thread(target=core.run, daemon=True).start()

    def _send(self, *messages: Any) -> None:
        self.told.append({message.id for message in messages})
        for message in messages:
            self.sent.put(message)

    def until_ended(self, *requests: int) -> list[Any]:
        """All messages until each of these requests has had its last one."""
        told, still = [], set(requests)
        while still:
            told.append(self.sent.get(timeout=60))
            if is_last(told[-1]):
                still.discard(told[-1].id)
        return told


def is_last(message: object) -> bool:
    return not isinstance(message, Delta | Progress)


def generate(id: int, prompt: str = "Once", num_predict: int = 8, **more: Any) -> Generate:
    return Generate(id, (TextSegment(prompt),), GREEDY, num_predict, **more)


@pytest.fixture(scope="module")
def engine(demo_gguf) -> Iterator[Engine]:
    wishes = {"num_ctx": 512, "num_parallel": 2, "num_batch": 64, "prefix_cache_bytes": 0}
    spec = LoadSpec(str(demo_gguf), **wishes)
    with Engine(spec, NativeLog(), AbortSwitch()) as engine:
        engine.grammars.begin()
        yield engine


@pytest.fixture(scope="module")
def core(engine) -> Core:
    return Core(engine)  # one for all: it owns the slots


def test_a_long_prompt_tells_how_far_it_is(core):
    core.inbox.put(generate(1, LONG))

    told = core.until_ended(1)

    progress = [m for m in told if isinstance(m, Progress)]
    computed = [m.num_computed for m in progress]
    assert computed == sorted(set(computed))
    assert {m.num_prompt for m in progress} == {told[-1].prompt_count}
    assert computed[-1] < told[-1].prompt_count


def test_an_end_tells_which_stop_text_it_was(core):
    core.inbox.put(generate(1, stop=("never, ever", "a"), num_predict=60))

    finished = core.until_ended(1)[-1]

    assert (finished.reason, finished.stop) == ("stop", "a")


def test_a_cancelled_request_tells_what_had_been_computed(core):
    core.inbox.put(generate(1, num_predict=-1, stop=("\0",)))
    first = core.sent.get(timeout=60)
    core.inbox.put(Cancel(1))

    cancelled = core.until_ended(1)[-1]

    assert isinstance(first, Delta)
    assert isinstance(cancelled, Cancelled)
    assert cancelled.prompt_count > 0
    assert cancelled.eval_count > 0


@pytest.mark.parametrize("is_newcomer", [True, False])
def test_a_newcomers_first_token_does_not_wait_for_others_next_ones(core, is_newcomer):
    core.inbox.put(generate(1, num_predict=-1, stop=("\0",)))
    core.sent.get(timeout=60)
    core.inbox.put(generate(2, "Once upon a time", num_predict=1, newcomer=is_newcomer))
    core.until_ended(2)
    core.inbox.put(Cancel(1))
    core.until_ended(1)

    (step,) = [ids for ids in core.told if 2 in ids]
    assert step == ({2} if is_newcomer else {1, 2})
    core.told.clear()


@pytest.mark.parametrize(
    "request_",
    [
        generate(1, "x" * 70_000),
        generate(1, grammar=OBJECT),
        Embed(1, ("a " * 40_000,)),
        Tokenize(1, (TextSegment("x" * 70_000),)),
    ],
    ids=["its text is read aside", "its grammar is compiled", "embeds", "tokenises"],
)
def test_a_request_is_answered_wherever_it_is_cancelled(core, request_):
    core.inbox.put(request_)
    core.inbox.put(Cancel(1))

    assert core.until_ended(1)[-1] == Cancelled(1)


def test_a_request_that_waits_for_a_slot_can_be_cancelled(core):
    for number in (1, 2, 3):
        core.inbox.put(generate(number, num_predict=40))
    core.inbox.put(Cancel(3))

    ends = [m for m in core.until_ended(1, 2, 3) if is_last(m)]

    assert ends[0] == Cancelled(3)
    assert {type(m) for m in ends[1:]} == {Finished}


FAULTS: dict[str, tuple[Callable[[Engine], tuple[Any, str]], Any]] = {
    "drawing": (lambda _: (Pieces, "add"), generate(1, logprobs=0)),
    "starting": (lambda _: (Pieces, "__init__"), generate(1, logprobs=0)),
    "reading aside": (
        lambda e: (type(e.model), "_blocks"),
        Tokenize(1, (TextSegment("x" * 70_000),)),
    ),
    "embedding": (lambda e: (type(e.embedder), "step"), Embed(1, ("a",))),
    "compiling": (lambda e: (type(e.grammars._compiler()), "compile"), generate(1, grammar=LIST)),
}


@pytest.mark.parametrize("where", FAULTS)
def test_a_fault_of_ours_ends_its_own_request_only(core, engine, monkeypatch, where):
    place, broken = FAULTS[where]
    core.inbox.put(generate(2, num_predict=200, stop=("\0",)))
    first = core.sent.get(timeout=60)
    monkeypatch.setattr(*place(engine), fault)

    core.inbox.put(broken)
    ends = {m.id: m for m in core.until_ended(1, 2) if is_last(m)}

    assert isinstance(first, Delta)
    assert (ends[1].error, ends[1].args[0]) == ("InternalError", "ZeroDivisionError: by us")
    assert "in fault" in ends[1].args[1]
    assert isinstance(ends[2], Finished)


def fault(*_: object, **__: object) -> Any:
    raise ZeroDivisionError("by us")


def test_persons_come_before_programs(core):
    for number in (1, 2, 3, 4):
        core.inbox.put(generate(number, num_predict=30, priority=Priority.BATCH))
    core.inbox.put(generate(5, num_predict=30))

    ends = [m.id for m in core.until_ended(1, 2, 3, 4, 5) if is_last(m)]

    assert ends.index(5) < ends.index(3)


def test_the_largest_number_of_threads_counts(core, engine, monkeypatch):
    used: list[int] = []
    monkeypatch.setattr(engine, "use_threads", used.append)

    core.inbox.put(generate(1, num_predict=30, num_thread=1, stop=("\0",)))
    core.inbox.put(generate(2, num_predict=5, num_thread=2, stop=("\0",)))
    core.until_ended(1, 2)

    assert max(used) == 2
    assert used[-1] == 1


def test_the_times_of_steps_are_taken_in_with_what_they_computed(core, engine, monkeypatch):
    noted: list[tuple[int, int, float]] = []
    monkeypatch.setattr(engine.planner.budget, "note", lambda *step: noted.append(step))

    core.inbox.put(generate(1, LONG, num_predict=3, stop=("\0",)))
    (finished,) = (m for m in core.until_ended(1) if is_last(m))

    assert sum(num_prompt for _, num_prompt, _ in noted) == finished.prompt_count
    assert [step[:2] for step in noted[-2:]] == [(1, 0), (1, 0)]
    assert all(seconds > 0 for _, _, seconds in noted)


def test_nothing_is_computed_behind_a_piece_that_could_not_be(core, engine, monkeypatch):
    decode, calls = engine.context.decode, []

    def failing(batch: Any) -> bool:
        calls.append(batch.struct.n_tokens)
        if len(calls) == 2:
            raise DecodeFailed("llama_decode", -3)
        return decode(batch)

    monkeypatch.setattr(engine.planner, "alone", 256)  # several pieces of 64 in a step
    monkeypatch.setattr(engine.context, "decode", failing)
    core.inbox.put(generate(1, LONG, reproducible=True))
    failed = core.until_ended(1)[-1]

    assert calls == [64, 64]
    assert (failed.error, failed.prompt_count) == ("DecodeFailed", 64)
    core.inbox.put(generate(2))
    assert isinstance(core.until_ended(2)[-1], Finished)
