"""What a user may add to a shared store: of which blobs, and how much.

Those who manage add what they like.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ollama_nb_server.answering.naming import Catalog
from ollama_nb_server.library.belongings import Belongings, Sizes, sizes
from ollama_nb_server.library.create import Recipe
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import BlobNotFound, InvalidDigest
from ollama_nb_server.library.manifest import Manifest
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.sharing.uploads import Uploads
from ollama_nb_server.wire.errors import NoRoomOfTheirOwn, NotAllowed

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """One caller's. All methods block on the disk."""

    catalog: Catalog
    uploads: Uploads

    @property
    def limit_bytes(self) -> int:
        """What a user's own layers may take together."""
        return self.catalog.sharing.max_private_mb * MB

    def taken(self) -> int:
        """What the caller's models and uploads take now; uploads that are long over go."""
        user = self.catalog.caller.name
        if old := self.uploads.old(user):
            self.uploads.drop(user, old)
            self.catalog.store.discard({Digest(hexadecimal) for hexadecimal in old})
        return self._belongings().together(self._uploaded())

    def require_room(self, more_bytes: int, taken: int) -> None:
        """Refuse what would take too much.

        Raises
        ------
        NoRoomOfTheirOwn
        """
        if taken + more_bytes > self.limit_bytes:
            raise self._refusal(more_bytes, taken, self._belongings())

    def admit(self, name: ModelName, manifest: Manifest, used: frozenset[Digest]) -> None:
        """Refuse a model that would take too much; `used` are uploads that it was made of.

        Raises
        ------
        NoRoomOfTheirOwn
        """
        if self.catalog.caller.manages:
            return
        found = self._belongings()
        others = {d: size for d, size in self._uploaded().items() if d not in used}
        before = found.together(others, without=name)
        after = found.together(others, sizes(manifest), without=name)
        if after > self.limit_bytes:
            raise self._refusal(after - before, before, found)

    def check(self, recipe: Recipe) -> None:
        """Refuse what is for those who manage, and blobs that the caller has not shown.

        Raises
        ------
        NotAllowed, BlobNotFound
        """
        if self.catalog.caller.manages:
            return
        if recipe.quantize or recipe.draft_quantize:
            self._deny("quantize models")
        if any(name.endswith(".safetensors") for name in recipe.files or ()):
            self._deny("convert models from safetensors")
        for files in (recipe.files, recipe.adapters, recipe.drafts):
            self._require_blobs(files or {})

    def knows(self, digest: Digest) -> bool:
        """Whether a blob is there for the caller: uploaded, or of a model that is."""
        catalog = self.catalog
        if not catalog.store.blobs.has(digest):
            return False
        if catalog.caller.manages or digest.hex in self.uploads.of(catalog.caller.name):
            return True
        return catalog.store.holder(digest, catalog.sees) is not None

    def _require_blobs(self, files: Mapping[str, str]) -> None:
        for text in files.values():
            try:
                digest = Digest.parse(text)
            except InvalidDigest:
                continue  # said with its own words where it is read
            if not self.knows(digest):
                raise BlobNotFound(digest.colon)

    def _belongings(self) -> Belongings:
        return Belongings.of(self.catalog.store.manifests, self.catalog.caller.name)

    def _uploaded(self) -> Sizes:
        found = {Digest(d): size for d, size in self.uploads.of(self.catalog.caller.name).items()}
        return {d: size for d, size in found.items() if self.catalog.store.blobs.has(d)}

    def _deny(self, what: str) -> None:
        raise NotAllowed(self.catalog.caller.name, what, self.catalog.sharing.contact)

    def _refusal(self, more_bytes: int, taken: int, found: Belongings) -> NoRoomOfTheirOwn:
        models = sorted(
            ((found.of_model(n), self.catalog.shown(n)) for n in found.own), reverse=True
        )
        return NoRoomOfTheirOwn(more_bytes, taken, self.limit_bytes, models)
