"""POST /api/blobs/:digest: any size, straight to disk, refused before the body if it must be."""

from __future__ import annotations

from tornado import web

from ollama_nb_server.handlers.base import ApiHandler
from ollama_nb_server.handlers.rights import check_right
from ollama_nb_server.library.blobs import BlobWriter
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import InvalidDigest
from ollama_nb_server.wire.errors import NotAllowed, describe

MAX_BYTES = 1 << 44
DRAINED_BYTES = 1 << 18  # of a refused body; who sends more finds the connection closed


@web.stream_request_body
class Uploading(ApiHandler):
    """Takes a blob's bytes as they come."""

    _writer: BlobWriter | None = None
    _refusal: InvalidDigest | NotAllowed | OSError | None = None
    _drained = 0

    async def prepare(self) -> None:
        """Authenticate, check the digest, and open the file, all before the first byte."""
        await super().prepare()  # type: ignore[misc]
        if self._finished or self.request.method != "POST":
            return
        sharing = (await self.app_context()).settings.sharing
        try:
            check_right(self.route, self.caller, sharing)
        except NotAllowed as error:
            self._refusal = error
            return
        self.request.connection.set_max_body_size(MAX_BYTES)  # type: ignore[union-attr]
        try:
            digest = Digest.parse(self.path_args[0])
        except InvalidDigest as error:
            self._refusal = error  # said after the body: a client that still sends reads nothing
            return
        blobs = (await self.app_context()).store.blobs
        try:
            self._writer = None if blobs.has(digest) else blobs.writer()
        except OSError as error:
            self._refusal = error

    def data_received(self, chunk: bytes) -> None:
        """Hash and write a piece; pieces of a blob that is there already are dropped."""
        if self._writer is not None:
            self._write(self._writer, chunk)
        elif self._refusal is not None and not self._finished:
            self._drained += len(chunk)
            if self._drained > DRAINED_BYTES:
                status, sentence = describe(self._refusal) or (500, str(self._refusal))
                self.refuse(status, sentence)

    def _write(self, writer: BlobWriter, chunk: bytes) -> None:
        """A disk that takes no more is said as soon as the client can hear it."""
        try:
            writer.write(chunk)
        except OSError as error:
            writer.abort()
            self._writer, self._refusal = None, error

    def on_finish(self) -> None:
        """Forget a blob that was not committed; give the connection its old limit back."""
        if self._writer is not None:
            self._writer.abort()
        super().on_finish()

    def on_connection_close(self) -> None:
        """The client went away half-way: nothing stays."""
        if self._writer is not None:
            self._writer.abort()
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
        if self._refusal is not None:
            raise self._refusal
        if self._writer is None:
            return False
        executors = (await self.app_context()).executors
        await executors.write(self._writer.commit, self.path_args[0])
        return True


async def upload(handler: ApiHandler) -> None:
    """Make the blob visible once its digest is known."""
    assert isinstance(handler, Uploading)
    handler.send(b"", None, 201 if await handler.commit() else 200)
