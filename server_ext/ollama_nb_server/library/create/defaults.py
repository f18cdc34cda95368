"""What Ollama adds to models of some architectures (reference/ollama-models.md 4.6, step 8)."""

from __future__ import annotations

from dataclasses import dataclass

from ollama_nb_server.library.gguf import GGUFMetadata


@dataclass(frozen=True, slots=True)
class Defaults:
    """Names of a built-in renderer and parser, and stop texts."""

    renderer: str = ""
    parser: str = ""
    stop: tuple[str, ...] = ()


NANO = Defaults("nemotron-3-nano", "nemotron-3-nano")
OF_ARCHITECTURE: dict[str, Defaults] = {
    "gemma4": Defaults("gemma4", "gemma4", ("<turn|>",)),
    "laguna": Defaults("laguna", "laguna"),
    "nemotron_h": NANO,
    "nemotron_h_moe": NANO,
    "nemotron_h_omni": NANO,
}


def defaults_of(metadata: GGUFMetadata | None) -> Defaults:
    """The additions of a model's architecture; most have none."""
    return OF_ARCHITECTURE.get(metadata.architecture if metadata else "", Defaults())
