"""The ways in which families write their answers, by the names that models ask for.

Sources: reference/ollama-models.md 7.5. A new family is a file in `families` and a row here. A name
that is not here has no parser of its own: `generic` reads its answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from ollama_nb_server.prompts.parsing.families.cohere import COHERE
from ollama_nb_server.prompts.parsing.families.deepseek import COGITO, DEEPSEEK3
from ollama_nb_server.prompts.parsing.families.functiongemma import FUNCTIONGEMMA
from ollama_nb_server.prompts.parsing.families.gemma import GEMMA4, GEMMA4_NO_THINKING
from ollama_nb_server.prompts.parsing.families.glimmer import GLIMMER
from ollama_nb_server.prompts.parsing.families.glm import GLM, GLM_OCR
from ollama_nb_server.prompts.parsing.families.harmony import HARMONY
from ollama_nb_server.prompts.parsing.families.laguna import LAGUNA, POOLSIDE
from ollama_nb_server.prompts.parsing.families.liquid import LFM2, LFM2_THINKING
from ollama_nb_server.prompts.parsing.families.mistral import MINISTRAL
from ollama_nb_server.prompts.parsing.families.olmo import OLMO3, OLMO3_THINK
from ollama_nb_server.prompts.parsing.families.plain import PASSTHROUGH
from ollama_nb_server.prompts.parsing.families.qwen import (
    QWEN3,
    QWEN3_CODER,
    QWEN3_THINKING,
    QWEN3_VL,
    QWEN3_VL_THINKING,
    QWEN35,
    sectioned,
)
from ollama_nb_server.prompts.parsing.output_format import OutputFormat, unless_off

__all__ = ["FORMATS", "OutputFormat", "sectioned", "unless_off"]

FORMATS: Mapping[str, OutputFormat] = {
    "cogito": COGITO,
    "cohere": COHERE,
    "deepseek3": DEEPSEEK3,
    "functiongemma": FUNCTIONGEMMA,
    "gemma4": GEMMA4,
    "gemma4-no-thinking": GEMMA4_NO_THINKING,
    "glimmer": GLIMMER,
    "glm-4.7": GLM,
    "glm-ocr": GLM_OCR,
    "harmony": HARMONY,
    "laguna": LAGUNA,
    "lfm2": LFM2,
    "lfm2-thinking": LFM2_THINKING,
    "ministral": MINISTRAL,
    "nemotron-3-nano": QWEN35,
    "nemotron-3.5-nano": QWEN35,
    "olmo3": OLMO3,
    "olmo3-think": OLMO3_THINK,
    "ornith": QWEN35,
    "passthrough": PASSTHROUGH,
    "poolside-v1": POOLSIDE,
    "qwen3": QWEN3,
    "qwen3-coder": QWEN3_CODER,
    "qwen3-thinking": QWEN3_THINKING,
    "qwen3-vl-instruct": QWEN3_VL,
    "qwen3-vl-thinking": QWEN3_VL_THINKING,
    "qwen3.5": QWEN35,
}
