"""What a model can do, read from its metadata and templates (reference/ollama-models.md 5.7 and 8).

Go templates are read by their words here, not by their tree.
"""

from __future__ import annotations

import re

from ollama_nb_server.library.gguf import GGUFMetadata
from ollama_nb_server.library.manifest import Config

ANSWERS_TOOLS = re.compile(
    r"""tool_response|tool_results|ipython|role['"]?\]?\s*==\s*['"]tool['"]|['"]tool['"]\s*==""",
    re.X,
)


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


def capabilities(
    config: Config,
    metadata: GGUFMetadata,
    *,
    template: str | None,
    uses_jinja: bool,
    has_projector: bool,
) -> tuple[str, ...]:
    """All abilities, in the order in which `show` lists them, each once."""
    architecture = metadata.architecture
    found = [*config.capabilities]
    found += of_jinja(metadata.chat_template) if uses_jinja else []
    found.append("embedding" if metadata.pools else "completion")
    if has_projector or f"{architecture}.vision.block_count" in metadata.values:
        found.append("vision")
    if f"{architecture}.audio.block_count" in metadata.values:
        found.append("audio")
    found += of_go(template) if template is not None and not uses_jinja else []
    if config.model_family in ("gptoss", "gpt-oss"):
        found.append("thinking")
    return tuple(dict.fromkeys(found))
