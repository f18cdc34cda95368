from __future__ import annotations

import signal
import threading

import pytest

import ollama_nb
from ollama_nb.asking.many import IN_FLIGHT, ask_many
from ollama_nb.asking.request import Request
from ollama_nb.asking.streaming import Arriving
from ollama_nb.errors import AnswerFailed, ModelNotFound, NoServer, ServerWentAway


def _requests(*prompts, model="other"):
    return [Request("generate", model, {"prompt": prompt}) for prompt in prompts]


def _texts(outcomes):
    return [outcome and outcome.answer and outcome.answer.text for outcome in outcomes.of]


def test_as_many_are_asked_at_once_as_a_server_can_have_slots_and_a_few_more(connected):
    connected.barrier = threading.Barrier(IN_FLIGHT)  # nobody is answered before all are there
    prompts = [f"together {number}" for number in range(2 * IN_FLIGHT)]

    assert _texts(ask_many(_requests(*prompts))) == prompts
    assert IN_FLIGHT > 16


def test_no_more_are_asked_at_once_than_wished(connected):
    connected.barrier = threading.Barrier(3)
    prompts = [f"together {number}" for number in range(9)]

    assert _texts(ask_many(_requests(*prompts), in_flight=3)) == prompts


def test_equal_questions_are_asked_once_and_all_are_answered(connected):
    told = []

    outcomes = ask_many(
        _requests("a", "b", "a", "a"), on_outcome=lambda _, places: told.append(list(places))
    )

    assert _texts(outcomes) == ["a", "b", "a", "a"]
    assert sorted(body["prompt"] for body in connected.requests) == ["a", "b"]
    assert sorted(told) == [[0, 2, 3], [1]]


def test_what_is_no_answer_is_an_error_of_its_own_question(connected):
    outcomes = ask_many(_requests("a", "break", "b"))

    assert _texts(outcomes) == ["a", None, "b"]
    assert isinstance(outcomes.of[1].error, AnswerFailed)
    assert "the model worker was killed" in str(outcomes.of[1].error)
    assert outcomes.fatal is None


def test_what_would_be_said_of_all_ends_it(connected):
    outcomes = ask_many(_requests(*map(str, range(100)), model="absent"), in_flight=4)

    assert isinstance(outcomes.fatal, ModelNotFound)
    assert len(connected.requests) <= 8
    assert outcomes.of[-1] is None


def test_a_connection_that_breaks_is_tried_once_more(connected):
    outcomes = ask_many(_requests("vanish", "a"), in_flight=1)

    assert isinstance(outcomes.fatal, ServerWentAway)
    assert [body["prompt"] for body in connected.requests] == ["vanish", "vanish"]


def test_a_server_that_is_gone_ends_it(connected):
    connected.stop()

    outcomes = ask_many(_requests("a", "b"))

    assert isinstance(outcomes.fatal, ServerWentAway | NoServer)


def test_ctrl_c_cancels_what_runs_and_gives_back_what_is_finished(connected):
    finished = threading.Event()

    def interrupt():
        if finished.is_set():
            finished.clear()
            signal.raise_signal(signal.SIGINT)

    def on_outcome(_, places):
        if places == [2]:
            finished.set()

    outcomes = ask_many(
        _requests("a", "b", "c", "hang 1", "hang 2", "d"),
        on_outcome=on_outcome,
        meanwhile=interrupt,
        in_flight=2,
    )

    assert outcomes.stopped
    assert _texts(outcomes)[:3] == ["a", "b", "c"]
    assert outcomes.of[3:] == [None] * 3  # neither an answer nor a server's error
    assert connected.left_early.wait(20)
    assert "ollama_nb-many" not in {thread.name for thread in threading.enumerate()}


@pytest.fixture
def words_have_come(monkeypatch):
    """Set when three words of an answer are there."""
    come, add = threading.Event(), Arriving.add

    def noting(arriving, part):
        add(arriving, part)
        if len(arriving.text.split()) >= 3:
            come.set()

    monkeypatch.setattr(Arriving, "add", noting)
    return come


def test_ctrl_c_leaves_the_beginnings_of_streamed_answers(connected, words_have_come):
    def interrupt():
        if words_have_come.is_set():
            words_have_come.clear()
            signal.raise_signal(signal.SIGINT)

    long = "slowly " + " ".join(map(str, range(500)))
    outcomes = ask_many(
        _requests("a", long, long, "b"), meanwhile=interrupt, in_flight=1, streamed=True
    )

    assert outcomes.stopped
    assert _texts(outcomes) == ["a ", None, None, None]
    assert sorted(outcomes.unfinished) == [1, 2]  # the same question
    beginning = outcomes.unfinished[1]
    assert beginning.text.startswith("slowly 0 1")
    assert len(beginning.text) < len(long)
    assert beginning.done_reason == "interrupted"
    assert connected.left_early.wait(20)
    assert ollama_nb.stats()["done_reason"].tolist()[-1] == "interrupted"


def test_streamed_answers_are_what_they_are_as_a_whole(connected):
    outcomes = ask_many(_requests("a b", "break", "c"), streamed=True)

    assert _texts(outcomes) == ["a b ", None, "c "]
    assert isinstance(outcomes.of[1].error, AnswerFailed)
    assert outcomes.unfinished == {}
    assert connected.headers["X-Ollama-Nb-Priority"] == "batch"


def test_an_error_of_the_callers_own_ends_it(connected):
    def on_outcome(*_):
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        ask_many(_requests(*map(str, range(50))), on_outcome=on_outcome, in_flight=2)

    assert len(connected.requests) < 10


def test_all_are_in_the_statistics(connected):
    ask_many(_requests("a b", "c"))

    assert sorted(ollama_nb.stats()["answer_tokens"]) == [1, 2]
    assert ollama_nb.stats()["first_token_s"].isna().all()


def test_they_say_that_nobody_waits_for_one_of_them(connected):
    ask_many(_requests("a"))

    assert connected.headers["X-Ollama-Nb-Priority"] == "batch"
