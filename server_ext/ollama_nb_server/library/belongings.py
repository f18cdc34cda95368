"""What a user's own models take of a store: the layers that no model has which all share."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import StoreBroken
from ollama_nb_server.library.manifest import Manifest
from ollama_nb_server.library.manifests import Manifests
from ollama_nb_server.library.names import ModelName

Sizes = dict[Digest, int]


@dataclass(slots=True)
class Belongings:
    """The layers of one user's models, in bytes, and those of all that is shared."""

    own: dict[ModelName, Sizes] = field(default_factory=dict)
    shared: set[Digest] = field(default_factory=set)

    @classmethod
    def of(cls, manifests: Manifests, owner: str) -> Belongings:
        """Read the store. What another user has counts for both: each of them could delete it."""
        found = cls()
        for name in manifests.names():
            with suppress(StoreBroken, OSError):
                manifest = manifests.of(name)
                if manifest is None:
                    continue
                if (whose := manifest.owner_of(name)) == owner:
                    found.own[name] = sizes(manifest)
                elif not whose:
                    found.shared |= manifest.digests
        return found

    def of_model(self, name: ModelName) -> int:
        """What one of the models takes."""
        return self._bytes(self.own.get(name, {}))

    def together(self, *more: Sizes, without: ModelName | None = None) -> int:
        """What the models (but one) and other layers take together."""
        layers: Sizes = {}
        for sizes_of in (*(own for name, own in self.own.items() if name != without), *more):
            layers |= sizes_of
        return self._bytes(layers)

    def _bytes(self, layers: Sizes) -> int:
        return sum(size for digest, size in layers.items() if digest not in self.shared)


def sizes(manifest: Manifest) -> Sizes:
    """The blobs of a model."""
    return {layer.digest: layer.size for layer in (manifest.config, *manifest.layers)}
