"""POST /api/blobs/:digest: any size, straight to disk, refused before the body if it must be."""

from __future__ import annotations

from collections.abc import Awaitable

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.belongings import Allowance
from ollama_nb_server.handlers.base import ApiHandler
from ollama_nb_server.library.blobs import BlobWriter
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.wire.errors import NoRoomOfTheirOwn

LINGER_OF_USERS_S, LINGER_OF_USERS_BYTES = 30.0, 1 << 26  # who has no room reads what to delete


class Uploading(ApiHandler):
    """Takes a blob's bytes as they come."""

    _writer: BlobWriter | None = None
    _allowance: Allowance | None = None  # of a user who does not manage
    _taken = 0

    async def expect_body(self) -> None:
        """Check the digest and the room, and open the file, all before the first byte."""
        if self.request.method != "POST":
            await super().expect_body()
            return
        digest = Digest.parse(self.path_args[0])
        app = await self.app_context()
        if not self.caller.manages:
            await self._find_room(app)
        # A user shows that the bytes are theirs, also where they are there already.
        is_known = self.caller.manages and app.store.blobs.has(digest)
        self._writer = None if is_known else app.store.blobs.writer()

    async def _find_room(self, app: AppContext) -> None:
        """See that a user may upload what is announced."""
        self.linger_s, self.linger_bytes = LINGER_OF_USERS_S, LINGER_OF_USERS_BYTES
        self._allowance = allowance = app.allowance(self.caller)
        allowance.uploads.begin(self.caller.name, self)
        self._taken = await app.executors.write(allowance.taken)
        announced = self.announced_bytes or 0
        await app.executors.read(allowance.require_room, announced, self._taken)

    def _check_room(self, num_bytes: int) -> None:
        """Refuse what is more than was announced, or too much beside what comes meanwhile."""
        if self._allowance is not None:
            come = self._allowance.uploads.grow(self.caller.name, self, num_bytes)
            self._allowance.require_room(come, self._taken)

    def _end_upload(self) -> None:
        if self._writer is not None:
            self._writer.abort()
        if self._allowance is not None:
            self._allowance.uploads.end(self.caller.name, self)

    def take(self, chunk: bytes) -> Awaitable[None] | None:
        """Hash and write a piece; pieces of a blob that is there already are dropped."""
        if self._writer is None:
            return super().take(chunk) if self.request.method != "POST" else None
        try:
            self._check_room(len(chunk))
            self._writer.write(chunk)
        except (NoRoomOfTheirOwn, OSError) as error:
            self._writer.abort()
            self._writer = None
            self._refuse_for(error)
        return None

    def on_finish(self) -> None:
        """Forget a blob that was not committed."""
        self._end_upload()
        super().on_finish()

    def on_connection_close(self) -> None:
        """The client went away half-way: nothing stays."""
        self._end_upload()
        super().on_connection_close()

    async def commit(self) -> bool:
        """Make the blob visible under its digest; tells whether it is new.

        Raises
        ------
        InvalidDigest, DigestMismatch
            If the path names no digest, or another one than the bytes have.
        OSError
            If the bytes could not be stored.
        """
        if self._writer is None:
            return False
        app = await self.app_context()
        digest = await app.executors.write(self._writer.commit, self.path_args[0])
        if not self.caller.manages:
            app.uploads.end(self.caller.name, self)
            app.uploads.add(self.caller.name, digest.hex, self._writer.size)
        return True


async def upload(handler: ApiHandler) -> None:
    """Make the blob visible once its digest is known."""
    assert isinstance(handler, Uploading)
    handler.send(b"", None, 201 if await handler.commit() else 200)
