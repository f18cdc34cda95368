"""Vectors that are kept, and what is near to what."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ollama_nb
import ollama_nb.frames
from ollama_nb.errors import NotText
from ollama_nb.frames import index_search, nearest, vectors
from ollama_nb.frames.errors import BadColumns

TEXTS = pd.Series(["a cat", None, "the moon", "a cat", "rain"], index=[7, 7, 1, 2, 3], name="said")


@pytest.fixture
def demo(ollama_server):
    ollama_nb.connect(ollama_server.url)
    ollama_nb.settings.model = "demo"
    return ollama_server


@pytest.fixture
def plane():
    """Five vectors in a plane, the third of them missing, the last one far from all."""
    rows = [[1, 0], [3, 0.3], [np.nan, np.nan], [0, 2], [-1, -1]]
    return pd.DataFrame(rows, index=["a", "b", "gone", "c", "far"], dtype="float32")


def texts_asked(monkeypatch):
    asked = []
    embed = vectors.vectors_of
    monkeypatch.setattr(vectors, "vectors_of", lambda t, *how: asked.extend(t) or embed(t, *how))
    return asked


def test_a_new_row_embeds_one_row(demo, monkeypatch):
    asked = texts_asked(monkeypatch)

    first = TEXTS.llm.embed()
    again = pd.concat([TEXTS, pd.Series(["snow"], index=[9])]).llm.embed()

    assert asked == ["a cat", "the moon", "rain", "snow"]
    assert again.iloc[:5].equals(first)
    fresh = ollama_nb.embed(["a cat", "snow"], model="demo").to_numpy()
    assert np.array_equal(again.iloc[[0, 5]].to_numpy(), fresh)
    assert first.index.equals(TEXTS.index)
    assert (first.dtypes == np.float32).all()
    assert first.iloc[1].isna().all()


def test_other_options_and_another_kernel_s_cache_are_told_apart(demo, monkeypatch):
    asked = texts_asked(monkeypatch)

    whole = TEXTS[:1].llm.embed()
    short = TEXTS[:1].llm.embed(dimensions=8)
    vectors._cache.close()  # as another kernel opens the file
    TEXTS[:1].llm.embed(dimensions=8)

    assert asked == ["a cat"] * 2
    assert (short.shape[1], whole.shape[1] > 8) == (8, True)


def test_a_model_that_was_replaced_under_its_name_embeds_anew(demo, stranger_gguf, monkeypatch):
    asked = texts_asked(monkeypatch)
    ollama_nb.create("mine", from_="demo", show=False)
    before = TEXTS[:1].llm.embed(model="mine")
    ollama_nb.create("twin", from_="demo", show=False)
    TEXTS[:1].llm.embed(model="twin")
    ollama_nb.create("mine", from_=stranger_gguf, show=False)

    after = TEXTS[:1].llm.embed(model="mine")

    assert asked == ["a cat"] * 2  # the twin has the same weights
    assert not np.allclose(before, after)


def test_what_stands_before_a_text_is_a_part_of_it(demo, monkeypatch):
    asked = texts_asked(monkeypatch)

    plain = TEXTS[:1].llm.embed()
    one = TEXTS[:1].llm.embed(document_prefix="passage: ")
    other = TEXTS[:1].llm.embed(document_prefix="text: ")
    again = TEXTS[:1].llm.embed(document_prefix="passage: ")

    assert asked == ["a cat", "passage: a cat", "text: a cat"]
    assert again.equals(one)
    assert not np.allclose(one, other)
    assert not np.allclose(one, plain)


def test_what_was_embedded_before_an_interrupt_is_kept(demo, monkeypatch):
    monkeypatch.setattr(vectors, "CALL_TEXTS", 2)
    embed, asked = vectors.vectors_of, []

    def interrupted(texts, *how):
        if asked:
            raise KeyboardInterrupt
        asked.append(list(texts))
        return embed(texts, *how)

    monkeypatch.setattr(vectors, "vectors_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        TEXTS.llm.embed()
    monkeypatch.setattr(vectors, "vectors_of", embed)
    rest = texts_asked(monkeypatch)
    TEXTS.llm.embed()

    assert (asked, rest) == ([["a cat", "the moon"]], ["rain"])


def test_similar_texts_are_found_with_their_labels(demo):
    found = TEXTS.llm.similar_to("the moon", k=2)

    assert (found.index[0], found["said"].iloc[0], len(found)) == (1, "the moon", 2)
    assert found["similarity"].iloc[0] == pytest.approx(1, abs=1e-5)
    assert found["similarity"].dtype == np.float32
    by_vectors = TEXTS.llm.embed().llm.similar_to("the moon", k=9)
    assert by_vectors.index[0] == 1
    assert len(by_vectors) == 4  # the missing one is not found
    assert by_vectors["similarity"].is_monotonic_decreasing
    assert TEXTS.llm.embed(dimensions=8).llm.similar_to("rain", k=1).index[0] == 3
    assert TEXTS.iloc[[1]].llm.similar_to("rain").empty


def test_neighbors_are_the_nearest_others(plane):
    found = plane.llm.neighbors(2)

    assert found.columns.tolist() == ["row", "neighbor", "rank", "similarity"]
    assert found[found["row"] == "a"]["neighbor"].tolist() == ["b", "c"]
    assert found[found["row"] == "far"]["rank"].tolist() == [1, 2]
    assert "gone" not in {*found["row"], *found["neighbor"]}
    assert found["similarity"].dtype == np.float32


def test_blocks_change_nothing(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(23, 5))
    frame = pd.DataFrame(rows)
    whole = frame.llm.neighbors(4), frame.llm.duplicates(0.5), frame.llm.outliers()
    monkeypatch.setattr(nearest, "BLOCK_ROWS", 7)

    parts = frame.llm.neighbors(4), frame.llm.duplicates(0.5), frame.llm.outliers()

    for one, other in zip(whole, parts, strict=True):
        (pd.testing.assert_frame_equal if one.ndim == 2 else pd.testing.assert_series_equal)(
            one, other
        )
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    assert whole[0]["neighbor"].tolist() == np.argsort(-cosines, axis=1)[:, :4].ravel().tolist()
    assert len(whole[1]) == (cosines >= 0.5).sum() // 2


@pytest.fixture
def indexed(monkeypatch):
    """An index for more than 50 rows."""
    monkeypatch.setattr(nearest, "INDEXED_ROWS", 50)
    index_search.can_index.cache_clear()
    yield
    index_search.can_index.cache_clear()


def test_an_index_finds_what_comparing_with_all_finds(indexed, monkeypatch):
    rows = np.random.default_rng(5).normal(size=(400, 16))
    rows[[3, 70]] = np.nan
    frame = pd.DataFrame(rows)
    searched = []
    by_index = index_search.nearest_by_index
    monkeypatch.setattr(
        nearest, "nearest_by_index", lambda *how: searched.append(how) or by_index(*how)
    )

    found = frame.llm.neighbors(6), frame.llm.outliers()
    monkeypatch.setattr(nearest, "INDEXED_ROWS", 400)
    exact = frame.llm.neighbors(6), frame.llm.outliers()

    assert len(searched) == 2
    pd.testing.assert_frame_equal(found[0], exact[0])
    pd.testing.assert_series_equal(found[1], exact[1])


def test_without_usearch_all_are_compared_and_it_is_said_once(indexed, monkeypatch, capsys):
    frame = pd.DataFrame(np.random.default_rng(5).normal(size=(60, 4)))
    monkeypatch.setitem(sys.modules, "usearch", None)

    found = frame.llm.neighbors(3)

    assert capsys.readouterr().err.count("pip install usearch") == 1
    assert frame.llm.neighbors(3).equals(found)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(nearest, "INDEXED_ROWS", 60)
    assert frame.llm.neighbors(3).equals(found)


def test_pairwise_has_all_and_nan_where_one_is_missing(plane):
    found = plane.llm.pairwise()

    assert found.loc["a", "c"] == pytest.approx(0)
    assert found.loc["b", "b"] == pytest.approx(1)
    assert found["gone"].isna().all()
    assert (found.dtypes == np.float32).all()


def test_duplicates_are_pairs_each_once(plane):
    found = plane.llm.duplicates(0.9)

    assert found[["first", "second"]].to_numpy().tolist() == [["a", "b"]]
    assert plane.llm.duplicates(1).empty
    assert len(pd.concat([plane, plane]).llm.duplicates(1)) == 4  # all but the missing one


def test_what_is_far_from_all_has_the_largest_distance(plane):
    found = plane.llm.outliers(k=2)

    assert found.idxmax() == "far"
    assert np.isnan(found["gone"])
    assert (found.name, found.dtype) == ("distance", np.float32)
    assert plane.iloc[:1].llm.outliers().isna().all()


def test_an_empty_column_gives_empty_frames(demo):
    empty = pd.Series([], dtype=object).llm.embed()

    assert empty.llm.neighbors().empty
    assert empty.llm.duplicates().empty
    assert empty.llm.outliers().empty


@pytest.mark.parametrize("k", [0, -1, 1.5, True, None])
def test_k_is_a_count(plane, k):
    with pytest.raises(BadColumns, match="k is how many"):
        plane.llm.neighbors(k)


def test_what_is_no_vector_is_told(plane, demo):
    with pytest.raises(BadColumns, match="no vectors"):
        pd.DataFrame({"a": ["x"]}).llm.pairwise()
    with pytest.raises(BadColumns, match="no text was embedded"):
        TEXTS.iloc[[1]].llm.embed().llm.pairwise()
    with pytest.raises(BadColumns, match="have 2 numbers"):
        plane.llm.similar_to("x")
    with pytest.raises(BadColumns, match="cosine"):
        plane.llm.duplicates(float("nan"))
    with pytest.raises(NotText):
        plane.llm.similar_to(5)


def test_the_model_that_is_taken_is_told_as_by_embed(connected, capsys):
    connected.models = ["words:latest", "columns:latest"]
    connected.capabilities = {"words:latest": ["completion"], "columns:latest": ["embedding"]}

    made = pd.Series([None], dtype=object).llm.embed()

    assert made.attrs["model"] == "columns:latest"
    assert capsys.readouterr().err == "embed() uses columns:latest; model= takes another.\n"
    pd.DataFrame({"a": ["y"], "b": ["x"]}).llm.similarity("a", "b")
    assert capsys.readouterr().err == ""


def test_vectors_of_embed_remember_their_model_too(demo):
    made = ollama_nb.embed(TEXTS.dropna().tolist(), model="demo", dimensions=8)
    ollama_nb.settings.model = "another"

    assert made.llm.similar_to("rain", k=1, dimensions=8).index[0] == 3


@given(
    rows=st.integers(1, 20).flatmap(
        lambda width: st.lists(
            st.lists(st.sampled_from([-np.inf, -0.5, 0.0, 0.5]), min_size=width, max_size=width),
            max_size=4,
        ).map(lambda rows: np.array(rows, np.float32).reshape(-1, width))
    ),
    k=st.integers(0, 25),
)
def test_the_highest_are_those_of_a_whole_sort(rows, k):
    whole = np.argsort(-rows, axis=1, kind="stable")[:, :k]

    assert nearest.highest(rows, k).tolist() == whole.tolist()
