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
    StoreBroken,
)
from ollama_nb_server.library.model import Entry, Model
from ollama_nb_server.library.names import (
    DEFAULT_HOST,
    DEFAULT_NAMESPACE,
    ModelName,
    ModelRef,
    parse_ref,
)
from ollama_nb_server.library.store import Store
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.sharing import Sharing
from ollama_nb_server.sharing.namespaces import namespace
from ollama_nb_server.wire.errors import CloudDisabled, NotAllowed

UNKNOWN = "\0"  # the owner of a model whose manifest cannot be read: nobody has that name


@dataclass(frozen=True, slots=True)
class Catalog:
    """The models of a store as one caller sees them. All methods block on the disk.

    A model that is not there for a caller is not found, as one is that does not exist. Users who do
    not manage have models of their own, which are there for them, and for who manages: `brief` of
    alice is `alice/brief` in the store.
    """

    store: Store
    sharing: Sharing
    caller: Caller

    # --- what is there ----------------------------------------------------------------------------

    def sees(self, name: ModelName) -> bool:
        """Whether a model of the store is there for the caller."""
        return self.caller.manages or self._is_there(name, self.owner(name))

    def _is_there(self, name: ModelName, owner: str) -> bool:
        if owner:
            return owner == self.caller.name
        return self.sharing.may_see(name.display, self.caller.groups)

    def owner(self, name: ModelName) -> str:
        """The user whose own a model is; "": it is everybody's, or not there."""
        if name.namespace.casefold() == DEFAULT_NAMESPACE:
            return ""
        try:
            manifest = self.store.manifests.of(name)
        except StoreBroken:
            return UNKNOWN
        return "" if manifest is None else manifest.owner_of(name)

    @property
    def namespace(self) -> str:
        """Where the caller's own models are; "" for who has none: what they make is all's."""
        return "" if self.caller.manages else namespace(self.caller.name)

    def shown(self, name: ModelName) -> str:
        """What a model is called in the caller's lists."""
        if name.namespace == self.namespace and self.owner(name) == self.caller.name:
            return f"{name.model}:{name.tag}"
        return name.display

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
        """Every model that is there for the caller, the newest first.

        One of their own hides one of the same name that all share.
        """
        entries = self.store.models()
        if self.caller.manages:
            return entries
        there = [entry for entry in entries if self._is_there(entry.name, entry.owner)]
        own = {entry.name for entry in there if entry.owner}
        hidden = {replace(name, namespace=DEFAULT_NAMESPACE) for name in own}
        return [entry for entry in there if entry.name not in hidden]

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
            return self._with_base(self.store.model(ref.name, asked))
        except RemoteModel:
            if ref.source == "local":
                raise ModelNotFound(asked, ref.name.display) from None
            raise

    def _with_base(self, model: Model) -> Model:
        """A user's own model with one of the same files that all share, if there is one."""
        if not model.owner:
            return model
        files = model.adapters, model.projectors, model.drafts

        def is_base(name: ModelName) -> bool:
            if self.owner(name):
                return False
            with suppress(LibraryError, OSError):
                other = self.store.model(name)
                same = (other.adapters, other.projectors, other.drafts) == files
                return same and other.weights_digest == model.weights_digest
            return False

        name = self.store.called(model.weights_digest, is_base)
        return model if name is None else replace(model, base=self.store.model(name))

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
        own = ref.is_bare and bool(self.namespace)
        if ref.literal is not None:
            literal = self._found(ref.literal, fold_case, own)
            if self.has(literal):
                return ModelRef(literal)
        return replace(ref, name=self._found(ref.name, fold_case, own))

    def _found(self, name: ModelName, fold_case: bool, own: bool) -> ModelName:
        """The caller's own model of that name if there is one, else the one that all share."""
        if own:
            mine = self._spelled(replace(name, namespace=self.namespace), fold_case)
            if self.owner(mine) == self.caller.name:
                return mine
        return self._spelled(name, fold_case)

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
        NotAllowed
            If it is none of the caller's own.
        """
        try:
            name = ModelName.parse(asked.strip())
        except InvalidName as error:
            raise InvalidName(asked) from error
        if self.namespace and "/" not in asked:
            name = replace(name, namespace=self.namespace)
        name = self._spelled(name)
        self.require_own(name, "make")
        return name

    def require_own(self, name: ModelName, what: str) -> None:
        """Refuse to change a model that is not the caller's own, unless they manage.

        Raises
        ------
        NotAllowed
        """
        if self.caller.manages:
            return
        mine = (name.host, name.namespace) == (DEFAULT_HOST, self.namespace)
        if mine and (self.owner(name) == self.caller.name or not self.store.manifests.has(name)):
            return
        asked, why = f"{what} {name.display}", f"only models of their own, {self.namespace}/..."
        raise NotAllowed(self.caller.name, asked, self.sharing.contact, why)

    def owner_of_new(self, name: ModelName) -> str:
        """Whose own a model will be that the caller makes; who manages leaves it whose it was."""
        return self.owner(name) if self.caller.manages else self.caller.name

    def _spelled(self, name: ModelName, fold_case: bool = True) -> ModelName:
        """As the store has it; the spelling of what is not there for the caller stays untold."""
        if not fold_case or self.store.manifests.has(name):
            return name
        return name.folded(filter(self.sees, self.store.names()))


def refuse_cloud(ref: ModelRef, what: str = "remote model is unavailable") -> None:
    """Refuse a model that lives in the cloud."""
    if ref.source == "cloud":
        raise CloudDisabled(what)
