"""A model as the rest of the server sees it: whole, to be run or shown, or an entry of the list."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ollama_nb_server.library.capabilities import is_harmony
from ollama_nb_server.library.details import Details
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.gguf import GGUFMetadata
from ollama_nb_server.library.manifest import Config, Manifest
from ollama_nb_server.library.names import ModelName


@dataclass(frozen=True, slots=True)
class Model:
    """One model. `digest` is the manifest's, `template` the Go template (None: no such layer).

    `uses_jinja`: the GGUF's own template writes its prompts (reference/ollama-models.md 5.7).
    """

    name: ModelName
    digest: str
    modified_at: float
    manifest: Manifest = field(repr=False)
    config: Config = field(repr=False)
    weights: Path
    weights_digest: Digest
    metadata: GGUFMetadata = field(repr=False)
    details: Details = field(repr=False)
    capabilities: tuple[str, ...] = ()
    parent: str = ""
    adapters: tuple[Path, ...] = ()
    drafts: tuple[Path, ...] = ()
    projectors: tuple[Path, ...] = ()
    projector: GGUFMetadata | None = field(default=None, repr=False)
    template: str | None = field(default=None, repr=False)
    uses_jinja: bool = False
    system: str = field(default="", repr=False)
    parameters: dict[str, Any] = field(default_factory=dict, repr=False)
    messages: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    licenses: tuple[str, ...] = field(default=(), repr=False)

    @property
    def is_harmony(self) -> bool:
        """Whether it is gpt-oss, whose format no config need name."""
        return is_harmony(self.config, self.template)

    @property
    def parser(self) -> str:
        """The name of the built-in parser that reads its answers, if it has one."""
        return self.config.parser or ("harmony" if self.is_harmony else "")


@dataclass(frozen=True, slots=True)
class Entry:
    """A model in the list. One that is broken is listed too: what is wrong is told on its use."""

    name: ModelName
    digest: str
    modified_at: float
    size: int
    config: Config = field(repr=False)
    details: Details = field(repr=False)
    capabilities: tuple[str, ...] = ()

    @property
    def is_remote(self) -> bool:
        """Whether it stands for a model in the cloud."""
        return bool(self.config.remote_host or self.config.remote_model)
