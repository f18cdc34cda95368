"""Published templates: of which family each is, and that the calls it writes down are read again."""

from __future__ import annotations

import importlib.util
import os
from datetime import datetime
from pathlib import Path

import pytest
from ollama_nb_server.prompts import jinja, native
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.errors import TemplateFailed
from ollama_nb_server.prompts.parsing.native import native_family, native_format
from ollama_nb_server.prompts.parsing.parts import NOTHING, Call, Situation, Tool
from ollama_nb_server.prompts.traits import traits

TABLE = Path(__file__).parents[1] / "jinja" / "published.py"
NOW = datetime(2026, 5, 4)

HERMES = "Hermes, Qwen 2.5, Qwen3, Granite 4"
CODER = "Qwen3.5, Nemotron 3 Nano, Step 3.5"
GLM = "GLM 4.7, Laguna, Spark"
LING = "Ling 3, Laguna XS"
MINISTRAL = "Ministral 3, Magistral, Devstral"
COMMAND = "Command R7B, Command A, North"
OTHER = "any other"
FAMILY_OF = {
    "Apertus-8B-Instruct": "Apertus",
    "Apriel-1.6-15b-Thinker-fixed": "Apriel",
    "Bielik-11B-v3.0-Instruct": HERMES,
    "ByteDance-Seed-OSS": "Seed-OSS",
    "Cohere2MoE": COMMAND,
    "CohereForAI-c4ai-command-r-plus-tool_use": "Command R+",
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use": COMMAND,
    "GLM-4.6": "GLM 4.5, 4.6",
    "GLM-4.7-Flash": GLM,
    "GigaChat3-10B-A1.8B": "GigaChat 3",
    "GigaChat3.1-10B-A1.8B": "GigaChat 3.1",
    "HuggingFaceTB-SmolLM3-3B": OTHER,
    "Kimi-K2-Instruct": "Kimi K2",
    "Kimi-K2-Thinking": "Kimi K2",
    "Kimi-K3": "Kimi K3",
    "LFM2-8B-A1B": "LFM2",
    "LFM2.5-8B-A1B": "LFM2.5",
    "LFM2.5-Instruct": "LFM2.5",
    "MiMo-VL": HERMES,
    "MiniMax-M1": "MiniMax M1",
    "MiniMax-M2": "MiniMax M2",
    "MiniMax-M3": "MiniMax M3",
    "Mistral-Small-3.2-24B-Instruct-2506": "Mistral Small 3.2",
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": CODER,
    "NVIDIA-Nemotron-Nano-v2": "Nemotron Nano 2",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": HERMES,
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use": HERMES,
    "Qwen-QwQ-32B": HERMES,
    "Qwen-Qwen2.5-7B-Instruct": HERMES,
    "Qwen-Qwen3-0.6B": HERMES,
    "Qwen3-Coder": "Qwen3-Coder",
    "Qwen3.5-4B": CODER,
    "Reka-Edge": HERMES,
    "Spark2.5": GLM,
    "StepFun3.5-Flash": CODER,
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": "DeepSeek R1",
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": "DeepSeek R1",
    "deepseek-ai-DeepSeek-V3.1": "DeepSeek V3.1",
    "deepseek-ai-DeepSeek-V3.2": "DeepSeek V3.2",
    "deepseek-ai-DeepSeek-V4": "DeepSeek V4",
    "deepseek-ai-DeepSeek-V4-Flash-0731": "DeepSeek V4",
    "fireworks-ai-llama-3-firefunction-v2": "Firefunction 2, Phi-4-mini's functools",
    "google-gemma-2-2b-it": OTHER,
    "google-gemma-4-31B-it": "Gemma 4",
    "google-gemma-4-31B-it-interleaved": "Gemma 4",
    "ibm-granite-granite-3.3-2B-Instruct": "Granite 3",
    "ibm-granite-granite-4.0": HERMES,
    "ibm-granite-granite-4.1": HERMES,
    "inclusionai-ling-3.0-flash": LING,
    "llama-cpp-deepseek-r1": "DeepSeek R1",
    "llama-cpp-rwkv-world": OTHER,
    "meetkai-functionary-medium-v3.1": "Functionary 3.1",
    "meetkai-functionary-medium-v3.2": "Functionary 3.2",
    "meta-llama-Llama-3.1-8B-Instruct": "Llama 3",
    "meta-llama-Llama-3.2-3B-Instruct": "Llama 3",
    "meta-llama-Llama-3.3-70B-Instruct": "Llama 3",
    "microsoft-Phi-3.5-mini-instruct": OTHER,
    "mistralai-Ministral-3-14B-Reasoning-2512": MINISTRAL,
    "mistralai-Mistral-Nemo-Instruct-2407": "Mistral Nemo, Mistral 7B",
    "moonshotai-Kimi-K2": "Kimi K2",
    "muse-glimmer": "Glimmer",
    "openai-gpt-oss-120b": "gpt-oss",
    "openbmb-MiniCPM5-1B": "MiniCPM5",
    "poolside-Laguna-S-2.1": GLM,
    "poolside-Laguna-XS-2.1": LING,
    "poolside-Laguna-XS.2": LING,
    "tencent-Hy3": "Hunyuan 3",
    "unsloth-Apriel-1.5": "Apriel",
    "unsloth-mistral-Devstral-Small-2507": MINISTRAL,
    "upstage-Solar-Open-100B": "Solar Open",
}
# Templates out of which no call comes back, and why.
NO_CALLS_WRITTEN = {
    "HuggingFaceTB-SmolLM3-3B",
    "LFM2-8B-A1B",
    "LFM2.5-Instruct",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "google-gemma-2-2b-it",
    "ibm-granite-granite-3.3-2B-Instruct",
    "llama-cpp-rwkv-world",
    "microsoft-Phi-3.5-mini-instruct",
}
FAILS_ON_CALLS = {  # in transformers too
    "Kimi-K2-Instruct",
    "Kimi-K2-Thinking",
    "fireworks-ai-llama-3-firefunction-v2",
    "llama-cpp-deepseek-r1",
}

CITY = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Where."},
        "days": {"type": "integer", "description": "How many."},
    },
}
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Looks.", "parameters": CITY},
}


@pytest.fixture(scope="module")
def templates(request: pytest.FixtureRequest) -> dict[str, str]:
    """llama.cpp's published templates, out of the engine's sources: always at hand in CI."""
    assert request.config.cache is not None
    kept = request.config.cache.mkdir("sdist").glob("llama_cpp_python-*.tar.gz")
    found = next(kept, None)
    if found is None:
        assert not os.environ.get("CI"), "CI needs the published templates"
        pytest.skip("the engine's source archive is not in pytest's cache")
    spec = importlib.util.spec_from_file_location("published", TABLE)
    assert spec is not None
    assert spec.loader is not None
    published = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(published)
    read: dict[str, str] = published.templates_of(found)
    return read


def test_each_published_template_is_of_its_family(templates: dict[str, str]) -> None:
    found = {name: native_family(source).name for name, source in templates.items()}

    assert found == FAMILY_OF


def written(source: str) -> str:
    """What a template makes of a call, from behind the question on."""
    arguments = {"city": "Oslo", "days": 3}
    call = {"id": "a1B2c3D4e", "function": {"name": "get_weather", "arguments": arguments}}
    turns = [Turn("user", "QUESTION"), Turn("assistant", "", (call,))]
    variables = native.variables(NOW, None) | {
        "messages": native.messages(turns, source, traits(source)),
        "tools": native.tools([TOOL]),
        "add_generation_prompt": False,
        "bos_token": "",
        "eos_token": "",
    }
    try:
        text = jinja.render(source, variables, clock=lambda: NOW)
    except TemplateFailed as error:
        return str(error)
    return text.rpartition("QUESTION")[2]


def read(source: str) -> tuple[Call, ...]:
    """The calls in what a template makes of one."""
    parser = native_format(source, "</think>").parser(Situation((Tool("get_weather", CITY),)))
    found = NOTHING
    for part in (parser.feed(written(source)), parser.end()):
        found += part
    return found.calls


def test_a_call_that_a_published_template_writes_is_read(templates: dict[str, str]) -> None:
    found = {name: read(source) for name, source in templates.items()}

    expected = {"city": "Oslo", "days": 3}
    right = {name for name, calls in found.items() if [c.arguments for c in calls] == [expected]}
    assert set(found) - right == NO_CALLS_WRITTEN | FAILS_ON_CALLS
