"""The text that the bundled model learned from, and the file that came of it."""

from __future__ import annotations

import json
import re
import sys
from itertools import islice
from pathlib import Path

import nbformat
import pytest
from ollama_nb_server.library import gguf

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "server_ext" / "demo_model"


@pytest.fixture(scope="module")
def corpus():
    sys.path.insert(0, str(FOLDER))
    try:
        import corpus

        yield corpus
    finally:
        sys.path.remove(str(FOLDER))


def test_the_same_seed_makes_the_same_text(corpus) -> None:
    one, two = (list(islice(corpus.conversations(5), 200)) for _ in range(2))

    assert one == two
    assert one != list(islice(corpus.conversations(6), 200))


def test_conversations_are_whole(corpus) -> None:
    for talk in islice(corpus.conversations(1), 3000):
        roles = [role for role, _ in talk if role != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert all(
            re.search(r"[.!?\"]$|\d$|\)$", text) for role, text in talk if role == "assistant"
        )
        assert not any("{" in text and "}" in text for _, text in talk)


def test_held_out_prompts_never_occur(corpus) -> None:
    held_out = {corpus.normalised(p) for p in json.loads((FOLDER / "held_out.json").read_text())}
    asked = {
        corpus.normalised(text)
        for talk in islice(corpus.conversations(2), 30_000)
        for _, text in talk
    }

    assert not held_out & asked


def test_the_quickstarts_prompts_are_held_out(corpus) -> None:
    held_out = {corpus.normalised(p) for p in json.loads((FOLDER / "held_out.json").read_text())}
    notebook = nbformat.read(ROOT / "notebooks" / "01-quickstart.ipynb", as_version=4)
    cells = [c.source.splitlines() for c in notebook.cells if c.source.startswith("%%")]
    prompts = [corpus.normalised(" ".join(lines[1:])) for lines in cells]

    assert prompts
    assert set(prompts) <= held_out


def test_the_file_is_small_and_says_what_it_is(demo_gguf: Path) -> None:
    metadata = gguf.read(demo_gguf)

    assert demo_gguf.stat().st_size <= 5_000_000
    assert metadata.architecture == "llama"
    assert metadata.context_length >= 1024
    assert 2000 <= len(metadata.get("tokenizer.ggml.tokens")) <= 4096
    assert "<|im_start|>" in metadata.chat_template
    assert "general.license" in metadata.values
