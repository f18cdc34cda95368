"""What a model can do, read from its parts (reference/ollama-models.md 5.7 and 8).

One routine for show, the list, chat and the others. Jinja templates are read by their words, Go
templates by their trees, which `gotemplate.analysis` reads.
"""

from __future__ import annotations

from collections.abc import Sequence

from ollama_nb_server.gotemplate.analysis import read
from ollama_nb_server.library.gguf import GGUFMetadata
from ollama_nb_server.library.manifest import Config

HARMONY = ("gptoss", "gpt-oss")
# What shows that a template writes answers of tools; a Jinja template has calls by these names.
JINJA_CALLS = ("tool_calls", "assistant_tool_call")
JINJA_ANSWERS = (
    "tool_response", "tool_results", "ipython",
    "role'] == 'tool'", "role'] == \"tool\"", "role\"] == 'tool'", 'role"] == "tool"',
    "message.role == 'tool'", 'message.role == "tool"',
)  # fmt: skip
GO_ANSWERS = ('eq .Role "tool"', "tool_response", "TOOL_RESULTS")
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
    splits = "content.split('</think>')" in text or 'content.split("</think>")' in text
    known = "reasoning_content" in text or "<SPECIAL_12>" in text
    if ("<think>" in text and "</think>" in text) or (splits and not known):
        found.append("thinking")
    return found


def of_go(text: str) -> list[str]:
    """Abilities that a Go template shows; one that does not parse shows none."""
    reading = read(text)
    if reading is None:
        return []
    shown = {
        "tools": "tools" in reading.variables,
        "insert": "suffix" in reading.variables,
        "thinking": reading.think_tags is not None,
    }
    return [name for name, is_shown in shown.items() if is_shown]


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
    trip_j, trip_g = _jinja_answers_tools(jinja), _go_answers_tools(go)
    if len(of_j) > len(of_g):
        return not (trip_g and not trip_j)
    return of_j == of_g and "tools" in of_j and trip_j and not trip_g


def _jinja_answers_tools(text: str) -> bool:
    """Whether it writes down calls and what tools have answered: the round trip."""
    return _has_any(text, JINJA_CALLS) and _has_any(text, JINJA_ANSWERS)


def _go_answers_tools(text: str) -> bool:
    reading = read(text)
    if reading is None or not {"tools", "toolcalls"} <= reading.variables:
        return False
    return _has_any(text, GO_ANSWERS)


def _has_any(text: str, marks: Sequence[str]) -> bool:
    return any(mark in text for mark in marks)


def uses_jinja(
    config: Config, template: str | None, jinja: str, *, go_template: bool | None = None
) -> bool:
    """Whether Ollama would run the GGUF's own template rather than the Go one.

    Parameters
    ----------
    template
        The Go template, None if the model has no such layer.
    jinja
        The GGUF's own template, empty if it has none.
    go_template
        What OLLAMA_GO_TEMPLATE says: always the Go one where there is one (True), never (False);
        None where it is not set.
    """
    if config.renderer or config.parser or is_harmony(config, template):
        return False
    if template is None or go_template is not None:
        return template is None or not go_template
    return prefers_jinja(template, jinja)


def is_harmony(config: Config, template: str | None) -> bool:
    """Whether a model's answers are read as gpt-oss's, though it names no parser (7.4)."""
    marked = template is not None and "<|start|>" in template and "<|end|>" in template
    return marked and config.model_family in HARMONY


def capabilities(
    config: Config,
    header: GGUFMetadata | None,
    *,
    template: str | None,
    projectors: Sequence[GGUFMetadata | None] = (),
    go_template: bool | None = None,
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
    go_template
        What OLLAMA_GO_TEMPLATE says, as for `uses_jinja`.
    """
    own = header.chat_template if header is not None else ""
    jinja = uses_jinja(config, template, own, go_template=go_template)
    found = [*config.capabilities]
    if header is not None:
        found += of_jinja(header.chat_template) if jinja else []
        found += of_header(header)
    found += of_projector(projectors[0]) if projectors else []
    if template is not None and not jinja and go_template is not False:
        found += of_go(template)
    found += of_parser(config.parser)
    found += ["thinking"] if config.model_family in HARMONY else []
    deaf = header is not None and header.architecture == "nemotron_h_omni"
    return tuple(dict.fromkeys(name for name in found if not (deaf and name == "audio")))
