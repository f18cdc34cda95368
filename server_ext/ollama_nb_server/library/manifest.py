"""Manifests and configs: which layers make a model, byte for byte as Ollama writes them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from ollama_nb_server.library import documents, gojson
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.documents import A_DIGEST, COUNT, LIST, OBJECT, TEXT, TEXTS, Kind
from ollama_nb_server.library.errors import StoreBroken
from ollama_nb_server.library.names import DEFAULT_HOST, ModelName
from ollama_nb_server.sharing.namespaces import namespace

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.ollama.image."
OWNER = "ollama_nb.owner"  # an annotation, as OCI has them; Ollama reads none


@dataclass(frozen=True, slots=True)
class Layer:
    """One blob of a model. `source` is where it came from: a model's name or a file's."""

    media_type: str
    digest: Digest
    size: int
    source: str = ""

    @property
    def kind(self) -> str:
        """`model`, `template`, `params`, ..."""
        return self.media_type.removeprefix(LAYER_TYPE)

    def document(self) -> dict[str, Any]:
        """As JSON, in order."""
        document: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest.colon,
            "size": self.size,
        }
        return document | ({"from": self.source} if self.source else {})

    @classmethod
    def of(cls, document: Any, name: str) -> Layer:
        """Read one; `name` is what it is called in an error.

        Raises
        ------
        ValueError
            If it is none.
        """
        documents.required(document, OBJECT, name)
        return cls(
            documents.field(document, "mediaType", TEXT),
            Digest.parse(documents.field(document, "digest", A_DIGEST)),
            documents.field(document, "size", COUNT),
            documents.field(document, "from", TEXT, ""),
        )


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model: its config and its layers in order.

    `owner` is the user of a shared server whose own it is; it is told to no registry.
    """

    config: Layer
    layers: tuple[Layer, ...]
    owner: str = ""

    def encode(self) -> bytes:
        """The bytes of the file."""
        layers = [layer.document() for layer in self.layers] or None
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": self.config.document(),
            "layers": layers,
        }
        annotations = {"annotations": {OWNER: self.owner}} if self.owner else {}
        return gojson.encode({**document, **annotations})

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """Read a file's bytes.

        Raises
        ------
        StoreBroken
            With the reason, if they are no manifest (another program may be writing it just now).
        """
        try:
            document = documents.required(documents.parsed(data), OBJECT, "it")
            layers = documents.field(document, "layers", LIST, [])
            config = Layer.of(document.get("config"), '"config"')
            owner = _owner(document.get("annotations"))
            return cls(config, tuple(Layer.of(layer, "a layer") for layer in layers), owner)
        except ValueError as error:
            raise StoreBroken(str(error)) from error

    @property
    def digests(self) -> set[Digest]:
        """Everything that must stay in the store for this model."""
        return {self.config.digest, *(layer.digest for layer in self.layers)}

    @property
    def size(self) -> int:
        """Bytes of all layers and the config."""
        return self.config.size + sum(layer.size for layer in self.layers)

    def owner_of(self, name: ModelName) -> str:
        """Whose own the model is that has this manifest and this name; "": it is everybody's."""
        # Whatever the case of letters, in which a file system may find it as well.
        place = name.host.casefold(), name.namespace.casefold()
        mine = place == (DEFAULT_HOST, namespace(self.owner))
        return self.owner if self.owner and mine else ""

    def of_kind(self, *kinds: str) -> list[Layer]:
        """The layers of these kinds, in order."""
        return [layer for layer in self.layers if layer.kind in kinds]


def _owner(annotations: Any) -> str:
    owner = annotations.get(OWNER) if isinstance(annotations, dict) else None
    return owner if isinstance(owner, str) else ""


@dataclass(frozen=True, slots=True)
class Config:
    """What the config blob says; fields in the order that the digest needs."""

    model_format: str = ""
    model_family: str = ""
    model_families: tuple[str, ...] | None = None
    model_type: str = ""
    file_type: str = ""
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    remote_host: str = ""
    remote_model: str = ""
    capabilities: tuple[str, ...] = ()
    context_length: int = 0
    embedding_length: int = 0
    base_name: str = ""
    draft: dict[str, Any] | None = field(default=None, hash=False)

    ALWAYS: ClassVar[tuple[str, ...]] = (
        "model_format",
        "model_family",
        "model_families",
        "model_type",
        "file_type",
    )

    def encode(self) -> bytes:
        """The bytes of the blob."""
        document: dict[str, Any] = {}
        for name in Config.__slots__:
            value = getattr(self, name)
            if value or name in Config.ALWAYS:
                document[name] = list(value) if isinstance(value, tuple) else value
        return gojson.encode({**document, "architecture": "amd64", "os": "linux"})

    @classmethod
    def decode(cls, data: bytes) -> Config:
        """Read a blob's bytes; unknown fields are left out.

        Raises
        ------
        StoreBroken
            With the reason, if they are no config.
        """
        try:
            document = documents.required(documents.parsed(data), OBJECT, "it")
            known: dict[str, Any] = {}
            for name, kind in KINDS:
                if document.get(name) is not None:
                    value = documents.field(document, name, kind)
                    known[name] = tuple(value) if kind is TEXTS else value
        except ValueError as error:
            raise StoreBroken(str(error)) from error
        return cls(**known)


OF_TYPE: dict[str, Kind] = {
    "str": TEXT,
    "int": COUNT,
    "tuple[str, ...]": TEXTS,
    "tuple[str, ...] | None": TEXTS,
    "dict[str, Any] | None": OBJECT,
}
KINDS = [(field.name, OF_TYPE[str(field.type)]) for field in fields(Config)]
