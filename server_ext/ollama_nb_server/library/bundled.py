"""The demo model that comes with the package: installed under `demo` when it is first asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ollama_nb_server.library import gguf
from ollama_nb_server.library.manifest import CONFIG_TYPE, LAYER_TYPE, Config, Layer, Manifest
from ollama_nb_server.library.names import ModelName

if TYPE_CHECKING:
    from ollama_nb_server.library.store import Store

NAME = ModelName.parse("demo")
DEMO = Path(__file__).resolve().parents[1] / "data" / "demo.gguf"


def is_asked_for(name: ModelName) -> bool:
    """Whether a name that is not in the store means the bundled model."""
    return name.display.casefold() == NAME.display


def install(store: Store, name: ModelName) -> None:
    """Copy the file into the store and write its manifest (the store's lock is held)."""
    digest = store.blobs.add_file(DEMO)
    metadata = gguf.read(store.blobs.path(digest))
    config = config_of(metadata)
    data = config.encode()
    config_digest, _ = store.blobs.add(data)
    layer = Layer(f"{LAYER_TYPE}model", digest, DEMO.stat().st_size, DEMO.name)
    manifest = Manifest(Layer(CONFIG_TYPE, config_digest, len(data)), (layer,))
    store.manifests.put(name, manifest.encode())


def config_of(metadata: gguf.GGUFMetadata) -> Config:
    """The config of a model made of one GGUF file."""
    return Config(
        model_format="gguf",
        model_family=metadata.architecture,
        model_families=(metadata.architecture,),
        model_type=metadata.parameter_size,
        file_type=metadata.file_type,
    )
