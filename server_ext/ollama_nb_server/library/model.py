"""A model as the rest of the server sees it: its parts read from the store, its abilities."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ollama_nb_server.library.capabilities import capabilities, prefers_jinja
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.gguf import GGUFMetadata
from ollama_nb_server.library.manifest import Config, Manifest
from ollama_nb_server.library.names import ModelName


@dataclass(frozen=True, slots=True)
class Model:
    """One model. `digest` is the manifest's, `template` the Go template (None: no such layer)."""

    name: ModelName
    digest: str
    modified_at: float
    manifest: Manifest = field(repr=False)
    config: Config = field(repr=False)
    weights: Path
    weights_digest: Digest
    metadata: GGUFMetadata = field(repr=False)
    parent: str = ""
    adapters: tuple[Path, ...] = ()
    projectors: tuple[Path, ...] = ()
    template: str | None = field(default=None, repr=False)
    system: str = field(default="", repr=False)
    parameters: dict[str, Any] = field(default_factory=dict, repr=False)
    messages: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    licenses: tuple[str, ...] = field(default=(), repr=False)

    @property
    def uses_jinja(self) -> bool:
        """Whether Ollama would run the GGUF's own template (reference/ollama-models.md 5.7)."""
        if self.config.renderer or self.config.parser:
            return False
        return self.template is None or prefers_jinja(self.template, self.metadata.chat_template)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What it can do: completion, tools, thinking, ..."""
        return capabilities(
            self.config,
            self.metadata,
            template=self.template,
            uses_jinja=self.uses_jinja,
            has_projector=bool(self.projectors),
        )
