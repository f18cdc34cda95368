"""Vectors in a plane, and pictures of it."""

from __future__ import annotations

import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

import ollama_nb
import ollama_nb.frames
from ollama_nb.errors import MissingPackage
from ollama_nb.frames.errors import BadColumns, UnknownColumn

mpl.use("agg")

TEXTS = pd.Series(["ab", None, "a cat", "rain, rain", "x"], index=[7, 7, 1, 2, 3], name="said")


@pytest.fixture
def other(connected):
    """A server whose vectors tell the length of a text."""
    connected.models = ["other"]
    ollama_nb.settings.model = "other"
    return connected


@pytest.fixture
def vectors():
    """Two groups of ten vectors, in six dimensions, between them one that is missing."""
    noise = np.random.default_rng(1).normal(scale=0.05, size=(20, 6))
    rows = np.eye(6)[np.repeat([0, 3], 10)] + noise
    rows = np.insert(rows, 10, np.nan, axis=0).astype("float32")
    return pd.DataFrame(rows, index=[*range(20), 0])


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


def test_principal_components_keep_groups_apart_and_the_index(vectors):
    before = vectors.copy(deep=True)

    points = vectors.llm.project()

    assert points.columns.tolist() == ["x", "y"]
    assert (points.dtypes == np.float32).all()
    assert points.index.equals(vectors.index)
    assert points.iloc[10].isna().all()
    assert points["x"][:10].min() * points["x"][11:].max() < 0
    assert (np.sign(points["x"][:10]) == np.sign(points["x"].iloc[0])).all()
    pd.testing.assert_frame_equal(vectors, before)


@pytest.mark.parametrize("shape", [(40, 6), (5, 12)], ids=["more rows", "more columns"])
def test_principal_components_are_those_of_scikit_learn_and_point_one_way(shape):
    rows = np.random.default_rng(2).normal(size=shape)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    from sklearn.decomposition import PCA

    found = pd.DataFrame(unit).llm.project()
    expected = PCA(2).fit(unit)

    theirs = expected.transform(unit)
    axes = expected.components_
    theirs *= np.sign(axes[[0, 1], np.abs(axes).argmax(axis=1)])
    assert np.allclose(found, theirs, atol=1e-5)
    assert np.allclose(found.attrs["shares"], expected.explained_variance_ratio_, atol=1e-5)


@pytest.mark.parametrize("rows", [[[1.0, 0.0]], [[1.0, 0.0]] * 2, [[1.0], [1.0]], [[np.nan, 1.0]]])
def test_few_vectors_are_at_the_middle(rows):
    points = pd.DataFrame(rows).llm.project().dropna()

    assert np.allclose(points, 0, atol=1e-6)


def test_texts_are_projected_by_their_vectors(other):
    points = TEXTS.llm.project()

    assert points.equals(TEXTS.llm.embed().llm.project())
    assert points.index.equals(TEXTS.index)
    assert TEXTS.iloc[[1]].llm.project().isna().all(axis=None)


def test_what_is_no_method_is_told(vectors):
    with pytest.raises(BadColumns, match='method is "pca" or "umap", not \'tsne\''):
        vectors.llm.project("tsne")


@pytest.mark.parametrize(
    ("package", "call", "sentence"),
    [
        ("umap", lambda frame: frame.llm.project("umap"), "pip install umap-learn"),
        ("altair", lambda frame: frame.llm.plot(interactive=True), "pip install altair"),
        ("matplotlib", lambda frame: frame.llm.plot(), "pip install matplotlib"),
    ],
)
def test_a_package_that_is_missing_is_named(vectors, monkeypatch, package, call, sentence):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"{package}.pyplot", raising=False)

    with pytest.raises(MissingPackage, match=sentence):
        call(vectors)


def _labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def _num_dots(ax):
    return [len(drawn.get_offsets()) for drawn in ax.collections]


def test_dots_are_coloured_by_a_column_and_missing_vectors_have_none(vectors):
    kinds = pd.Series(["b", "a", None, *["a"] * 18], index=vectors.index, name="kind")

    ax = vectors.llm.plot(color=kinds)

    assert _labels(ax) == ["(missing)", "a", "b"]
    assert _num_dots(ax) == [1, 18, 1]
    assert ax.get_legend().get_title().get_text() == "kind"
    assert ax.get_xlabel().startswith("first principal component (9")
    assert len({tuple(drawn.get_facecolor()[0]) for drawn in ax.collections}) == 3


def test_groups_have_their_names_in_the_legend_in_their_order(vectors):
    groups = vectors.llm.cluster(2)
    named = groups.astype("category").cat.rename_categories({0: "zebras", 1: "apes"})

    assert _labels(vectors.llm.plot(color=groups)) == ["0", "1"]
    assert _labels(vectors.llm.plot(color=named)) == ["zebras", "apes"]


def test_points_are_drawn_where_they_are_with_columns_beside_them(vectors):
    points = vectors.llm.project().assign(size=np.arange(21.0))

    ax = points.llm.plot(color="size")

    assert np.allclose(ax.collections[0].get_offsets(), points.dropna()[["x", "y"]])
    assert ax.figure.axes[1].get_ylabel() == "size"  # the scale's
    assert points.llm.plot(ax=ax) is ax


def test_many_kinds_change_their_shape_and_too_many_are_refused(vectors):
    numbered = pd.Series(range(21), index=vectors.index)

    ax = vectors.llm.plot(color=numbered.astype(str))

    paths = {drawn.get_paths()[0].vertices.tobytes() for drawn in ax.collections}
    assert len(paths) == 4  # shapes, for 20 kinds of six colours
    many = pd.DataFrame({"x": range(40), "y": 0, "kind": [f"k{n}" for n in range(40)]})
    with pytest.raises(BadColumns, match="40 different values, and 36"):
        many.llm.plot(color="kind")
    assert len(many.assign(kind=range(40)).llm.plot(color="kind").figure.axes) == 2  # a scale


@pytest.mark.parametrize(
    ("how", "error", "sentence"),
    [
        ({"color": "kind"}, UnknownColumn, "no column 'kind'"),
        ({"color": 5}, BadColumns, "a Series with the same index"),
        ({"color": pd.Series([1])}, BadColumns, "another index"),
        ({"text": pd.Series([1])}, BadColumns, "add interactive=True"),
        ({"interactive": True, "ax": 1}, BadColumns, "matplotlib's"),
        ({"method": "no"}, BadColumns, "method is"),
    ],
)
def test_what_cannot_be_drawn_is_told(vectors, how, error, sentence):
    with pytest.raises(error, match=sentence):
        vectors.llm.plot(**how)
    with pytest.raises(BadColumns, match="has x and y already"):
        vectors.llm.project().llm.plot(method="pca")


def test_a_chart_says_the_text_of_a_dot(other):
    chart = TEXTS.llm.plot(color=pd.Series([1, 2, 2, None, 5], TEXTS.index), interactive=True)

    told = chart.to_dict()
    dots = told["data"]["values"]
    assert [dot["text"] for dot in dots] == ["ab", "a cat", "rain, rain", "x"]
    assert [dot["color"] for dot in dots] == [1.0, 2.0, None, 5.0]
    assert {tip["field"] for tip in told["encoding"]["tooltip"]} == {"text", "color"}
    assert told["params"][0]["bind"] == "scales"  # it can be zoomed


def test_a_chart_of_kinds_has_their_colours(vectors):
    kinds = pd.Series(["b", None, *["a"] * 19], index=vectors.index, name="kind")

    told = vectors.llm.plot(color=kinds, interactive=True).to_dict()

    assert told["encoding"]["color"]["scale"]["domain"] == ["a", "b", "(missing)"]
    assert len(told["encoding"]["color"]["scale"]["range"]) == 3
    many = pd.DataFrame({"x": range(5001), "y": 0})
    with pytest.raises(BadColumns, match="5,000 dots, and these are 5,001"):
        many.llm.plot(interactive=True)
