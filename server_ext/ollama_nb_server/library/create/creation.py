"""One create on its way: its layers, gathered step by step, then its config and its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ollama_nb_server.library import gguf, gojson
from ollama_nb_server.library.child import Cancellation
from ollama_nb_server.library.create.configuring import configured
from ollama_nb_server.library.create.defaults import Defaults, defaults_of
from ollama_nb_server.library.create.layers import Layers
from ollama_nb_server.library.create.progress import NO_DIGEST, Progress
from ollama_nb_server.library.create.recipe import Recipe, licenses
from ollama_nb_server.library.create.rewriting import COPY, quantization, rewrite, source_type
from ollama_nb_server.library.create.sources import (
    Source,
    groups,
    kind_of_files,
    layer_kind,
    source_of,
)
from ollama_nb_server.library.errors import UnknownFileType
from ollama_nb_server.library.manifest import CONFIG_TYPE, LAYER_TYPE, Config, Layer, Manifest
from ollama_nb_server.library.store import Store


class Creation:
    """The steps; `run` takes them in order."""

    def __init__(self, store: Store, recipe: Recipe, cancellation: Cancellation) -> None:
        self._store, self._recipe, self._cancellation = store, recipe, cancellation
        self._layers = Layers(store.blobs)
        self._base = Config()  # of the model that this one is made from
        self._weights: list[gguf.GGUFMetadata] = []
        self._wanted = quantization(recipe.quantize) if recipe.quantize else ""

    def run(self) -> Iterator[Progress]:
        """Do it, step by step.

        Raises
        ------
        LibraryError, OSError
            The store is as it was then, but for blobs.
        """
        if self._recipe.source is not None:
            yield from self._take_over(self._recipe.source.display)
        else:
            yield from self._add_files(self._recipe.files or {})
        yield from self._add_adapters(self._recipe.adapters or {})
        config = configured(self._recipe, self._base, self._weights)
        self._dress(self._defaults())
        yield from self._layers.statuses()
        yield Progress("writing manifest")
        self._store.write(self._recipe.name, self._manifest(config))
        yield Progress("success")

    # --- weights ----------------------------------------------------------------------------------

    def _take_over(self, display: str) -> Iterator[Progress]:
        """All layers of another model; its weights are quantised if that is asked for."""
        manifest = self._source_manifest()
        self._base = self._store.config(manifest)
        for layer in manifest.layers:
            if layer.kind != "model":
                self._layers.keep(replace(layer, source=display))
                continue
            metadata = gguf.read(self._store.blobs.existing(layer.digest))
            if self._wanted and source_type(metadata) != self._wanted:
                source = Source(display, (metadata.path,), layer.digest, metadata)
                yield from self._quantize(source)
            else:
                self._layers.keep(replace(layer, source=display))
                self._weights.append(metadata)

    def _source_manifest(self) -> Manifest:
        """What the model is made from; the bundled one is installed for it."""
        name = self._recipe.source
        assert name is not None
        manifest = self._store.manifests.of(name)
        if manifest is None:
            manifest = self._store.model(name).manifest
        return manifest

    def _add_files(self, files: Mapping[str, str]) -> Iterator[Progress]:
        if kind_of_files(self._store.blobs, files) == "safetensors":
            raise UnknownFileType
        for names in groups(files):
            yield Progress("parsing GGUF")
            yield from self._add(source_of(self._store.blobs, files, names))

    def _add(self, source: Source) -> Iterator[Progress]:
        if layer_kind(source.metadata) != "model":
            self._keep(source, layer_kind(source.metadata))
        elif self._wanted and source_type(source.metadata) != self._wanted:
            yield from self._quantize(source)
        elif source.must_stay:
            self._keep(source, "model")
            self._weights.append(source.metadata)
        else:
            yield from self._rewrite(source, COPY, "validating GGUF model")

    def _add_adapters(self, files: Mapping[str, str]) -> Iterator[Progress]:
        for names in groups(files):
            yield Progress("parsing GGUF")
            self._keep(source_of(self._store.blobs, files, names), "adapter")

    def _keep(self, source: Source, kind: str) -> None:
        """Take a file as it is."""
        self._layers.keep(Layer(f"{LAYER_TYPE}{kind}", source.digest, source.size, source.name))

    def _quantize(self, source: Source) -> Iterator[Progress]:
        told = f"quantizing {source_type(source.metadata)} model to {self._wanted}"
        yield from self._rewrite(source, self._wanted, told)

    def _rewrite(self, source: Source, kind: str, told: str) -> Iterator[Progress]:
        """Have llama.cpp write a new file, and take that."""
        architecture = source.metadata.architecture
        with self._store.blobs.scratch() as target, source.readable() as path:
            for done, total in rewrite(path, target, kind, architecture, self._cancellation):
                yield Progress(told, NO_DIGEST, source.size, source.size * done // max(total, 1))
            yield Progress("verifying conversion")
            self._adopt(target)

    def _adopt(self, file: Path) -> None:
        """Take a file that was written for this model."""
        self._weights.append(gguf.read(self._layers.adopt(file, "model")))

    # --- what is said over them -------------------------------------------------------------------

    def _defaults(self) -> Defaults:
        """What the architecture needs besides, where renderer and parser are open."""
        recipe, base = self._recipe, self._base
        settled = (recipe.renderer or base.renderer) and (recipe.parser or base.parser)
        return Defaults() if settled or not self._weights else defaults_of(self._weights[-1])

    def _dress(self, defaults: Defaults) -> None:
        """The texts and options of the request, each kind in Ollama's order."""
        recipe, layers = self._recipe, self._layers
        if recipe.template:
            layers.replace("template", recipe.template.encode())
        if recipe.system:
            layers.replace("system", recipe.system.encode())
        for text in licenses(recipe.license):
            layers.append("license", text.encode())
        stop = {"stop": list(defaults.stop)} if defaults.stop else {}
        inherited = self._store.parameters(layers.all)
        if parameters := {**inherited, **stop, **recipe.parameters}:
            layers.set_parameters(parameters)
        if recipe.messages:
            layers.replace("messages", gojson.encode(list(recipe.messages)))

    def _manifest(self, config: Config) -> Manifest:
        data = config.encode()
        digest = self._layers.add_config(data)
        return Manifest(Layer(CONFIG_TYPE, digest, len(data)), self._layers.all)


def create(
    store: Store, recipe: Recipe, cancellation: Cancellation | None = None
) -> Iterator[Progress]:
    """Make a model; see `Creation.run`. Checks that need no store are made at once.

    Closing the iterator ends the work; from another thread, while a step is taken, the
    cancellation does.
    """
    recipe.check()
    return Creation(store, recipe, cancellation or Cancellation()).run()
