"""Which names there are, and which template with which flags each of them stands for.

A new family is a template and a row here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ollama_nb_server.prompts.renderers import outlook
from ollama_nb_server.prompts.renderers.documents import Message

DEEPSEEK_BOS = "<｜begin▁of▁sentence｜>"
OLMO = (
    "You are Olmo, a helpful AI assistant built by Ai2. Your date cutoff is December 2024, and "
    "your model weights are available at https://huggingface.co/allenai."
)
POOLSIDE = (
    "You are a helpful, conversationally-fluent assistant made by Poolside. You are here to be "
    "helpful to users through natural language conversations."
)


@dataclass(frozen=True, slots=True)
class Family:
    """One name.

    Attributes
    ----------
    template
        The file that writes its prompts, without the ending.
    bos
        The text that such a prompt begins with, and a tokenizer may add by itself.
    flags
        Variables that tell families of one template apart.
    prepare
        Adds to messages what follows from the whole conversation.
    """

    template: str
    bos: str = ""
    flags: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    prepare: Callable[[list[Message]], None] | None = None


QWEN: dict[str, Any] = {"has_effort": False, "keeps_thoughts": False}

FAMILIES: Mapping[str, Family] = {
    "qwen3-coder": Family("qwen3-coder"),
    "qwen3-vl-instruct": Family("qwen3-vl", flags={"thinks": False}),
    "qwen3-vl-thinking": Family("qwen3-vl", flags={"thinks": True}),
    "qwen3.5": Family("qwen3.5", flags=QWEN),
    "qwen3.8": Family("qwen3.5", flags={"has_effort": True, "keeps_thoughts": True}),
    "ornith": Family("qwen3.5", flags=QWEN | {"keeps_thoughts": True}),
    "cogito": Family("cogito", DEEPSEEK_BOS),
    "deepseek3.1": Family("deepseek3.1", DEEPSEEK_BOS),
    "olmo3": Family(
        "olmo3", flags={"default_system": "You are a helpful function-calling AI assistant. "}
    ),
    "olmo3.1": Family("olmo3", flags={"default_system": f"{OLMO} "}),
    "olmo3-think": Family("olmo3-think", flags={"default_system": OLMO}),
    "olmo3-32b-think": Family(
        "olmo3-think", flags={"default_system": "You are a helpful AI assistant."}
    ),
    "nemotron-3-nano": Family("nemotron-nano", flags={"v35": False}),
    "nemotron-3.5-nano": Family("nemotron-nano", flags={"v35": True}),
    "gemma4": Family("gemma4", "<bos>", {"empty_thoughts": False}, outlook.add_results),
    "gemma4-small": Family("gemma4", "<bos>", {"empty_thoughts": False}, outlook.add_results),
    "gemma4-large": Family("gemma4", "<bos>", {"empty_thoughts": True}, outlook.add_results),
    "functiongemma": Family("functiongemma", "<bos>"),
    "glm-4.7": Family("glm-4.7"),
    "glm-ocr": Family("glm-ocr"),
    "lfm2": Family("lfm2", "<|startoftext|>", {"thinks": False}),
    "lfm2-thinking": Family("lfm2", "<|startoftext|>", {"thinks": True}),
    "laguna": Family("laguna", "〈|EOS|〉", {"default_system": POOLSIDE}),
    "poolside-v1": Family("poolside-v1", "〈|EOS|〉", {"default_system": POOLSIDE}),
    "cohere": Family("cohere", "<BOS_TOKEN>", prepare=outlook.add_call_numbers),
    "glimmer": Family("glimmer", "<|begin_of_text|>", prepare=outlook.add_result_names),
}
