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

    `base` is a model of the same files that all share, where this one is a user's own.
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
    base: Model | None = field(default=None, repr=False)

    @property
    def owner(self) -> str:
        """The user whose own it is; "": it is everybody's."""
        return self.manifest.owner_of(self.name)

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
    """A model in the list; `owner` is the user whose own it is.

    One that is broken is listed too: what is wrong is told on its use.
    """

    name: ModelName
    digest: str
    modified_at: float
    size: int
    config: Config = field(repr=False)
    details: Details = field(repr=False)
    capabilities: tuple[str, ...] = ()
    owner: str = ""

    @property
    def is_remote(self) -> bool:
        """Whether it stands for a model in the cloud."""
        return bool(self.config.remote_host or self.config.remote_model)
