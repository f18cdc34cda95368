"""A model out of a registry: manifest, blobs, verification, manifest into the store (3.3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

from ollama_nb_server.library.errors import BlobVanished, StoreBroken
from ollama_nb_server.library.manifest import MANIFEST_TYPE, Layer, Manifest
from ollama_nb_server.library.store import Store
from ollama_nb_server.registry.download import Download
from ollama_nb_server.registry.downloads import Downloads
from ollama_nb_server.registry.errors import (
    ManifestUnavailable,
    NeedsMLX,
    NotAManifest,
    RegistryError,
)
from ollama_nb_server.registry.progress import Progress, told
from ollama_nb_server.registry.session import Session, patiently
from ollama_nb_server.registry.threads import STORE, in_thread

VANISHED_TRIES = 3  # a blob may be deleted, with another model, before our manifest holds it


async def pull(
    store: Store, downloads: Downloads, session: Session
) -> AsyncGenerator[Progress, None]:
    """Bring a model into the store, its manifest last; what was there before stays until then.

    Raises
    ------
    RegistryError
        In the words of Ollama where it has any.
    BlobVanished
        If other models' deletion takes our blobs away again and again.
    """
    yield Progress("pulling manifest")
    data, manifest = await _manifest(session)
    for last in (*[False] * (VANISHED_TRIES - 1), True):
        async with AsyncExitStack() as followed:
            running: list[Download] = []
            for layer in _layers(manifest):
                lines = _layer(store, downloads, layer, session, followed, running)
                async with aclosing(lines) as news:
                    async for progress in news:
                        yield progress
            yield Progress("verifying sha256 digest")
            await _verified(running)
            yield Progress("writing manifest")
            try:
                removed = await in_thread(store.write, session.name, manifest, data, executor=STORE)
                break
            except BlobVanished:
                if last:
                    raise
    if removed:
        yield Progress("removing unused layers")
    yield Progress("success")


async def _verified(running: list[Download]) -> None:
    """Wait for all, also if one fails: the blobs that are right are kept."""
    if running:
        await asyncio.wait({download.task for download in running})
    for download in running:
        await download.verified()


async def _manifest(session: Session) -> tuple[bytes, Manifest]:
    limits = session.limits

    async def ask() -> bytes:
        headers = {"Accept": MANIFEST_TYPE}
        return await session.text("GET", session.manifest_url, headers, limits.max_manifest_bytes)

    try:
        data = await patiently(ask, limits.quick_tries, limits.pause_s)
        manifest = Manifest.decode(data)
    except StoreBroken as error:
        raise ManifestUnavailable(NotAManifest(str(error))) from error
    except RegistryError as error:
        raise ManifestUnavailable(error) from error
    if any(layer.kind == "tensor" for layer in manifest.layers):
        raise NeedsMLX
    return data, manifest


def _layers(manifest: Manifest) -> list[Layer]:
    """Layers and config in order, each blob once."""
    return list({layer.digest: layer for layer in (*manifest.layers, manifest.config)}.values())


async def _layer(
    store: Store,
    downloads: Downloads,
    layer: Layer,
    session: Session,
    followed: AsyncExitStack,
    running: list[Download],
) -> AsyncGenerator[Progress, None]:
    """News of one blob; one that is there already is trusted, and takes one line."""
    status = f"pulling {layer.digest.hex[:12]}"
    path = store.blobs.path(layer.digest)
    if await in_thread(path.exists):
        size = (await in_thread(store.blobs.existing, layer.digest)).stat().st_size
        yield Progress(status, layer.digest.colon, size, size)
        return
    download = await followed.enter_async_context(downloads.joined(layer, session))
    running.append(download)
    async with aclosing(told(download.transferred, download.now)) as news:
        async for progress in news:
            yield progress
    if download.task.done():
        await download.verified()
    yield Progress(status, layer.digest.colon, layer.size, layer.size)
