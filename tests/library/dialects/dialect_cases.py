"""Each dialect with a tiny model in it, and the same model as llama.cpp writes it."""

from __future__ import annotations

from collections.abc import Callable

import llama_cpp_form
import ollama_form
import pytest
from tiny_models import Tiny

Case = tuple[str, Callable[[], Tiny], Callable[[], Tiny]]

CASES: tuple[Case, ...] = (
    ("gemma3", ollama_form.gemma3, llama_cpp_form.gemma3),
    ("gemma3", ollama_form.gemma3_of_text, llama_cpp_form.gemma3),
    ("gemma3", ollama_form.gemma3_of_long_texts, llama_cpp_form.gemma3_of_long_texts),
    ("embeddinggemma", ollama_form.embeddinggemma, llama_cpp_form.embeddinggemma),
    ("gemma3n", ollama_form.gemma3n, llama_cpp_form.gemma3n),
    ("gemma4", ollama_form.gemma4, llama_cpp_form.gemma4),
    ("gemma4", ollama_form.gemma4moe, llama_cpp_form.gemma4moe),
    ("bert/snowflake", ollama_form.snowflake, llama_cpp_form.xlm_roberta),
    ("gptoss", ollama_form.gptoss, llama_cpp_form.gptoss),
    ("lfm2", ollama_form.lfm2, llama_cpp_form.lfm2),
    ("olmo3", ollama_form.olmo3, llama_cpp_form.olmo2),
    ("mistral3", ollama_form.mistral3, llama_cpp_form.mistral3),
    ("mistral3", ollama_form.mistral3_of_text, llama_cpp_form.mistral3),
    ("mistral3", ollama_form.mistral3_without_scaling, llama_cpp_form.mistral3_without_scaling),
    ("qwen35", lambda: ollama_form.qwen35(llama_cpp_form.qwen35()), llama_cpp_form.qwen35),
    ("qwen35moe", lambda: ollama_form.qwen35(llama_cpp_form.qwen35moe()), llama_cpp_form.qwen35moe),
    ("qwen3next", lambda: ollama_form.linear(llama_cpp_form.qwen3next()), llama_cpp_form.qwen3next),
    ("qwen25vl", ollama_form.qwen25vl, llama_cpp_form.qwen2vl),
    ("qwen3vl", lambda: ollama_form.qwen3vl(llama_cpp_form.qwen3vl()), llama_cpp_form.qwen3vl),
    (
        "qwen3vlmoe",
        lambda: ollama_form.qwen3vl(llama_cpp_form.qwen3vlmoe()),
        llama_cpp_form.qwen3vlmoe,
    ),
    ("deepseekocr", ollama_form.deepseekocr, llama_cpp_form.deepseek2ocr),
    ("glmocr", ollama_form.glmocr, llama_cpp_form.glm4),
    ("glm4moelite", ollama_form.glm4moelite, llama_cpp_form.deepseek2),
    ("laguna", ollama_form.laguna, llama_cpp_form.laguna),
    ("nemotron_h_moe", ollama_form.nemotron_h_moe, llama_cpp_form.nemotron_h_moe),
    ("nemotron_h_omni", ollama_form.nemotron_h_omni, llama_cpp_form.nemotron_h_moe),
    ("llama4", ollama_form.llama4, llama_cpp_form.llama4),
)


FAST = {"gemma3", "embeddinggemma", "gptoss", "mistral3-mistral3_of_text", "qwen25vl", "glmocr"}


def named(case: Case) -> str:
    """The name of a case, for the list of tests."""
    name, old, _ = case
    shown = getattr(old, "__name__", "<lambda>")
    return name if shown in ("<lambda>", name) else f"{name}-{shown}"


def listed(case: Case) -> object:
    """A case for a table of tests; one of each way to translate is run every time."""
    marks = () if named(case) in FAST else pytest.mark.slow
    return pytest.param(*case, id=named(case), marks=marks)


every_case = pytest.mark.parametrize(("name", "old", "new"), [*map(listed, CASES)])
