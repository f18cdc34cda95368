"""Which files are of an older dialect, and which are not."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import dialect_cases
import llama_cpp_form
import ollama_form
import pytest
from ollama_nb_server.library import dialects, gguf
from ollama_nb_server.library.dialects import OldDialect
from ollama_nb_server.library.digests import Digest
from tiny_models import Tiny

HELPERS = {"keys", "heads", "experts"}
STANDARD = {
    name: make
    for name, make in vars(llama_cpp_form).items()
    if inspect.isfunction(make)
    and make.__module__ == llama_cpp_form.__name__
    and not name.startswith("_")
    and name not in HELPERS
}
BESIDE_CASES = {"llama3 tokenizer", "clip without projector type"}


@pytest.mark.parametrize("name", STANDARD)
def test_what_llama_cpp_writes_is_of_none(name: str, tmp_path: Path) -> None:
    metadata = gguf.read(STANDARD[name]().write(tmp_path / "model"))

    assert dialects.recognise(metadata) is None
    assert dialects.advice(metadata) is None


def test_the_bundled_model_is_of_none(demo_gguf: Path) -> None:
    assert dialects.recognise(gguf.read(demo_gguf)) is None


def test_every_dialect_of_the_table_has_a_case() -> None:
    told = {name for name, _, _ in dialect_cases.CASES} | BESIDE_CASES

    assert {row.name for row in dialects.ROWS} == told


def test_base_models_of_llama_3_are_of_none(tmp_path: Path) -> None:
    """They end with a text, not with a turn, in llama.cpp's own files too."""
    base = llama_cpp_form.llama3().keyed(tokenizer__ggml__eos_token_id=128_001)

    assert dialects.recognise(gguf.read(base.write(tmp_path / "model"))) is None


def no_numbers() -> Tiny:
    return ollama_form.glm4moelite().keyed(attention__kv_lora_rank="many")


def no_base64() -> Tiny:
    letters = ["\u00e4"] * 8
    return ollama_form.snowflake().keyed(tokenizer__ggml__precompiled_charsmap=letters)


def other_heads() -> Tiny:
    return ollama_form.qwen3vl(llama_cpp_form.qwen3vl()).keyed(attention__key_length=64)


@pytest.mark.parametrize(
    ("make", "title"),
    [
        (ollama_form.gptoss_of_august, "gpt-oss"),
        (no_numbers, "GLM-4.7-Flash"),
        (no_base64, "a BERT"),
        (other_heads, "Qwen3-VL"),
    ],
)
def test_a_file_that_cannot_be_helped_says_what_to_do(
    make: Callable[[], Tiny], title: str, tmp_path: Path, cache: Path
) -> None:
    metadata = gguf.read(make().write(tmp_path / "model"))

    with pytest.raises(OldDialect, match=f"this is {title} in the GGUF dialect") as refused:
        dialects.loadable(metadata, Digest("0" * 64), cache)

    assert "%ollama pull hf.co/<user>/<repo>:<quant>" in str(refused.value)
    assert dialects.advice(metadata) == str(refused.value)
    assert not cache.exists()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (ollama_form.mistral3_of_text, "put right while it is loaded; nothing is to be done"),
        (ollama_form.olmo3, "translated when it is loaded first, into a file of its size"),
        (ollama_form.llama4, "It reads and writes text only"),
    ],
)
def test_a_file_that_can_be_helped_says_how(
    make: Callable[[], Tiny], told: str, tmp_path: Path
) -> None:
    advice = dialects.advice(gguf.read(make().write(tmp_path / "model")))

    assert told in advice
