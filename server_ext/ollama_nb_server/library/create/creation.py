"""One create on its way: its layers, gathered step by step, then its config and its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ollama_nb_server.library import convert, gguf, gojson
from ollama_nb_server.library.create.configuring import configured
from ollama_nb_server.library.create.defaults import Defaults, defaults_of
from ollama_nb_server.library.create.layers import Layers
from ollama_nb_server.library.create.progress import NO_DIGEST, Progress
from ollama_nb_server.library.create.recipe import Recipe, licenses
from ollama_nb_server.library.create.rewriting import (
    COPY,
    merge,
    quantization,
    rewrite,
    source_type,
)
from ollama_nb_server.library.create.sources import (
    Source,
    folder_of,
    groups,
    kind_of_files,
    layer_kind,
    same_vocabulary,
    source_of,
)
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import BadDraft
from ollama_nb_server.library.families import detect
from ollama_nb_server.library.jobs import Cancellation
from ollama_nb_server.library.manifest import CONFIG_TYPE, LAYER_TYPE, Config, Layer, Manifest
from ollama_nb_server.library.store import Store

PROJECTOR, DRAFT = "projector", "draft"


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
            yield from self._add_projectors(self._recipe.files or {})
        else:
            yield from self._add_files(self._recipe.files or {})
        yield from self._add_adapters(self._recipe.adapters or {})
        yield from self._add_draft(self._recipe.drafts or {})
        config = configured(self._recipe, self._base, self._weights)
        self._dress(self._defaults())
        yield from self._layers.statuses()
        yield Progress("writing manifest")
        recipe = self._recipe
        self._store.write(recipe.name, self._manifest(config), admit=recipe.admit)
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

    def _add_projectors(self, files: Mapping[str, str]) -> Iterator[Progress]:
        """Projectors beside the model that is taken over, in place of its own."""
        for names in groups({n: d for n, d in files.items() if n.endswith(".gguf")}):
            source = source_of(self._store.blobs, files, names)
            if layer_kind(source.metadata) == PROJECTOR:
                yield Progress("parsing GGUF")
                self._layers.drop(PROJECTOR)
                self._keep(source, PROJECTOR)

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
            yield from self._convert(files)
        else:
            for names in groups(files):
                yield Progress("parsing GGUF")
                yield from self._add(source_of(self._store.blobs, files, names))
        for metadata in self._weights:
            self._add_family(metadata)

    def _add_family(self, metadata: gguf.GGUFMetadata) -> None:
        """The Go template and the stop texts of a chat template that is well known."""
        bos, eos = metadata.token("bos"), metadata.token("eos")
        if family := detect(metadata.chat_template, bos_token=bos, eos_token=eos):
            told = f"using autodetected template {family.name}"
            self._layers.append("template", family.template.encode(), told)
            self._layers.set_parameters({"stop": list(family.stop)})

    def _add(self, source: Source) -> Iterator[Progress]:
        if layer_kind(source.metadata) != "model":
            self._keep(source, layer_kind(source.metadata))
        elif self._wanted and source_type(source.metadata) != self._wanted:
            yield from self._quantize(source)
        elif source.must_stay and len(source.parts) > 1:
            yield from self._merge(source)
        elif source.must_stay:
            self._keep(source, "model")
            self._weights.append(source.metadata)
        else:
            yield from self._rewrite(source, COPY, "validating GGUF model")

    def _convert(self, files: Mapping[str, str]) -> Iterator[Progress]:
        """A model's safetensors folder: written as GGUF, then quantised if that is asked for."""
        kind = self._wanted if self._wanted in convert.TYPES else "F16"
        yield Progress("converting model")
        blobs = self._store.blobs
        with blobs.scratch() as target, folder_of(blobs, files) as folder:
            for done, total in convert.convert(folder, target, kind, self._cancellation):
                yield Progress("converting model", NO_DIGEST, total, done)
            if self._wanted in ("", kind):
                self._adopt(target)
            else:
                metadata = gguf.read(target)
                yield from self._quantize(Source("", (target,), Digest(""), metadata))

    def _convert_adapter(self, files: Mapping[str, str]) -> Iterator[Progress]:
        """A LoRA adapter's safetensors folder."""
        if not self._weights:
            raise convert.CannotConvert("an adapter needs a model: give `from`, or `files` as well")
        base = self._weights[0].path
        yield Progress("converting adapter")
        blobs = self._store.blobs
        with blobs.scratch() as target, folder_of(blobs, files) as folder:
            for done, total in convert.convert_adapter(folder, target, base, self._cancellation):
                yield Progress("converting adapter", NO_DIGEST, total, done)
            self._layers.adopt(target, "adapter")

    def _add_adapters(self, files: Mapping[str, str]) -> Iterator[Progress]:
        if any(name.endswith(".safetensors") for name in files):
            yield from self._convert_adapter(files)
            return
        for names in groups(files):
            yield Progress("parsing GGUF")
            self._keep(source_of(self._store.blobs, files, names), "adapter")

    def _add_draft(self, files: Mapping[str, str]) -> Iterator[Progress]:
        """The model that writes ahead of this one, in place of the one that was taken over."""
        if not files:
            return
        name = next(iter(files))
        if len(files) > 1 or not name.endswith(".gguf"):
            raise BadDraft(name, "a draft model must be one GGUF file")
        yield Progress("parsing GGUF")
        source = source_of(self._store.blobs, files, [name])
        if self._weights and not same_vocabulary(source.metadata, self._weights[-1]):
            raise BadDraft(name, "it has another vocabulary than the model")
        self._layers.drop(DRAFT)
        kind = quantization(self._recipe.draft_quantize) if self._recipe.draft_quantize else ""
        if not kind or source_type(source.metadata) == kind:
            self._keep(source, DRAFT)
            return
        with self._store.blobs.scratch() as target:
            told = f"quantizing draft model to {kind}"
            yield from self._written(source, target, kind, told)
            self._layers.adopt(target, DRAFT)

    def _keep(self, source: Source, kind: str) -> None:
        """Take a file as it is."""
        self._layers.keep(Layer(f"{LAYER_TYPE}{kind}", source.digest, source.size, source.name))

    def _quantize(self, source: Source) -> Iterator[Progress]:
        told = f"quantizing {source_type(source.metadata)} model to {self._wanted}"
        yield from self._rewrite(source, self._wanted, told)

    def _merge(self, source: Source) -> Iterator[Progress]:
        """One file of its parts, tensor by tensor."""
        with self._store.blobs.scratch() as target:
            for done, total in merge(target, source.parts, self._cancellation):
                yield Progress("merging GGUF", NO_DIGEST, total, done)
            self._adopt(target)

    def _rewrite(self, source: Source, kind: str, told: str) -> Iterator[Progress]:
        """Have llama.cpp write a new file, and take that."""
        with self._store.blobs.scratch() as target:
            yield from self._written(source, target, kind, told)
            yield Progress("verifying conversion")
            self._adopt(target)

    def _written(self, source: Source, target: Path, kind: str, told: str) -> Iterator[Progress]:
        architecture = source.metadata.architecture
        with source.readable() as path:
            for done, total in rewrite(path, target, kind, architecture, self._cancellation):
                yield Progress(told, NO_DIGEST, source.size, source.size * done // max(total, 1))

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
        config_layer = Layer(CONFIG_TYPE, digest, len(data))
        return Manifest(config_layer, self._layers.all, self._recipe.owner)


def create(
    store: Store, recipe: Recipe, cancellation: Cancellation | None = None
) -> Iterator[Progress]:
    """Make a model; see `Creation.run`. Checks that need no store are made at once.

    Closing the iterator ends the work; from another thread, while a step is taken, the
    cancellation does.
    """
    recipe.check()
    return Creation(store, recipe, cancellation or Cancellation()).run()
