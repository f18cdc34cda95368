"""`classify` and `filter` on columns, by the scores of a real server."""

from __future__ import annotations

import asyncio
import os
import signal
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from test_score import WithoutScores

import ollama_nb
import ollama_nb.frames
from ollama_nb.asking.score_request import ScoreRequest
from ollama_nb.errors import BadChoices, ModelNotFound, ServerWarning
from ollama_nb.frames.errors import BadColumns, NoProbabilities, RowsFailed, UnknownColumn
from ollama_nb.frames.labels import Labels
from ollama_nb.pictures import picture as pictures

LABELS = ["happy", "sad", "angry"]
SEEDED = {"options": {"seed": 1}, "progress": False}


@pytest.fixture(autouse=True)
def real(ollama_server):
    ollama_nb.connect(ollama_server.url)
    ollama_nb.settings.model = "demo"
    return ollama_server


@pytest.fixture
def sent(monkeypatch):
    """The prompts that go to the server."""
    prompts: list[str] = []
    scores = ScoreRequest.scores

    async def noting(self, http, headers):
        prompts.extend(self.prompts)
        return await scores(self, http, headers)

    monkeypatch.setattr(ScoreRequest, "scores", noting)
    return prompts


def _reviews(number):
    return pd.Series([f"Tim saw {n} dogs and was glad." for n in range(number)])


def test_labels_are_categorical_beside_the_probability_of_each():
    texts = pd.Series(["Tim smiled.", None, "Tim cried."], index=["a", "b", "b"])

    found = texts.llm.classify(LABELS, **SEEDED)

    assert list(found) == ["label", *LABELS]
    assert found.index.equals(texts.index)
    assert list(found["label"].cat.categories) == LABELS
    assert found.iloc[1].isna().all()
    told = found[LABELS].iloc[[0, 2]]
    assert told.sum(axis=1).tolist() == pytest.approx([1, 1])
    assert told.idxmax(axis=1).tolist() == found["label"].iloc[[0, 2]].tolist()


def test_they_are_the_scores_of_the_labels_behind_the_prompt():
    prompt = Labels.of(LABELS, None, None, multi=False).prompt("Tim smiled.")

    found = pd.Series(["Tim smiled."]).llm.classify(LABELS, **SEEDED)

    expected = ollama_nb.score(prompt, LABELS, options={"seed": 1}).probabilities
    assert found[LABELS].iloc[0].to_dict() == expected


def test_a_frame_is_classified_by_its_template_and_stays_as_it_is(sent):
    frame = pd.DataFrame({"who": ["Tim", "Ann"], "did": ["ran", "sat"]}, index=[7, 7])
    before = frame.copy(deep=True)

    labels = frame.llm.classify("{{ who }} {{ did }}.", LABELS, proba=False, **SEEDED)

    assert [prompt.count("Text: Tim ran.") for prompt in sorted(sent)] == [0, 1]
    assert (labels.name, labels.dtype.name) == ("label", "category")
    pd.testing.assert_frame_equal(frame, before)
    with pytest.raises(UnknownColumn):
        frame.llm.classify("{{ whom }}", LABELS)


def test_descriptions_examples_and_the_question_are_told():
    labels = Labels.of(
        {"bug": "it fails", "wish": ""}, [("It broke", "bug")], "Which kind?", multi=False
    )

    assert labels.prompt("It stops.") == (
        "Which kind? Answer with one of these labels and nothing else.\n\n- bug: it fails\n- wish\n\n"
        "Text: It broke\nLabel: bug\n\nText: It stops.\nLabel:"
    )


def test_examples_of_several_labels_say_of_each_whether_it_fits():
    labels = Labels.of(
        {"bug": "it fails", "wish": ""}, {"It broke": ["bug"], "Fine": []}, None, multi=True
    )

    assert labels.prompt_of_one("It stops.", "bug") == (
        "Text: It broke\nLabel: bug\nAnswer: Yes\n\nText: Fine\nLabel: bug\nAnswer: No\n\n"
        "Text: It stops.\nLabel: bug: it fails\n\nDoes the label fit the text? Answer Yes or No."
    )


def test_a_label_that_begins_another_is_told_apart_by_quotes():
    labels = Labels.of(["good", "good value"], None, None, multi=False)

    assert labels.choices == ('"good"', '"good value"')
    found = pd.Series(["Tim smiled."]).llm.classify(["good", "good value"], **SEEDED)
    assert list(found) == ["label", "good", "good value"]
    assert found["label"].iloc[0] in ("good", "good value")


def test_who_is_not_sure_abstains():
    texts = _reviews(4)
    best = texts.llm.classify(LABELS, **SEEDED)[LABELS].max(axis=1)
    least = float(np.sort(best)[1:3].mean())

    labels = texts.llm.classify(LABELS, proba=False, abstain=least, **SEEDED)

    assert labels.isna().tolist() == (best < least).tolist()


def test_several_labels_are_asked_about_one_by_one(sent):
    texts = pd.Series(["Tim smiled.", None])

    found = texts.llm.classify({"happy": "glad", "sad": ""}, multi=True, **SEEDED)

    assert len(sent) == 2
    assert all(prompt.endswith("Answer Yes or No.") for prompt in sent)
    assert list(found) == ["labels", "happy", "sad"]
    fitting = [name for name in ("happy", "sad") if found[name].iloc[0] >= 0.5]
    assert found["labels"].iloc[0] == fitting
    assert found.iloc[1].isna().all()


@pytest.mark.parametrize(
    ("labels", "how", "error", "sentence"),
    [
        (["one"], {}, BadChoices, "one label is no choice"),
        (["a", "a"], {}, BadChoices, "twice"),
        ("a, b", {}, BadChoices, "not the text"),
        (["a", "b"], {"examples": {"x": "c"}}, BadChoices, "'c'; there are a, b"),
        (["a", "b"], {"examples": ["x"]}, BadChoices, "a text and its label"),
        (["a", "b"], {"abstain": 70}, BadColumns, "from 0 to 1"),
        (["a", "b"], {"abstain": 0.7, "multi": True}, BadColumns, "may have none"),
        (["a", "label"], {}, BadColumns, "rename this label"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(sent, labels, how, error, sentence):
    with pytest.raises(error, match=sentence):
        pd.Series(["x"]).llm.classify(labels, **how)
    assert sent == []


def test_run_again_only_new_rows_are_asked_and_equal_ones_once(sent):
    texts = _reviews(3)
    first = texts.llm.classify(LABELS, **SEEDED)
    more = pd.concat([texts, pd.Series(["Ann sat.", "Ann sat."])])

    again = more.llm.classify(LABELS, **SEEDED)

    assert len(sent) == 4
    pd.testing.assert_frame_equal(again.iloc[:3], first)
    more.llm.classify(LABELS, fresh=True, **SEEDED)
    assert len(sent) == 8


def test_rows_share_requests_and_several_of_these_are_under_way(monkeypatch):
    """The first requests wait for one another: a loop would wait in vain."""
    scores, all_there, sizes = ScoreRequest.scores, asyncio.Event(), list[int]()

    async def together(self, http, headers):
        sizes.append(len(self.prompts))
        if len(sizes) == 3:
            all_there.set()
        await asyncio.wait_for(all_there.wait(), 20)
        return await scores(self, http, headers)

    monkeypatch.setattr(ScoreRequest, "scores", together)
    found = _reviews(40).llm.classify(LABELS, proba=False, **SEEDED)

    assert found.notna().all()
    assert sorted(sizes) == [8, 16, 16]


def test_ctrl_c_returns_the_rows_so_far_and_running_again_asks_the_rest(monkeypatch, sent):
    texts, answered = _reviews(100), ScoreRequest.scores
    done = 0

    async def interrupting(self, http, headers):
        nonlocal done
        found = await answered(self, http, headers)
        done += 1
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)
        if done >= 2:
            await asyncio.Event().wait()  # for ever: only Ctrl-C ends it
        return found

    with monkeypatch.context() as patched:
        patched.setattr(ScoreRequest, "scores", interrupting)
        part = texts.llm.classify(LABELS, **SEEDED)
    sent.clear()
    whole = texts.llm.classify(LABELS, **SEEDED)

    assert part["label"].notna().sum() == 16
    assert len(sent) == 84
    assert whole["label"].notna().all()


def test_a_row_that_does_not_fit_loses_itself_alone():
    texts = pd.Series(["Tim smiled.", "long " * 3000, "Tim cried."])

    with pytest.warns(RowsFailed, match="1 row failed"):
        found = texts.llm.classify(
            LABELS, details=True, progress=False, options={"num_ctx": 512, "seed": 1}
        )

    assert found["label"].isna().tolist() == [False, True, False]
    assert found["_error"].isna().tolist() == [True, False, True]


def test_of_several_labels_a_row_that_fails_is_missing_and_says_why():
    texts = pd.Series(["Tim smiled.", "long " * 3000])

    with pytest.warns(RowsFailed, match="1 row failed"):
        found = texts.llm.classify(
            LABELS, multi=True, details=True, progress=False, options={"num_ctx": 512, "seed": 1}
        )

    assert found["labels"].isna().tolist() == [False, True]
    assert found["_error"].isna().tolist() == [True, False]


def test_the_error_of_all_rows_is_raised():
    with pytest.raises(ModelNotFound):
        pd.Series(["x"]).llm.classify(LABELS, model="nobody", progress=False)


@pytest.mark.parametrize("texts", [[], [None]])
def test_nothing_to_ask_is_nothing_asked(sent, texts):
    series = pd.Series(texts, dtype=object)

    assert series.llm.classify(LABELS, progress=False).shape == (len(texts), 4)
    assert series.llm.classify(LABELS, multi=True, progress=False).shape == (len(texts), 4)
    assert series.llm.filter("{{ text }}?", progress=False).empty
    assert sent == []


def test_a_server_without_scores_gives_labels_without_probabilities(real):
    server = WithoutScores(real.url)
    ollama_nb.connect(server.url)
    texts = pd.Series(["Tim smiled."])

    with pytest.warns(ServerWarning, match="does not tell how likely"):
        found = texts.llm.classify(LABELS, progress=False)
    with pytest.raises(NoProbabilities):
        texts.llm.classify(LABELS, abstain=0.5, progress=False)
    kept = texts.llm.filter("Is {{ text }} so?", threshold=0.9, progress=False)
    asked = server.asked.count("/api/generate")
    again = texts.llm.classify(LABELS, progress=False)
    server.shutdown()
    server.server_close()

    assert found["label"].isin(LABELS).all()
    assert found[LABELS].isna().all(axis=None)
    assert len(kept) in (0, 1)
    assert asked == 2, "what is kept is not asked again"
    pd.testing.assert_frame_equal(again, found)


def test_what_such_a_server_left_is_asked_again_where_probabilities_are(real):
    server = WithoutScores(real.url)
    ollama_nb.connect(server.url)
    texts = pd.Series(["Tim smiled."])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ServerWarning)
        texts.llm.classify(LABELS, progress=False)
    server.shutdown()
    server.server_close()

    ollama_nb.connect(real.url)

    assert texts.llm.classify(LABELS, progress=False)[LABELS].notna().all(axis=None)


def test_filter_keeps_the_rows_whose_yes_is_likely_enough(sent):
    frame = pd.DataFrame({"a": [f"Tim saw {n}." for n in range(4)] + [None]}, index=[3, 3, 1, 0, 9])
    told = ollama_nb.score(
        [f"Is it so: Tim saw {n}?\n\nAnswer Yes or No." for n in range(4)],
        ["Yes", "No"],
        options={"seed": 1},
    ).probabilities["Yes"]
    least = float(np.sort(told)[1:3].mean())
    template = "Is it so: {{ a[:-1] if a else a }}?"

    kept = frame.llm.filter(template, threshold=least, into="p", **SEEDED)

    expected = frame.iloc[np.flatnonzero(told >= least)]
    pd.testing.assert_frame_equal(kept[["a"]], expected)
    assert kept["p"].tolist() == told[told >= least].tolist()
    count = len(sent)
    assert len(frame.llm.filter(template, threshold=0, **SEEDED)) == 4
    assert len(frame["a"].llm.filter("Is it so: {{ text[:-1] }}?", threshold=0, **SEEDED)) == 4
    assert len(sent) == count, "another threshold asks nothing anew"


def test_a_picture_in_a_row_is_not_dropped_but_told(sent):
    picture = pictures.picture_of(np.zeros((2, 2), dtype=np.uint8), "photo")
    frame = pd.DataFrame({"photo": [picture, "no picture"]})

    with pytest.warns(RowsFailed, match=r"photo is a picture.*ollama_nb.score\(\)"):
        kept = frame.llm.filter("{{ photo }}", threshold=0, **SEEDED)

    assert kept.index.tolist() == [1]
    assert len(sent) == 1


def test_a_statement_is_asked_about(sent):
    pd.Series(["Tim"]).llm.filter("{{ text }} is a boy.", **SEEDED)

    assert sent == ["Tim is a boy.\n\nIs that so? Answer Yes or No."]


def test_frames_of_polars_have_them_too():
    frame = pl.DataFrame({"a": ["Tim smiled.", None]})

    found = frame.llm.classify("{{ a }}", LABELS, **SEEDED)
    kept = frame.llm.filter("{{ a }}", threshold=0, **SEEDED)

    assert found["label"].dtype == pl.Categorical
    assert found["label"].null_count() == 1
    assert found["happy"].null_count() == 1
    assert kept["a"].to_list() == ["Tim smiled."]
