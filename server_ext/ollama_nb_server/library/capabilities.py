"""What a model can do, read from its parts (reference/ollama-models.md 5.7 and 8).

One routine for show, the list, chat and the others. Go templates are read by their words here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ollama_nb_server.library.gguf import GGUFMetadata
from ollama_nb_server.library.manifest import Config

HARMONY = ("gptoss", "gpt-oss")
ANSWERS_TOOLS = re.compile(
    r"""tool_response|tool_results|ipython|role['"]?\]?\s*==\s*['"]tool['"]|['"]tool['"]\s*==""",
    re.X,
)
# Ollama's built-in parsers: what they take out of an answer (reference 7.5)
PARSERS_OF_BOTH = frozenset(
    {
        "qwen3-thinking", "qwen3.5", "ornith", "qwen3-vl-thinking", "harmony", "cogito",
        "deepseek3", "nemotron-3-nano", "nemotron-3.5-nano", "glm-4.7", "gemma4", "lfm2-thinking",
        "laguna", "poolside-v1", "cohere", "glimmer",
    }
)  # fmt: skip
PARSERS_OF_TOOLS = frozenset(
    {
        "qwen3", "qwen3-coder", "qwen3-vl-instruct", "ministral", "olmo3", "functiongemma",
        "glm-ocr", "gemma4-no-thinking", "lfm2",
    }
)  # fmt: skip
PARSERS_OF_THINKING = frozenset({"olmo3-think"})


def of_jinja(text: str) -> list[str]:
    """Abilities that a Jinja chat template shows."""
    found = []
    if "tools" in text or "tool_call" in text:
        found.append("tools")
    splits = "split('</think>')" in text or 'split("</think>")' in text
    known = "reasoning_content" in text or "<SPECIAL_12>" in text
    if ("<think>" in text and "</think>" in text) or (splits and not known):
        found.append("thinking")
    return found


def of_go(text: str) -> list[str]:
    """Abilities that a Go template shows."""
    words = {"tools": r"\.Tools\b", "insert": r"\.Suffix\b", "thinking": r"\.Thinking\b"}
    return [name for name, word in words.items() if re.search(word, text)]


def of_parser(name: str) -> list[str]:
    """Abilities that a built-in parser brings."""
    found = ["tools"] if name in PARSERS_OF_BOTH | PARSERS_OF_TOOLS else []
    return found + (["thinking"] if name in PARSERS_OF_BOTH | PARSERS_OF_THINKING else [])


def of_header(header: GGUFMetadata) -> list[str]:
    """Abilities that the weights' own header shows."""
    found = ["embedding" if header.pools else "completion"]
    senses = {"vision": "vision.block_count", "audio": "audio.block_count"}
    return found + [s for s, k in senses.items() if f"{header.architecture}.{k}" in header.values]


def of_projector(header: GGUFMetadata | None) -> list[str]:
    """Abilities that a projector adds; None is one that cannot be read."""
    if header is None:
        return ["vision"]
    hears = any(k.endswith("has_audio_encoder") and v is True for k, v in header.values.items())
    sees_gemma3n = header.values.get("clip.vision.projector_type") == "gemma3nv"
    return ["vision", "audio"] if hears and not sees_gemma3n else ["vision"]


def prefers_jinja(go: str, jinja: str) -> bool:
    """Whether the GGUF's template clearly supports more than the Go one."""
    if not jinja:
        return False
    of_j, of_g = set(of_jinja(jinja)), set(of_go(go))
    trip_j = "tools" in of_j and "tool_call" in jinja and bool(ANSWERS_TOOLS.search(jinja))
    trip_g = ".ToolCalls" in go and any(
        mark in go for mark in ('eq .Role "tool"', "tool_response", "TOOL_RESULTS")
    )
    if len(of_j) > len(of_g):
        return not (trip_g and not trip_j)
    return of_j == of_g and "tools" in of_j and trip_j and not trip_g


def uses_jinja(config: Config, template: str | None, jinja: str) -> bool:
    """Whether Ollama would run the GGUF's own template rather than the Go one (None: no layer)."""
    if config.renderer or config.parser:
        return False
    if template is None:
        return True
    if config.model_family in HARMONY and "<|start|>" in template and "<|end|>" in template:
        return False
    return prefers_jinja(template, jinja)


def capabilities(
    config: Config,
    header: GGUFMetadata | None,
    *,
    template: str | None,
    projectors: Sequence[GGUFMetadata | None] = (),
) -> tuple[str, ...]:
    """All abilities, in the order in which `show` lists them, each once.

    Parameters
    ----------
    header
        That of the weights; None, if there are none or they cannot be read, adds nothing.
    template
        The Go template, None if the model has no such layer.
    projectors
        Their headers, None for one that cannot be read.
    """
    jinja = uses_jinja(config, template, header.chat_template if header is not None else "")
    found = [*config.capabilities]
    if header is not None:
        found += of_jinja(header.chat_template) if jinja else []
        found += of_header(header)
    found += of_projector(projectors[0]) if projectors else []
    found += of_go(template) if template is not None and not jinja else []
    found += of_parser(config.parser)
    found += ["thinking"] if config.model_family in HARMONY else []
    deaf = header is not None and header.architecture == "nemotron_h_omni"
    return tuple(dict.fromkeys(name for name in found if not (deaf and name == "audio")))
