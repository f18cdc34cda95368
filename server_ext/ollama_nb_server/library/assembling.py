"""Puts models together: a whole one, of which every part must be there, or an entry of the list."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from ollama_nb_server.library.capabilities import capabilities, uses_jinja
from ollama_nb_server.library.details import details
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import LibraryError, ModelNotFound, RemoteModel
from ollama_nb_server.library.manifest import Config, Manifest
from ollama_nb_server.library.manifests import Written
from ollama_nb_server.library.model import Entry, Model
from ollama_nb_server.library.parts import Parts

# Where Go's JSON decoder has filled its buffer: it has not seen a newline behind that (2.7).
DECODER_BYTES = frozenset({256, 512, 1024, 2048, 4096})
Part = TypeVar("Part")


def digest_of(data: bytes) -> str:
    """SHA-256 of a manifest as Go's JSON decoder reads it, which is how Ollama names a model."""
    text = data.removesuffix(b"\n")
    return hashlib.sha256(text if len(text) in DECODER_BYTES else data).hexdigest()


def whole(parts: Parts, written: Written, asked: str) -> Model:
    """A model with all its parts; `asked` is its name as it was sent.

    Raises
    ------
    RemoteModel, ModelNotFound
        If it has no weights: it stands for one in the cloud, or is none.
    BlobNotFound, StoreBroken
        If a part is missing or broken.
    """
    manifest, config = written.manifest, parts.config(written.manifest)
    layers = manifest.of_kind("model")
    if not layers:
        if config.remote_host or config.remote_model:
            raise RemoteModel(written.name.display)
        raise ModelNotFound(asked, written.name.display)
    weights = layers[-1]
    metadata = parts.metadata(weights.digest)
    template = _last_text(parts, manifest, "template", "prompt")
    projectors = [parts.metadata(digest) for digest in _digests(manifest, "projector")]
    chosen = parts.go_template
    return Model(
        name=written.name,
        digest=digest_of(written.data),
        modified_at=written.modified_at,
        manifest=manifest,
        config=config,
        weights=parts.blobs.existing(weights.digest),
        weights_digest=weights.digest,
        metadata=metadata,
        details=details(manifest, config, metadata),
        capabilities=capabilities(
            config, metadata, template=template, projectors=projectors, go_template=chosen
        ),
        parent=weights.source,
        adapters=parts.paths(manifest, "adapter"),
        drafts=parts.paths(manifest, "draft"),
        projectors=parts.paths(manifest, "projector"),
        projector=projectors[0] if projectors else None,
        template=template,
        uses_jinja=uses_jinja(config, template, metadata.chat_template, go_template=chosen),
        system=_last_text(parts, manifest, "system") or "",
        parameters=parts.parameters(manifest.layers),
        messages=parts.messages(manifest),
        licenses=parts.texts(manifest, "license"),
    )


def entry(parts: Parts, written: Written) -> tuple[Entry, list[str]]:
    """A model as the list shows it, and what is wrong with it.

    As in Ollama, a part that is missing or broken adds nothing, and hides no model.
    """
    wrong: list[str] = []

    def spared(read: Callable[[], Part]) -> Part | None:
        try:
            return read()
        except (LibraryError, OSError) as error:
            wrong.append(str(error))
            return None

    manifest = written.manifest
    config = spared(lambda: parts.config(manifest)) or Config()
    headers = [spared(partial(parts.metadata, d)) for d in _last(manifest, "model")]
    projectors = [spared(partial(parts.metadata, d)) for d in _digests(manifest, "projector")]
    template = spared(lambda: _last_text(parts, manifest, "template", "prompt"))
    header = headers[0] if headers else None
    made = Entry(
        name=written.name,
        digest=digest_of(written.data),
        modified_at=written.modified_at,
        size=manifest.size,
        config=config,
        details=details(manifest, config, header),
        capabilities=capabilities(
            config,
            header,
            template=template,
            projectors=projectors,
            go_template=parts.go_template,
        ),
        owner=manifest.owner_of(written.name),
    )
    return made, wrong


def headers_of(manifest: Manifest) -> list[Digest]:
    """The GGUF blobs that an entry is read from."""
    return _last(manifest, "model") + _digests(manifest, "projector")


def _digests(manifest: Manifest, *kinds: str) -> list[Digest]:
    return [layer.digest for layer in manifest.of_kind(*kinds)]


def _last(manifest: Manifest, *kinds: str) -> list[Digest]:
    """The layer that counts where there are several, if there is one."""
    return _digests(manifest, *kinds)[-1:]


def _last_text(parts: Parts, manifest: Manifest, *kinds: str) -> str | None:
    texts = [parts.text(digest) for digest in _last(manifest, *kinds)]
    return texts[0] if texts else None
