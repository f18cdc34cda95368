"""Every verb of columns on a published model, on questions that leave it no doubt."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

import ollama_nb
import ollama_nb.frames

QUIET = {"model": "qwen", "progress": False}
SEED = {"seed": 1}  # an answer is the same whoever else is served
GOOD = ["Wonderful! The best pasta I ever had.", "Great service and delicious cake, I loved it."]
BAD = ["Terrible food and rude waiters. Never again!", "Awful. We waited two hours, I hated it."]
REVIEWS = pd.Series([*GOOD, None, *BAD], index=["a", "b", "c", "d", "e"], name="review")
QUESTION = "Is the guest who wrote this happy? {{ review }}"


@pytest.fixture(scope="module")
def _qwen(ollama_server, qwen_coder):
    data = qwen_coder.read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    with ollama_server.client() as client:
        client.post(f"/api/blobs/{digest}", content=data).raise_for_status()
        made = {"model": "qwen", "files": {"model.gguf": digest}, "stream": False}
        client.post("/api/create", json=made).raise_for_status()
        yield
        client.request("DELETE", "/api/delete", json={"model": "qwen"}).raise_for_status()


@pytest.fixture(autouse=True)
def _connected(ollama_server, _qwen):
    ollama_nb.connect(ollama_server.url)


def test_classify_knows_praise_from_complaints():
    found = REVIEWS.llm.classify(["praise", "complaint"], **QUIET)

    assert found.loc["c"].isna().all()
    assert found["praise"].loc[["a", "b"]].min() > 5 * found["praise"].loc[["d", "e"]].max()
    assert found["label"].loc[["d", "e"]].tolist() == ["complaint"] * 2


def test_of_several_labels_those_that_are_unlikely_are_left_out():
    found = REVIEWS.llm.classify(["praise", "complaint"], multi=True, **QUIET)

    assert found.loc["d":"e", ["praise", "complaint"]].max(axis=None) < 0.5
    assert found["labels"].loc["d":"e"].tolist() == [[], []]


def test_filter_keeps_those_that_are():
    found = REVIEWS.to_frame().llm.filter(QUESTION, threshold=0.46, **QUIET)

    assert found.index.tolist() == ["a", "b"]


def test_generate_fills_the_fields_of_a_schema():
    found = REVIEWS.llm.generate(
        "Judge this review: {{ text }}", schema="mood good|bad", temperature=0, **QUIET
    )

    assert found["mood"].tolist() == ["good", "good", pd.NA, "bad", "bad"]


def test_extract_finds_what_the_text_says():
    texts = pd.Series(["Ann paid 12.50 euros for soup.", "Bob paid 7 euros for tea."])

    found = texts.llm.extract("name str, price float", options=SEED, **QUIET)

    assert found["name"].tolist() == ["Ann", "Bob"]
    assert found["price"].tolist() == [12.5, 7.0]
    spans = found[["price_start", "price_end"]].itertuples(index=False)
    assert [text[a:b] for text, (a, b) in zip(texts, spans, strict=True)] == ["12.50", "7"]


def test_agg_answers_about_all_texts_as_generate_would():
    answer = REVIEWS.llm.agg("What do they say?", max_tokens=12, seed=1, **QUIET)

    prompt = "What do they say?\n\n" + "\n\n".join([*GOOD, *BAD])
    alone = ollama_nb.generate(prompt, model="qwen", options={"num_predict": 12, "seed": 1})
    assert answer == alone.text.strip()
    assert answer


def test_join_pairs_what_belongs_together():
    here = pd.DataFrame({"said": ["The soup was cold.", "My tea was bitter."]})
    there = pd.DataFrame({"product": ["soup", "tea"]})
    on = "Text: {{ said }}\n\nDoes the text mention {{ product }}?"

    pairs = here.llm.join(there, on, candidates=None, threshold=0.39, **QUIET)

    assert pairs["said"].tolist() == here["said"].tolist()
    assert pairs["product"].tolist() == ["soup", "tea"]


def test_vectors_and_counts_are_the_model_s(client):
    texts = pd.Series(["The cat sat on the mat.", "A cat is on a mat.", "Taxes rise in April."])

    alike = texts.llm.similarity(texts.iloc[0], model="qwen")
    counts = texts.llm.count_tokens(model="qwen")
    vectors = texts.llm.embed(model="qwen")

    assert alike.iloc[0] == pytest.approx(1, abs=1e-4)
    assert alike.iloc[1] > alike.iloc[2]
    assert np.linalg.norm(vectors.to_numpy(), axis=1) == pytest.approx([1] * 3, abs=1e-4)
    body = {"model": "qwen", "texts": texts.tolist()}
    told = client.post("/api/tokenize", json=body).json()["results"]
    assert counts.tolist() == [one["count"] for one in told]


def test_embed_and_generate_take_the_model_that_can(pytestconfig, capsys):
    minilm = pytestconfig.rootpath.parent / "shared" / "models" / "minilm-q8_0.gguf"
    ollama_nb.create("meanings", from_=minilm, show=False)
    try:
        capsys.readouterr()

        vectors = ollama_nb.embed(["a cat", "a kitten", "the tax office"])
        answer = ollama_nb.generate("Hello", options={"num_predict": 2}, show=False)
    finally:
        ollama_nb.rm("meanings")

    assert vectors.attrs["model"] == "meanings:latest"
    assert "embed() uses meanings:latest" in capsys.readouterr().err
    assert answer.model in {"qwen:latest", "demo:latest"}
    near, far = vectors.to_numpy()[1:] @ vectors.to_numpy()[0]
    assert near > far + 0.2
