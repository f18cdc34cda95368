"""`compare()` and `bench()`: several models, errors of one, interrupts, medians."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from cells import Cells, eventually

import ollama_nb
from ollama_nb.answers import statistics
from ollama_nb.asking import comparing
from ollama_nb.errors import BadRepeats, NoModels, UnknownOption

if TYPE_CHECKING:
    from collections.abc import Callable


def interrupted(cells: Cells, condition: Callable[[], bool]) -> threading.Thread:
    """Interrupt the kernel once the condition holds; a thread does, while a cell runs."""

    def wait_and_interrupt() -> None:
        eventually(condition, "the call that is to be interrupted")
        os.kill(cells.manager.provisioner.pid, signal.SIGINT)

    thread = threading.Thread(target=wait_and_interrupt)
    thread.start()
    return thread


NUM_PREDICT = {"num_predict": 5}


@pytest.fixture(scope="module")
def demo(ollama_server):
    """A real server with the bundled model, and a second name for it."""
    ollama_nb.connect(ollama_server.url)
    ollama_nb.generate("Hi", model="demo", options={"num_predict": 1})  # now it is there
    ollama_nb.copy("demo", "second")
    return ollama_server


@pytest.fixture
def real(demo):
    ollama_nb.connect(demo.url)
    return demo


def test_answers_stand_side_by_side(connected):
    connected.models = ["a", "b"]

    frame = ollama_nb.compare("one two", models=["b", "a"], temperature=0)

    assert frame.index.tolist() == ["b", "a"]
    assert frame["answer"].tolist() == ["one two ", "one two "]
    assert [answer.model for answer in frame["answer"]] == ["b", "a"]
    assert frame["total_s"].gt(0).all()
    assert frame["error"].isna().all()
    assert [request["options"] for request in connected.requests] == [{"temperature": 0}] * 2


def test_an_error_of_one_model_keeps_the_others_answers(connected):
    connected.models = ["a", "b"]

    frame = ollama_nb.compare("one", models=["a", "missing", "b"])

    assert frame["answer"].fillna("").tolist() == ["one ", "", "one "]
    assert "no model 'missing'" in frame.loc["missing", "error"]
    assert frame["error"].isna().tolist() == [True, False, True]


def test_a_notebook_shows_them_whole_and_as_text(connected):
    connected.models = ["a", "<b>"]
    long = " ".join(["word"] * 100)

    frame = ollama_nb.compare(f"{long} <i>", models=["a", "<b>"])

    assert frame._repr_html_().count(f"{long} &lt;i&gt;") == 2
    assert "<b>" not in frame._repr_html_()
    assert type(frame[["answer"]]) is pd.DataFrame


@pytest.mark.parametrize("models", [[], ["a", "a"]])
def test_models_that_cannot_be_compared_are_refused(connected, models):
    with pytest.raises(NoModels):
        ollama_nb.compare("one", models=models)

    assert connected.requests == []


@pytest.mark.parametrize("ask", [ollama_nb.compare, ollama_nb.bench])
def test_a_mistake_that_is_every_models_is_raised(connected, ask):
    connected.models = ["a", "b"]

    with pytest.raises(UnknownOption, match="did you mean 'temperature'"):
        ask("one", models=["a", "b"], options={"temperatur": 0})
    assert connected.requests == []


def test_ctrl_c_keeps_the_answers_so_far(cells, other_for_cells):
    other_for_cells.models = ["a", "hang", "c"]
    other_for_cells.requests.clear()
    cells.run("from ollama_nb import *")
    interrupting = interrupted(cells, lambda: len(other_for_cells.requests) == 2)

    run = cells.run("%%compare -m a,hang,c -> frame\none two")
    interrupting.join()

    assert run.status == "ok"
    told = cells.run("frame[['done_reason', 'error']].fillna('').values.tolist()").result
    assert "'interrupted'" in told
    assert "not asked" in told
    assert cells.run("frame['answer'].iloc[0]").result == "'one two '"
    assert len(other_for_cells.requests) == 2


def test_a_benchmark_tells_medians_of_the_repeats_and_the_warm_up_apart(real):
    ollama_nb.managing.catalogue.stop("demo")
    statistics.forget()

    frame = ollama_nb.bench("Hello", models=["demo"], repeats=3, options=NUM_PREDICT)

    calls = ollama_nb.stats()
    assert len(calls) == 4
    assert frame.loc["demo", "runs"] == 3
    assert frame.loc["demo", "tokens_per_s"] == calls["tokens_per_s"][1:].median()
    assert frame.loc["demo", "max_tokens_per_s"] == calls["tokens_per_s"][1:].max()
    assert frame.loc["demo", "warmup_s"] == calls["total_s"][0]
    assert frame.loc["demo", "load_s"] == calls["load_s"][0] > 0
    assert calls["load_s"][1:].eq(0).all()
    assert frame.loc["demo", "answer_tokens"] == 5


def test_repeats_use_what_was_computed_and_fresh_ones_do_not(real):
    text = "Once there was a fox who lived in a wood. " * 20

    again, fresh = (
        ollama_nb.bench(text, models=["demo"], repeats=2, options=NUM_PREDICT, fresh=fresh)
        for fresh in (False, True)
    )

    assert again["cached_tokens"].iloc[0] > 0.9 * again["prompt_tokens"].iloc[0]
    assert fresh["cached_tokens"].iloc[0] < 0.2 * fresh["prompt_tokens"].iloc[0]


def test_several_models_are_measured_and_drawn(real):
    mpl.use("Agg")

    frame = ollama_nb.bench(
        "Hello", models=["demo", "missing", "second"], repeats=1, options=NUM_PREDICT
    )

    assert frame["runs"].tolist() == [1, 0, 1]
    assert "no model 'missing'" in frame.loc["missing", "error"]
    ax = frame.plot()
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == frame["tokens_per_s"].fillna(0).tolist()
    assert [label.get_text() for label in ax.get_yticklabels()] == frame.index.tolist()
    assert len(frame[frame["runs"] > 0].plot().patches) == 2
    plt.close("all")


def test_a_benchmark_of_no_calls_is_refused(connected):
    with pytest.raises(BadRepeats, match="at least 1"):
        ollama_nb.bench("Hello", repeats=0)


def test_ctrl_c_keeps_what_was_measured(cells, other_for_cells):
    other_for_cells.models = ["a", "hang", "c"]
    other_for_cells.requests.clear()
    interrupting = interrupted(cells, lambda: len(other_for_cells.requests) == 4)

    cells.run("%%bench -m a,hang,c -n 2 -> measured\none two")
    interrupting.join()

    assert cells.run("measured['runs'].tolist()").result == "[2, 0, <NA>]"
    assert cells.run("measured['error'].tolist()[1:]").result.startswith("['stopped', 'not asked")


def test_ctrl_c_between_two_calls_keeps_the_answers_so_far(connected, monkeypatch):
    """A signal that comes when no call runs: nobody can aim one there, so it is raised there."""
    connected.models = ["a", "b"]
    asked = iter([comparing.generate])

    def generate(*arguments, **named):
        ask = next(asked, None)
        if ask is None:
            raise KeyboardInterrupt
        return ask(*arguments, **named)

    monkeypatch.setattr(comparing, "generate", generate)

    frame = ollama_nb.compare("one", models=["a", "b"])

    assert frame["answer"].fillna("").tolist() == ["one ", ""]
    assert frame.loc["b", "error"].startswith("not asked")
