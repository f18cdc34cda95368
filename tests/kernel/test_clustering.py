"""Groups of vectors and of texts, and the names that a model gives them."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest

import ollama_nb
import ollama_nb.frames
from ollama_nb.errors import MissingPackage, ModelNotFound, NotText
from ollama_nb.frames.errors import BadColumns, NoChatModel

SHORT, LONG = (
    ["soup", "stew", "rice"],
    ["a waiter who was far too slow", "a waiter who shouted at us"],
)
TEXTS = pd.Series(
    [LONG[0], SHORT[0], None, *SHORT[1:], LONG[1]], index=[5, 5, *"abcd"], name="said"
)


@pytest.fixture
def other(connected):
    """A server whose vectors tell the length of a text, and whose model says what a test sets."""
    connected.models = ["other"]
    ollama_nb.settings.model = "other"
    return connected


@pytest.fixture
def blobs():
    """Vectors around three axes, 12, 8 and 4 of them, mixed; the second one is missing."""
    noise = np.random.default_rng(3).normal(scale=0.1, size=(25, 3))
    axes = np.repeat([0, 1, 2], [4, 12, 8])
    rows = np.eye(3)[axes] + noise[:24]
    order = np.random.default_rng(4).permutation(24)
    vectors = np.insert(rows[order], 1, np.nan, axis=0)
    frame = pd.DataFrame(vectors.astype("float32"), index=[f"r{n % 20}" for n in range(25)])
    return frame, np.insert(axes[order].astype(float), 1, np.nan)


def test_rows_that_point_alike_are_in_one_group_the_largest_first(blobs):
    frame, axes = blobs
    before = frame.copy(deep=True)

    found = frame.llm.cluster(3)

    assert (found.name, found.dtype) == ("cluster", "Int64")
    assert found.index.equals(frame.index)
    assert found.isna().tolist() == [place == 1 for place in range(25)]
    size_order = {1.0: 0, 2.0: 1, 0.0: 2}
    there = ~np.isnan(axes)
    assert found[there].tolist() == [size_order[axis] for axis in axes[there]]
    pd.testing.assert_frame_equal(frame, before)


def test_without_a_number_the_best_kept_apart_groups_are_taken(blobs):
    assert blobs[0].llm.cluster().nunique() == 3


def test_the_groups_are_the_same_every_time_and_others_with_another_seed():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 8)))

    first, again, other = frame.llm.cluster(9), frame.llm.cluster(9), frame.llm.cluster(9, seed=1)

    assert first.equals(again)
    assert not first.equals(other)


@pytest.mark.parametrize(("rows", "num_groups"), [([[1, 0]] * 3, 1), ([[1, 0], [0, 1]], 2)])
def test_few_different_vectors_make_few_groups(rows, num_groups):
    assert pd.DataFrame(rows).llm.cluster().nunique() == num_groups


@pytest.mark.parametrize("k", [0, -2, 2.5, True])
def test_k_is_a_count(blobs, k):
    with pytest.raises(BadColumns, match="k is how many"):
        blobs[0].llm.cluster(k)


def test_more_groups_than_different_vectors_are_refused():
    with pytest.raises(BadColumns, match="k is 3 groups, and there are 2 different vectors"):
        pd.DataFrame([[1, 0], [1, 0], [0, 1]]).llm.cluster(3)


def test_nothing_there_gives_nothing(other):
    assert pd.DataFrame([[np.nan, np.nan]]).llm.cluster().isna().tolist() == [True]
    assert pd.Series([None], dtype=object).llm.cluster(2).isna().tolist() == [True]
    assert pd.Series([], dtype=object).llm.cluster().empty


def test_without_scikit_learn_it_says_what_to_install(blobs, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)

    with pytest.raises(MissingPackage, match=r"pip install scikit-learn.*ollama-nb\[clusters\]"):
        blobs[0].llm.cluster(2)


def test_texts_are_grouped_by_their_vectors(other):
    found = TEXTS.llm.cluster(2)

    assert found.tolist() == [1, 0, pd.NA, 0, 0, 1]
    assert found.index.equals(TEXTS.index)
    assert TEXTS.llm.embed().llm.cluster(2).equals(found)


def _say(server, **names):
    """Let the model name a group that begins with a text."""
    for text, name in names.items():
        server.says[f"group:\n- {text}"] = json.dumps({"name": name})


def test_names_are_written_from_the_texts_nearest_to_the_centre(other):
    _say(other, soup="food.", a="the waiter")

    found = TEXTS.llm.cluster(2, label=True)

    assert found.tolist() == ["the waiter", "food", np.nan, "food", "food", "the waiter"]
    assert found.cat.categories.tolist() == ["food", "the waiter"]
    prompts = [body["prompt"] for body in other.requests if "prompt" in body]
    food, waiter = sorted(prompts, key=lambda prompt: "waiter" in prompt)
    assert "- soup\n- stew\n- rice\n" in food
    assert "soup" not in waiter
    by_vectors = TEXTS.llm.embed().llm.cluster(2, label=True, texts=TEXTS)
    assert by_vectors.equals(found)
    assert len([body for body in other.requests if "prompt" in body]) == 2  # the rest is kept


def test_names_that_are_alike_are_asked_for_again(other):
    other.says["taken: food"] = '{"name": "service"}'
    _say(other, soup="food", a="Food")

    assert TEXTS.llm.cluster(2, label=True).cat.categories.tolist() == ["food", "service"]


def test_names_that_stay_alike_are_numbered(other):
    other.says["a title of at most"] = '{"name": "food"}'

    assert TEXTS.llm.cluster(2, label=True).cat.categories.tolist() == ["food", "food 2"]


def test_without_a_model_that_chats_nothing_is_computed_and_it_says_so(other):
    ollama_nb.settings.model = None
    other.models = ["vectors:latest"]
    other.capabilities = {"vectors:latest": ["embedding"]}

    with pytest.raises(NoChatModel, match=r"a model that chats, and the server has none: name one"):
        TEXTS.llm.cluster(2, label=True)
    with pytest.raises(NoChatModel, match="vectors writes no text"):
        TEXTS.llm.cluster(2, label=True, model="vectors")
    with pytest.raises(ModelNotFound):
        TEXTS.llm.cluster(2, label=True, model="nobody")
    assert [body for body in other.requests if "input" in body] == []


def test_what_is_said_of_names_that_nobody_wants_is_refused(other):
    vectors = TEXTS.llm.embed()

    with pytest.raises(BadColumns, match="embed_model= makes the vectors"):
        TEXTS.llm.cluster(2, model="other")
    with pytest.raises(BadColumns, match="texts= is for the names of groups"):
        vectors.llm.cluster(2, texts=TEXTS)
    with pytest.raises(BadColumns, match="give them too"):
        vectors.llm.cluster(2, label=True)
    with pytest.raises(BadColumns, match="another index"):
        vectors.llm.cluster(2, label=True, texts=TEXTS.reset_index(drop=True))
    with pytest.raises(NotText):
        vectors.llm.cluster(2, label=True, texts=pd.Series([1] * 6, index=TEXTS.index))


def test_a_real_model_names_the_groups(ollama_server):
    ollama_nb.connect(ollama_server.url)
    ollama_nb.settings.model = "demo"

    found = TEXTS.llm.cluster(2, label=True)
    calls = len(ollama_nb.stats())

    assert found.nunique() == 2
    assert all(0 < len(name) <= 43 for name in found.cat.categories)
    assert TEXTS.llm.cluster(2, label=True).equals(found)
    assert len(ollama_nb.stats()) == calls  # all of it was kept
