from __future__ import annotations

import pytest
from ollama_nb_server.library.errors import ConflictingSource, InvalidName
from ollama_nb_server.library.names import ModelName, parse_ref

GOOD = {
    "llama3": ("registry.ollama.ai", "library", "llama3", "latest"),
    "llama3:8b": ("registry.ollama.ai", "library", "llama3", "8b"),
    "u/m": ("registry.ollama.ai", "u", "m", "latest"),
    "u/m:t": ("registry.ollama.ai", "u", "m", "t"),
    "hf.co/u/m:Q4_K_M": ("hf.co", "u", "m", "Q4_K_M"),
    "localhost:5000/library/m": ("localhost:5000", "library", "m", "latest"),
    "http://localhost:5000/library/m:x": ("localhost:5000", "library", "m", "x"),
    "foo://bar/u/m": ("bar", "u", "m", "latest"),
    "m..x": ("registry.ollama.ai", "library", "m..x", "latest"),
    "m-": ("registry.ollama.ai", "library", "m-", "latest"),
    "_m": ("registry.ollama.ai", "library", "_m", "latest"),
    "m" * 80: ("registry.ollama.ai", "library", "m" * 80, "latest"),
}
BAD = [
    "", " ", "a b", ":t", "m:", "/m", "u/", "a//m", "a/b/c/d", "localhost:5000/m", "m@sha256:abc", "m\n",
    "-m", ".m", "é", "u.v/m", "m:t:t", "../m", "m/..", "..", "m:..", "m" * 81, "m\x00",
]  # fmt: skip


@pytest.mark.parametrize(("text", "parts"), GOOD.items())
def test_good_names_have_these_parts(text: str, parts: tuple[str, ...]) -> None:
    assert ModelName.parse(text).parts == parts


@pytest.mark.parametrize("text", BAD)
def test_bad_names_are_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        ModelName.parse(text)


@pytest.mark.parametrize(
    ("text", "display"),
    [
        ("llama3", "llama3:latest"),
        ("registry.ollama.ai/library/m:t", "m:t"),
        ("Registry.Ollama.AI/LIBRARY/m", "m:latest"),
        ("u/m", "u/m:latest"),
        ("hf.co/library/m", "hf.co/library/m:latest"),
    ],
)
def test_the_short_form(text: str, display: str) -> None:
    assert ModelName.parse(text).display == display


def test_folding_takes_each_part_in_a_stored_spelling() -> None:
    stored = [ModelName.parse("Alice/foo:V1")]

    assert ModelName.parse("bob/FOO:v1").folded(stored) == ModelName.parse("bob/foo:V1")


@pytest.mark.parametrize(
    ("text", "name", "source"),
    [
        (" m ", "m", None),
        ("m:local", "m", "local"),
        ("m:cloud", "m", "cloud"),
        ("m:8b-cloud", "m:8b", "cloud"),
        ("m:8b:cloud", "m:8b", "cloud"),
    ],
)
def test_where_a_model_is_to_come_from(text: str, name: str, source: str | None) -> None:
    ref = parse_ref(text)

    assert (ref.name, ref.source) == (ModelName.parse(name), source)


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("m:8b", None),
        ("m:cloud", "m:cloud"),
        ("m:8b-Cloud", "m:8b-Cloud"),
        (" m:8b:cloud ", "m:8b-cloud"),
        ("m:local", "m:local"),
        ("m:8b:local", None),
        (f"m:{80 * 't'}:cloud", None),
    ],
)
def test_a_suffix_may_be_part_of_the_name(text: str, literal: str | None) -> None:
    assert parse_ref(text).literal == (ModelName.parse(literal) if literal else None)


def test_both_sources_at_once_are_refused() -> None:
    with pytest.raises(ConflictingSource):
        parse_ref("m:cloud:local")
