from __future__ import annotations

import copy
import pickle
import sys
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest

import ollama_nb
from ollama_nb.answers import statistics
from ollama_nb.answers.call_stats import CallStats
from ollama_nb.answers.statistics import COLUMNS
from ollama_nb.answers.timeline import without_idle
from ollama_nb.errors import MissingPackage
from ollama_nb.times import local_zone

BEGAN = datetime(2026, 1, 1, 12, 0, 0, tzinfo=timezone.utc)


@pytest.fixture
def recorded():
    """Two calls of `a` that follow each other, and one of `b`, an hour later, that told nothing."""
    mpl.use("Agg")
    phases = {"queue_s": 1.0, "load_s": 2.0, "prompt_s": 3.0, "eval_s": 4.0}
    statistics.record("chat", "a:latest", "stop", CallStats(BEGAN, 10.5, **phases), 3)
    statistics.record(
        "chat", "a:latest", "stop", CallStats(BEGAN.replace(second=11), 4.0, eval_s=4.0), 4
    )
    statistics.record("embed", "b:latest", None, CallStats(BEGAN.replace(hour=13), 2.0))
    yield
    plt.close("all")


def bars(ax):
    """Legend -> (left end, width) of its bars that have one."""
    return {
        group.get_label(): [(bar.get_x(), bar.get_width()) for bar in group if bar.get_width()]
        for group in ax.containers
    }


def dtypes(frame):
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


def expected_dtypes():
    return {**COLUMNS, "started_at": f"datetime64[ns, {local_zone()}]"}


def test_no_call_gives_an_empty_frame_with_its_dtypes():
    frame = ollama_nb.stats()

    assert len(frame) == 0
    assert dtypes(frame) == expected_dtypes()


def test_a_row_a_call(connected):
    ollama_nb.generate("one")
    ollama_nb.chat("two")
    ollama_nb.embed(["three"])

    frame = ollama_nb.stats()

    assert frame["verb"].tolist() == ["generate", "chat", "embed"]
    assert frame["model"].unique().tolist() == ["other:latest"]
    assert frame["total_s"].gt(0).all()
    assert frame["started_at"].is_monotonic_increasing
    assert frame["cell"].isna().all()


def test_what_a_server_does_not_report_is_missing_and_dtypes_stay(connected):
    ollama_nb.generate("one")

    frame = ollama_nb.stats()

    untold = ["answer_tokens", "queue_s", "load_s", "tokens_per_s", "done_reason"]
    assert frame[untold].isna().all(axis=None)
    assert dtypes(frame) == expected_dtypes()


def test_a_call_that_failed_has_a_row(connected):
    with pytest.raises(ollama_nb.OllamaNbError):
        ollama_nb.generate("one break")

    assert ollama_nb.stats()["done_reason"].tolist() == ["error"]


def test_moments_are_told_in_local_time(recorded, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")

    begun = ollama_nb.stats()["started_at"]

    assert begun.dt.strftime("%H:%M").tolist() == ["21:00", "21:00", "22:00"]
    assert str(begun.dtype) == "datetime64[ns, Asia/Tokyo]"


@pytest.mark.parametrize(
    ("name", "zone"), [(":Europe/Oslo", ZoneInfo("Europe/Oslo")), ("UTC", ZoneInfo("UTC"))]
)
def test_a_zone_has_its_name(name, zone, monkeypatch):
    monkeypatch.setenv("TZ", name)

    assert local_zone() == zone


@pytest.mark.parametrize("name", ["", "<+03>-3", "/etc", "Nowhere/Land"])
def test_a_zone_without_a_name_is_a_distance_from_utc(name, monkeypatch):
    monkeypatch.setenv("TZ", name)

    moment = datetime.now().astimezone()
    assert moment.astimezone(local_zone()).utcoffset() == moment.utcoffset()


def test_the_timeline_shows_where_the_time_of_each_call_went(recorded):
    ax = ollama_nb.stats().plot()

    assert bars(ax) == {
        "queue": [(0.0, 1.0)],
        "load": [(1.0, 2.0)],
        "prompt": [(3.0, 3.0)],
        "eval": [(6.0, 4.0), (11.0, 4.0)],
        "rest, or not told": [(10.0, 0.5), (pytest.approx(15.66), 2.0)],
    }
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["In[3] chat a:latest", "In[4] chat a:latest", "embed b:latest"]
    assert "idle time left out" in ax.get_xlabel()


@pytest.mark.parametrize(
    "choose",
    [
        lambda frame: frame[frame["model"] == "a:latest"],
        lambda frame: frame.query("model == 'a:latest'"),
        lambda frame: frame.head(2).copy(),
        lambda frame: frame.sort_values("total_s", ascending=False).iloc[[0, 1]],
        lambda frame: pd.concat([frame.iloc[:1], frame.iloc[1:2]]),
        lambda frame: copy.deepcopy(frame)[:2],
        lambda frame: pickle.loads(pickle.dumps(frame))[:2],
        lambda frame: frame.assign(tag=1).drop(columns="tag").loc[[0, 1]],
    ],
)
def test_what_is_chosen_of_the_calls_has_its_timeline(recorded, choose):
    assert bars(choose(ollama_nb.stats()).plot())["eval"] == [(6.0, 4.0), (11.0, 4.0)]


def test_the_frame_is_a_dataframe_to_everybody(recorded):
    frame = ollama_nb.stats()

    assert isinstance(frame, pd.DataFrame)
    assert type(frame.groupby("model")[["total_s"]].median()) is pd.DataFrame
    assert type(frame[["model", "total_s"]]) is pd.DataFrame
    assert type(frame["total_s"]) is pd.Series
    assert "cell" in frame.to_html()
    assert type(frame.T) is pd.DataFrame


def test_with_arguments_plot_is_pandas_own(recorded):
    frame = ollama_nb.stats()

    assert len(frame.plot(y="total_s").lines) == 1
    assert len(frame.plot.bar(y="total_s").patches) == 3


def test_the_timeline_is_drawn_on_axes_that_are_given(recorded):
    _, ax = plt.subplots()

    assert ollama_nb.stats().plot(ax=ax) is ax


def test_no_call_has_a_timeline_that_says_so(recorded):
    statistics.forget()

    assert ollama_nb.stats().plot().get_title() == "no calls yet"


def test_many_calls_fit_one_picture(recorded):
    for place in range(300):
        statistics.record("generate", "a:latest", "stop", CallStats(BEGAN, 1.0, eval_s=1.0), place)

    ax = ollama_nb.stats().plot()

    assert len(ax.get_yticklabels()) <= 40
    assert ax.figure.get_figheight() < 12


def test_without_matplotlib_an_error_says_what_to_install(recorded, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(MissingPackage, match=r"pip install 'ollama-nb\[plots\]'"):
        ollama_nb.stats().plot()


@pytest.mark.parametrize(
    ("starts", "ends", "placed", "cuts"),
    [
        ([], [], [], []),
        ([0, 5], [5, 6], [0, 5], []),  # one after the other
        ([0, 1], [9, 2], [0, 1], []),  # at once
        ([0, 100, 100], [1, 101, 150], [0, 1 + 2.04, 1 + 2.04], [1 + 1.02]),
        ([100, 0], [101, 1], [1.08, 0], [1.04]),  # in any order
        ([0, 50, 100], [1, 51, 101], [0, 1.12, 2.24], [1.06, 2.18]),
    ],
)
def test_long_idle_times_are_cut(starts, ends, placed, cuts):
    assert without_idle(starts, ends) == (pytest.approx(placed), pytest.approx(cuts))
