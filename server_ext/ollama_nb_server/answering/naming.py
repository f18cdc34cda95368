"""Which model a name in a request means, and which models are there for whoever asks.

What is here is meant first, whatever its name looks like: `m:8b-cloud` stands for a model in the
cloud, unless the store has a model of that very name.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import (
    InvalidName,
    LibraryError,
    ModelNotFound,
    RemoteModel,
)
from ollama_nb_server.library.model import Entry, Model
from ollama_nb_server.library.names import ModelName, ModelRef, parse_ref
from ollama_nb_server.library.store import Store
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.sharing import Sharing
from ollama_nb_server.wire.errors import CloudDisabled


@dataclass(frozen=True, slots=True)
class Catalog:
    """The models of a store as one caller sees them. All methods block on the disk.

    A model that is not there for a caller is not found, as one is that does not exist.
    """

    store: Store
    sharing: Sharing
    caller: Caller

    # --- what is there ----------------------------------------------------------------------------

    def sees(self, name: ModelName) -> bool:
        """Whether a model of the store is there for the caller."""
        return self.caller.manages or self.sharing.may_see(name.display, self.caller.groups)

    def has(self, name: ModelName) -> bool:
        """Whether there is such a model, be it only the bundled one, for the caller."""
        return self.store.has(name) and self.sees(name)

    def require(self, name: ModelName, asked: str) -> None:
        """Refuse a model that is not there for the caller.

        Raises
        ------
        ModelNotFound
        """
        if not self.sees(name):
            raise ModelNotFound(asked, name.display)

    def entries(self) -> list[Entry]:
        """Every model that is there for the caller, the newest first."""
        return [entry for entry in self.store.models() if self.sees(entry.name)]

    def model(
        self, asked: str, *, fold_case: bool = True, cloud: str = "remote model is unavailable"
    ) -> Model:
        """Read the model that a request names.

        Raises
        ------
        InvalidName, ConflictingSource, CloudDisabled, ModelNotFound
            Each with the name as it was sent.
        RemoteModel, BlobNotFound, StoreBroken
        """
        ref = self.meant(asked, fold_case=fold_case)
        refuse_cloud(ref, cloud)
        self.require(ref.name, asked)
        try:
            return self.store.model(ref.name, asked)
        except RemoteModel:
            if ref.source == "local":
                raise ModelNotFound(asked, ref.name.display) from None
            raise

    def called(self, weights: Digest) -> Model | None:
        """A model of these weights that is there for the caller, and whole."""
        name = self.store.called(weights, self.sees)
        with suppress(LibraryError):
            return None if name is None else self.store.model(name)
        return None

    # --- what a name means ------------------------------------------------------------------------

    def meant(self, asked: str | ModelRef, *, fold_case: bool = True) -> ModelRef:
        """The model, in the spelling of the store.

        Raises
        ------
        InvalidName, ConflictingSource
        """
        ref = parse_ref(asked) if isinstance(asked, str) else asked
        if ref.literal is not None and self.has(literal := self._spelled(ref.literal, fold_case)):
            return ModelRef(literal)
        return replace(ref, name=self._spelled(ref.name, fold_case))

    def existing(self, asked: str) -> ModelName:
        """The name of a model that is to be copied or deleted, be it there or not.

        Never another one than was named: `m:cloud` does not delete `m`.

        Raises
        ------
        InvalidName, ConflictingSource
        """
        ref = self.meant(asked)
        if ref.source != "cloud":
            return ref.name
        if ref.literal is None:
            raise InvalidName(asked)
        return ref.literal

    def new(self, asked: str) -> ModelName:
        """The name for a model that is to be made: it is called exactly so.

        Raises
        ------
        InvalidName
        """
        try:
            return self._spelled(ModelName.parse(asked.strip()))
        except InvalidName as error:
            raise InvalidName(asked) from error

    def _spelled(self, name: ModelName, fold_case: bool = True) -> ModelName:
        """As the store has it; the spelling of what is not there for the caller stays untold."""
        if not fold_case or self.store.manifests.has(name):
            return name
        return name.folded(filter(self.sees, self.store.names()))


def refuse_cloud(ref: ModelRef, what: str = "remote model is unavailable") -> None:
    """Refuse a model that lives in the cloud."""
    if ref.source == "cloud":
        raise CloudDisabled(what)
