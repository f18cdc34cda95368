"""A model with the interface of sentence-transformers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import ollama_nb
import ollama_nb.frames
from ollama_nb.errors import BadPurpose, NotText
from ollama_nb.frames.errors import BadColumns


@pytest.fixture
def other(connected):
    connected.models = ["nomic-embed-text"]
    ollama_nb.settings.model = "nomic-embed-text"
    return connected


def _embedded(server):
    return [body["input"] for body in server.requests if "input" in body]


def test_texts_become_an_array_a_row_each(ollama_server):
    ollama_nb.connect(ollama_server.url)
    embedder = ollama_nb.Embedder("demo")
    texts = ["a cat", "the moon", "a cat"]

    found = embedder.encode(texts)

    assert isinstance(found, np.ndarray)
    assert (found.shape, found.dtype) == ((3, 192), np.float32)
    assert np.array_equal(found, ollama_nb.embed(texts, model="demo").to_numpy())
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.array_equal(embedder.encode("the moon"), found[1])
    assert embedder.get_sentence_embedding_dimension() == 192
    assert ollama_nb.Embedder("demo", dimensions=8).encode(texts).shape == (3, 8)


def test_what_was_embedded_is_kept(other):
    embedder = ollama_nb.Embedder()

    embedder.encode(["a", "b", "a"])
    embedder.encode(pd.Series(["b", "c"], index=[7, 7]))
    pd.Series(["a"]).llm.embed(document_prefix="")

    assert _embedded(other) == [["a", "b"], ["c"]]
    assert embedder.encode([]).shape == (0, 0)


def test_batches_are_as_large_as_is_wanted(other):
    ollama_nb.Embedder().encode(list("abcde"), batch_size=2)

    assert _embedded(other) == [["a", "b"], ["c", "d"], ["e"]]


def test_a_bar_counts_texts(other, capsys):
    ollama_nb.Embedder().encode(list("abc"), show_progress_bar=True)

    assert "3/3" in capsys.readouterr().err
    ollama_nb.Embedder().encode(list("abcd"), show_progress_bar=False)
    assert capsys.readouterr().err == ""


def test_prefixes_are_those_of_the_model_or_one_s_own(other):
    embedder = ollama_nb.Embedder(document_prefix="text: ")

    embedder.encode_query(["a"])
    embedder.encode_document("b")
    embedder.encode("c", prompt_name="query")
    embedder.encode("d", prompt="so: ")

    assert _embedded(other) == [["search_query: a"], ["text: b"], ["search_query: c"], ["so: d"]]


@pytest.mark.parametrize(
    ("given", "how", "error"),
    [
        (["a", None], {}, NotText),
        (5, {}, NotText),
        (None, {}, NotText),
        (pd.DataFrame({"a": ["x"]}), {}, NotText),
        (["a"], {"prompt_name": "search"}, BadPurpose),
        (["a"], {"batch_size": 0}, BadColumns),
        (["a"], {"convert_to_numpy": False}, BadColumns),
    ],
)
def test_what_cannot_be_encoded_is_told(other, given, how, error):
    with pytest.raises(error):
        ollama_nb.Embedder().encode(given, **how)


def test_its_name_says_the_model(other):
    assert repr(ollama_nb.Embedder("all-minilm")) == "Embedder('all-minilm')"
