from __future__ import annotations

import pytest

import ollama_nb
from ollama_nb.answers.statistics import COLUMNS


def test_no_call_gives_an_empty_frame_with_its_dtypes():
    frame = ollama_nb.stats()

    assert len(frame) == 0
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == COLUMNS


def test_a_row_a_call(connected):
    ollama_nb.generate("one")
    ollama_nb.chat("two")
    ollama_nb.embed(["three"])

    frame = ollama_nb.stats()

    assert frame["verb"].tolist() == ["generate", "chat", "embed"]
    assert frame["model"].unique().tolist() == ["other:latest"]
    assert frame["total_s"].gt(0).all()
    assert frame["started_at"].is_monotonic_increasing


def test_what_a_server_does_not_report_is_missing_and_dtypes_stay(connected):
    ollama_nb.generate("one")

    frame = ollama_nb.stats()

    assert frame[["answer_tokens", "load_s", "tokens_per_s", "done_reason"]].isna().all(axis=None)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == COLUMNS


def test_a_call_that_failed_has_a_row(connected):
    with pytest.raises(ollama_nb.OllamaNbError):
        ollama_nb.generate("one break")

    assert ollama_nb.stats()["done_reason"].tolist() == ["error"]
