"""What stands before texts that are embedded, where a model wants it."""

from __future__ import annotations

import pandas as pd
import pytest

import ollama_nb
import ollama_nb.frames
from ollama_nb.asking.embedding_prefixes import known_prefixes
from ollama_nb.errors import BadPurpose

SEARCH = "Represent this sentence for searching relevant passages: "
TASK = (
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
)
TEXTS = pd.Series(["soup", "a waiter"], name="said")


@pytest.fixture
def nomic(connected):
    """A server with a model whose name tells its family, and one of which its file tells it."""
    connected.models = ["nomic-embed-text", "mine"]
    ollama_nb.settings.model = "nomic-embed-text"
    return connected


def _embedded(server):
    return [text for body in server.requests for text in body.get("input", ())]


@pytest.mark.parametrize(
    ("name", "query", "document"),
    [
        ("nomic-embed-text", "search_query: ", "search_document: "),
        ("nomic-embed-text-v2-moe", "search_query: ", "search_document: "),
        ("hf.co/nomic-ai/nomic-embed-text-v1.5-GGUF:Q4_K_M", "search_query: ", "search_document: "),
        ("mxbai-embed-large:335m", SEARCH, ""),
        ("snowflake-arctic-embed:22m", SEARCH, ""),
        ("snowflake-arctic-embed2", "query: ", ""),
        ("hf.co/Snowflake/snowflake-arctic-embed-l-v2.0", "query: ", ""),
        ("bge-large", SEARCH, ""),
        ("Bge Base En v1.5", SEARCH, ""),
        ("jeffh/intfloat-multilingual-e5-large:f16", "query: ", "passage: "),
        ("e5-small-v2", "query: ", "passage: "),
        ("multilingual-e5-large-instruct", f"{TASK} ", ""),
        ("embeddinggemma:300m", "task: search result | query: ", "title: none | text: "),
        ("qwen3-embedding:0.6b", TASK, ""),
        ("Qwen3 Embedding 4B", TASK, ""),
    ],
)
def test_a_family_is_known_by_its_name(name, query, document):
    found = known_prefixes([name])

    assert found is not None
    assert (found.query, found.document) == (query, document)


@pytest.mark.parametrize(
    "name", ["all-minilm", "bge-m3", "paraphrase-multilingual", "granite-embedding:30m", "demo"]
)
def test_models_that_were_trained_without_have_none(name):
    assert known_prefixes([name]) is None


def test_texts_of_a_column_are_documents_and_what_is_looked_for_is_a_query(nomic):
    found = TEXTS.llm.similar_to("stew", k=1)

    assert _embedded(nomic) == [
        "search_document: soup",
        "search_document: a waiter",
        "search_query: stew",
    ]
    assert found["said"].tolist() == ["soup"]
    vectors = TEXTS.llm.embed()
    assert vectors.attrs["query_prefix"] == "search_query: "
    vectors.llm.similar_to("stew")
    TEXTS.llm.similarity("stew")
    assert _embedded(nomic)[3:] == ["search_document: stew"]  # all others were kept


def test_a_model_of_another_name_is_known_by_its_file(nomic, monkeypatch):
    import other_models

    told = {"model_info": {"general.architecture": "bert", "general.name": "E5 Small v2"}}
    monkeypatch.setattr("other_ollama.SHOWN", other_models.SHOWN | told)

    TEXTS.llm.embed(model="mine")

    assert _embedded(nomic) == ["passage: soup", "passage: a waiter"]


def test_prefixes_of_one_s_own_take_their_place(nomic):
    TEXTS.llm.similar_to("stew", query_prefix="q: ", document_prefix="")
    vectors = TEXTS.llm.embed(query_prefix="ask: ")
    vectors.llm.similar_to("stew")
    vectors.llm.similar_to("stew", query_prefix="")

    assert _embedded(nomic) == [
        "soup",
        "a waiter",
        "q: stew",
        "search_document: soup",
        "search_document: a waiter",
        "ask: stew",
        "stew",
    ]


def test_plain_embed_adds_them_only_when_it_is_told_what_the_texts_are(nomic):
    plain = ollama_nb.embed(TEXTS)
    ollama_nb.embed("stew", purpose="query")
    documents = ollama_nb.embed("soup", purpose="document")

    assert _embedded(nomic) == ["soup", "a waiter", "search_query: stew", "search_document: soup"]
    plain.llm.similar_to("stew")
    documents.llm.similar_to("stew")
    assert _embedded(nomic)[4:] == ["stew", "search_query: stew"]
    with pytest.raises(BadPurpose, match='as a "query" or as a "document", not as \'search\''):
        ollama_nb.embed("stew", purpose="search")


def test_vectors_that_were_saved_and_read_are_searched_as_their_model_wants(nomic):
    vectors = TEXTS.llm.embed()
    vectors.attrs.clear()

    vectors.llm.similar_to("stew")

    assert _embedded(nomic)[-1] == "search_query: stew"
