"""`agg` and `join`: answers about many rows, and pairs of rows, at a real server."""

from __future__ import annotations

import asyncio
import os
import signal

import pandas as pd
import pytest

import ollama_nb
import ollama_nb.frames
from ollama_nb.asking.request import Request
from ollama_nb.errors import AnswerFailed, ModelNotFound, NotText, ServerWarning, Stopped
from ollama_nb.frames.errors import BadColumns, RowsFailed, UnknownColumn
from ollama_nb.frames.packing import USUAL_CONTEXT, Budget, counts
from ollama_nb.frames.reducing import PART, PUT_TOGETHER

SHORT = {"max_tokens": 12, "temperature": 0, "progress": False}


@pytest.fixture(autouse=True)
def real(ollama_server):
    ollama_nb.connect(ollama_server.url)
    ollama_nb.settings.model = "demo"
    return ollama_server


@pytest.fixture
def sent(monkeypatch):
    """The prompts that go to the server."""
    prompts: list[str] = []
    parts = Request.parts_async

    def noting(self, http, **how):
        prompts.append(self.fields["prompt"])
        return parts(self, http, **how)

    monkeypatch.setattr(Request, "parts_async", noting)
    return prompts


# --- agg ------------------------------------------------------------------------------------------


def test_an_answer_about_all_rows_is_one_text(sent):
    texts = pd.Series(["Tim ran.", None, "Ann sat."])

    answer = texts.llm.agg("Who {{ was }} it?", **SHORT)

    assert sent == ["Who {{ was }} it?\n\nTim ran.\n\nAnn sat."]
    alone = ollama_nb.generate(sent[0], temperature=0, options={"num_predict": 12})
    assert answer == alone.text.strip()


def test_groups_are_those_of_pandas(sent):
    frame = pd.DataFrame(
        {"who": ["Tim", "Ann", None, "Bob"], "place": ["b", "a", "c", "b"], "did": list("xyzw")},
        index=[1, 1, 2, 3],
    )
    before = frame.copy(deep=True)

    found = frame.llm.agg("Who?", "{{ who }} {{ did }}", by="place", **SHORT)

    assert found.index.equals(frame.groupby("place").size().index)
    assert (found.name, found.dtype) == ("answer", "string")
    assert found.isna().tolist() == [False, False, True]
    assert sorted(sent) == ["Who?\n\nAnn y", "Who?\n\nTim x\n\nBob w"]
    pd.testing.assert_frame_equal(frame, before)


def test_what_is_longer_than_a_context_is_asked_in_parts_that_are_put_together(sent):
    texts = pd.Series([f"{n} dogs ran. " * 6 for n in range(20)])
    options = {"num_ctx": 256}

    answer = texts.llm.agg("Who?", options=options, **SHORT)

    parts = [prompt for prompt in sent if PART in prompt]
    last = [prompt for prompt in sent if PUT_TOGETHER in prompt]
    assert len(parts) >= 3
    assert len(last) >= 1
    assert sent[-1] == last[-1]
    assert all(any(f"{n} dogs" in prompt for prompt in parts) for n in range(20))
    assert max(counts(sent, "demo")) < 256 - 12
    asked = len(sent)
    assert texts.llm.agg("Who?", options=options, **SHORT) == answer
    assert len(sent) == asked, "all rounds are kept"


def _interrupting(monkeypatch, others):
    """Have Ctrl-C come when all prompts but the one with "stop" are answered."""
    parts, answered, all_there = Request.parts_async, list[object](), asyncio.Event()
    if not others:
        all_there.set()

    async def asked(self, http, **how):
        if "stop" in self.fields["prompt"]:
            await all_there.wait()
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()  # for ever: only Ctrl-C ends it
        async for part in parts(self, http, **how):
            yield part
        answered.append(part)
        if len(answered) == others:
            all_there.set()

    monkeypatch.setattr(Request, "parts_async", asked)


def test_after_ctrl_c_no_other_round_begins_and_groups_so_far_are_returned(monkeypatch, sent):
    long = [f"{n} dogs ran. " * 6 for n in range(8)]
    frame = pd.DataFrame({"a": ["Tim ran.", *long, "stop"], "by": [1, *[2] * len(long), 3]})
    options = {"num_ctx": 256}
    ask = {"by": "by", "options": options, **SHORT}

    parts = len(
        Budget.of("demo", options, "\n".join(["Who?", PART, PUT_TOGETHER, ""]), 12).parts(long)
    )
    with monkeypatch.context() as patched:
        _interrupting(patched, 1 + parts)
        so_far = frame.llm.agg("Who?", "a", **ask)
    asked = list(sent)
    sent.clear()
    whole = frame.llm.agg("Who?", "a", **ask)

    assert parts >= 2
    assert len(asked) == 1 + parts, "no other round began"
    assert so_far.isna().tolist() == [False, True, True]
    assert [PUT_TOGETHER in prompt for prompt in sent] == [False, True], "the rest"
    assert whole.notna().all()


def test_one_answer_that_is_stopped_is_a_keyboard_interrupt(monkeypatch):
    _interrupting(monkeypatch, 0)

    with pytest.raises(Stopped, match="run it again"):
        pd.Series(["stop"]).llm.agg("Who?", **SHORT)


def test_a_group_whose_part_fails_is_missing_and_the_others_are_not(monkeypatch):
    frame = pd.DataFrame({"a": ["Tim ran.", "break"], "by": ["x", "y"]})
    parts = Request.parts_async

    async def breaking(self, http, **how):
        if "break" in self.fields["prompt"]:
            raise AnswerFailed("demo", "it broke", 500)
        async for part in parts(self, http, **how):
            yield part

    monkeypatch.setattr(Request, "parts_async", breaking)
    with pytest.warns(RowsFailed, match="it broke"):
        answers = frame.llm.agg("Who?", "a", by="by", **SHORT)

    assert answers.isna().tolist() == [False, True]


def test_parts_hold_all_texts_in_order_and_each_fits():
    texts = ["short", "long words " * 200, "x" * 500, "end"]

    parts = Budget("demo", 60).parts(texts)

    assert all(sum(counts(part, "demo")) <= 60 for part in parts)
    joined = "".join(piece for part in parts for piece in part)
    assert joined.replace(" ", "") == "".join(texts).replace(" ", "")


def test_without_num_ctx_parts_fit_the_context_of_the_loaded_model(client):
    loaded = Budget.of("demo", {}, "Who?", 12)

    (entry,) = client.get("/api/ps").json()["models"]
    context = entry["context_length"]
    assert loaded == Budget.of("demo", {"num_ctx": context}, "Who?", 12)
    assert context != USUAL_CONTEXT


def test_where_nobody_counts_tokens_there_are_rather_too_many(connected):
    connected.models = ["other"]

    assert counts(["Tim ran home."], "other") == [7]
    assert Budget.of("other", {}, "Who?", 12).tokens < 4096


@pytest.mark.parametrize(
    ("how", "error", "sentence"),
    [
        ({"max_tokens": 0}, BadColumns, "from 1"),
        ({"max_tokens": 200, "options": {"num_ctx": 256}}, BadColumns, "too short"),
        ({"model": "nobody"}, ModelNotFound, "nobody"),
    ],
)
def test_what_cannot_be_is_told(how, error, sentence):
    with pytest.raises(error, match=sentence):
        pd.Series(["x"]).llm.agg("Who?", **{**SHORT, **how})


def test_no_text_at_all_and_no_such_column_are_told():
    with pytest.raises(BadColumns, match="no text"):
        pd.Series([None], dtype=object).llm.agg("Who?")
    with pytest.raises(UnknownColumn):
        pd.DataFrame({"a": ["x"]}).llm.agg("Who?", "b")
    with pytest.raises(NotText):
        pd.Series(["x"]).llm.agg(5)


# --- join -----------------------------------------------------------------------------------------


def test_a_join_is_what_the_scores_of_its_pairs_say():
    here = pd.DataFrame({"name": ["cat", None, "dog"], "n": [1, 2, 3]}, index=[5, 5, 6])
    there = pd.DataFrame({"kind": ["pet", "tool"], "n": [8, 9]})
    on = "Is a {{ name }} a {{ kind }}, {{ n_left }} and {{ n_right }}?"

    every = here.llm.join(there, on, candidates=None, threshold=0, into="p", progress=False)
    middle = float(every["p"].sort_values().iloc[1:3].mean())
    some = here.llm.join(there, on, candidates=None, threshold=middle, progress=False)

    assert list(every) == ["name", "n_left", "kind", "n_right", "p"]
    assert every["name"].tolist() == ["cat", "cat", "dog", "dog"]
    assert every["n_right"].tolist() == [8, 9, 8, 9]
    expected = every[every["p"] >= middle].drop(columns="p").reset_index(drop=True)
    pd.testing.assert_frame_equal(some, expected)
    prompt = "Is a cat a pet, 1 and 8?\n\nAnswer Yes or No."
    told = ollama_nb.score(prompt, ["Yes", "No"]).probabilities["Yes"]
    assert every["p"].iloc[0] == pytest.approx(told, abs=0.1)


def test_candidates_are_those_whose_vectors_are_most_alike():
    here = pd.DataFrame({"a": ["the moon is high", "a cat sat"]})
    there = pd.DataFrame({"b": ["a cat sat", "red", "the moon is high", None]})

    found = here.llm.join(
        there, "{{ a }} {{ b }}", candidates=1, threshold=0, embed_model="demo", progress=False
    )

    assert found["a"].tolist() == found["b"].tolist() == here["a"].tolist()


def test_several_candidates_are_asked_about_in_the_order_of_their_frame():
    here = pd.DataFrame({"a": ["a cat sat"]})
    there = pd.DataFrame({"b": ["a cat sat there", "red", "a cat sat"]})

    found = here.llm.join(
        there, "{{ a }} {{ b }}", candidates=2, threshold=0, embed_model="demo", progress=False
    )

    assert found["b"].tolist() == ["a cat sat there", "a cat sat"]


def test_texts_of_whole_rows_are_embedded_by_the_model_that_is_named(connected):
    connected.models = ["other", "vectors"]
    connected.says = {"": '"Yes"'}
    here = pd.DataFrame({"a": ["x", None]})
    there = pd.DataFrame({"b": ["y", None, "z"]})

    with pytest.warns(ServerWarning, match="does not tell how likely"):
        found = here.llm.join(
            there,
            "{{ a }} {{ b }}",
            candidates=1,
            model="other",
            embed_model="vectors",
            progress=False,
        )

    embedded = [(one["model"], one["input"]) for one in connected.requests if "input" in one]
    assert embedded == [("vectors", ["x"]), ("vectors", ["y", "z"])]
    assert len(found) == 1


@pytest.mark.parametrize(
    ("on", "how", "error"),
    [
        ("{{ a }}?", {}, BadColumns),
        ("{{ b }}?", {}, BadColumns),
        ("{{ a }} {{ c }}?", {}, UnknownColumn),
        ("{{ a }} {{ b }}?", {"candidates": 0}, BadColumns),
        ("{{ a }} {{ b }}?", {"threshold": 2}, BadColumns),
    ],
)
def test_a_join_that_cannot_be_is_told(on, how, error):
    with pytest.raises(error):
        pd.DataFrame({"a": ["x"]}).llm.join(pd.DataFrame({"b": ["y"]}), on, **how)


def test_nothing_to_pair_is_an_empty_frame():
    found = pd.DataFrame({"a": [None]}).llm.join(
        pd.DataFrame({"b": ["y"]}), "{{ a }} {{ b }}?", progress=False
    )

    assert found.empty
    assert list(found) == ["a", "b"]
