"""The governor on the real machine, beside processes that really compute."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import cycle

import pytest
from ollama_nb_server.engine.hardware import thread_governor
from ollama_nb_server.engine.hardware.processors import ProcessorReader, affinity
from ollama_nb_server.engine.hardware.thread_governor import ThreadGovernor
from serving import Serving

COMPUTING = "print(flush=True)\nwhile True: pass"
DEADLINE_S = 30


@pytest.fixture
def busy():
    """As many busy processes as processors: nothing is left, whoever else computes."""
    command = [sys.executable, "-c", COMPUTING]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in affinity()]
    for process in running:
        process.stdout.readline()
    yield
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.usefixtures("busy")
def test_beside_busy_processes_one_thread_is_left():
    full = max(len(affinity()), 2)
    governor = ThreadGovernor(full)
    deadline = time.monotonic() + DEADLINE_S

    while governor.threads > 1 and time.monotonic() < deadline:
        time.sleep(0.02)

    assert governor.threads == 1


def test_it_looks_a_few_times_a_second_at_most(monkeypatch):
    looks = []
    read = ProcessorReader.read
    monkeypatch.setattr(ProcessorReader, "read", lambda reader: looks.append(1) or read(reader))
    governor = ThreadGovernor(2)
    began = time.monotonic()

    while time.monotonic() - began < 0.6:
        assert governor.threads in (1, 2)

    assert len(looks) <= 1 + (time.monotonic() - began) / thread_governor.LOOK_EVERY_S


def test_who_has_one_thread_never_looks(monkeypatch):
    monkeypatch.setattr(ProcessorReader, "read", lambda _: pytest.fail("it looked"))

    assert ThreadGovernor(1).threads == 1


def test_where_the_system_tells_nothing_all_threads_compute(monkeypatch):
    monkeypatch.setattr(ProcessorReader, "read", lambda _: None)

    assert ThreadGovernor(4).threads == 4


class Flapping:
    """Says another number for every step."""

    def __init__(self) -> None:
        self._numbers = cycle([1, 2])

    @property
    def threads(self) -> int:
        return next(self._numbers)

    def rested(self) -> None:
        """It looks at nothing."""


def test_threads_that_change_between_steps_change_no_answer(q4_k_gguf, monkeypatch):
    serving = Serving(q4_k_gguf)
    wishes = {"reproducible": True, "logprobs": 0}
    steady = serving.answer("Once upon a time", **wishes)
    used, set_threads = [], serving.engine.context.set_threads
    monkeypatch.setattr(serving.engine, "_governor", Flapping())
    monkeypatch.setattr(
        serving.engine.context, "set_threads", lambda n: used.append(n) or set_threads(n)
    )

    flapping = serving.answer("Once upon a time", **wishes)

    assert set(used) == {1, 2}
    assert flapping.logprobs == steady.logprobs
    serving.close()
