"""A model from the store to its registry: blobs, then the manifest (3.7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from ollama_nb_server.library.manifest import MANIFEST_TYPE, Layer, Manifest
from ollama_nb_server.library.store import Store
from ollama_nb_server.registry.errors import NoManifest
from ollama_nb_server.registry.progress import Progress, told
from ollama_nb_server.registry.session import Session, patiently
from ollama_nb_server.registry.threads import in_thread
from ollama_nb_server.registry.upload import Upload

LOST = "couldn't retrieve manifest"


async def push(store: Store, session: Session) -> AsyncGenerator[Progress, None]:
    """Send what the registry lacks.

    Raises
    ------
    RegistryError
        `NoManifest` if there is no such model here.
    """
    yield Progress("retrieving manifest")
    manifest = await in_thread(store.manifests.of, session.name)
    if manifest is None:
        yield Progress(LOST)
        raise NoManifest("/".join(("manifests", *session.name.parts)))
    for layer in (*manifest.layers, manifest.config):
        async with aclosing(_layer(store, layer, session)) as news:
            async for progress in news:
                yield progress
    yield Progress("pushing manifest")
    await _put_manifest(manifest, session)
    yield Progress("success")


async def _layer(store: Store, layer: Layer, session: Session) -> AsyncGenerator[Progress, None]:
    """News of one blob; the last says that all of it is there."""
    path = store.blobs.existing(layer.digest)
    size = path.stat().st_size
    if not await session.has(layer.digest):
        upload = Upload(session, layer, path, size)
        task = asyncio.ensure_future(upload.run())
        try:
            async with aclosing(told(task, upload.now)) as news:
                async for progress in news:
                    yield progress
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    yield Progress(f"pushing {layer.digest.hex[:12]}", layer.digest.colon, size, size)


async def _put_manifest(manifest: Manifest, session: Session) -> None:
    """In compact form, without the newline that the file ends with."""

    async def put() -> None:
        headers = {"Content-Type": MANIFEST_TYPE}
        data = replace(manifest, owner="").encode().rstrip(b"\n")
        put_at, patience_s = session.manifest_url, session.limits.commit_s
        async with session.request("PUT", put_at, headers, data, silent_s=patience_s):
            pass

    await patiently(put, session.limits.quick_tries, session.limits.pause_s)
