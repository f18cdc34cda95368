"""What a model is, in short: the fields that tags, show and ps share (reference 10.1)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ollama_nb_server.library.errors import InvalidName
from ollama_nb_server.library.gguf import GGUFMetadata
from ollama_nb_server.library.manifest import Config, Manifest
from ollama_nb_server.library.names import ModelName


@dataclass(frozen=True, slots=True)
class Details:
    """A model in short; `families` is None where nobody says, a length 0."""

    parent_model: str
    format: str
    family: str
    families: tuple[str, ...] | None
    parameter_size: str
    quantization_level: str
    context_length: int
    embedding_length: int


def details(manifest: Manifest, config: Config, header: GGUFMetadata | None) -> Details:
    """The config's words count; where it is silent, the header's (None: it cannot be read)."""
    told = header if header is not None else GGUFMetadata(Path(), {})
    known = config.file_type not in ("", "unknown")
    return Details(
        parent_model=_parent(manifest),
        format=config.model_format or "gguf",
        family=config.model_family or (told.architecture if header is not None else ""),
        families=config.model_families or None,
        parameter_size=config.model_type or (told.parameter_size if header is not None else ""),
        quantization_level=config.file_type if known else told.file_type,
        context_length=config.context_length or told.context_length,
        embedding_length=config.embedding_length or told.embedding_length,
    )


def _parent(manifest: Manifest) -> str:
    """The model that the weights were taken from; nothing if that was a file."""
    weights = manifest.of_kind("model")
    source = weights[-1].source if weights else ""
    if ":" not in source.rpartition("/")[2]:
        return ""
    try:
        ModelName.parse(source)
    except InvalidName:
        return ""
    return source
