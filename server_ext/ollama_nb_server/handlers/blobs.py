"""POST /api/blobs/:digest: any size, straight to disk, refused before the body if it must be."""

from __future__ import annotations

from tornado import web

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.belongings import Allowance
from ollama_nb_server.handlers.base import ApiHandler
from ollama_nb_server.handlers.rights import check_right
from ollama_nb_server.library.blobs import BlobWriter
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import InvalidDigest, StoreLocked
from ollama_nb_server.wire.errors import NoRoomOfTheirOwn, NotAllowed, describe

MAX_BYTES = 1 << 44
DRAINED_BYTES = 1 << 18  # of a refused body; who sends more finds the connection closed
DRAINED_OF_USERS_BYTES = 1 << 26  # so that who has no room for it reads what to delete


@web.stream_request_body
class Uploading(ApiHandler):
    """Takes a blob's bytes as they come."""

    _writer: BlobWriter | None = None
    _refusal: Exception | None = None
    _drained = 0
    _allowance: Allowance | None = None  # of a user who does not manage
    _taken = 0

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
        app = await self.app_context()
        if not self.caller.manages and not await self._has_room(app):
            return
        # A user shows that the bytes are theirs, also where they are there already.
        is_known = self.caller.manages and app.store.blobs.has(digest)
        try:
            self._writer = None if is_known else app.store.blobs.writer()
        except OSError as error:
            self._refusal = error

    async def _has_room(self, app: AppContext) -> bool:
        """Whether a user may upload what is announced."""
        self._allowance = allowance = app.allowance(self.caller)
        allowance.uploads.begin(self.caller.name, self)
        try:
            self._taken = await app.executors.write(allowance.taken)
            announced = int(self.request.headers.get("Content-Length", "0"))
            await app.executors.read(allowance.require_room, announced, self._taken)
        except (NoRoomOfTheirOwn, StoreLocked, OSError) as error:
            self._refusal = error
        return self._refusal is None

    def _check_room(self, num_bytes: int) -> None:
        """Refuse what is more than was announced, or too much beside what comes meanwhile."""
        if self._allowance is None or self._writer is None:
            return
        come = self._allowance.uploads.grow(self.caller.name, self, num_bytes)
        try:
            self._allowance.require_room(come, self._taken)
        except NoRoomOfTheirOwn as error:
            self._writer.abort()
            self._writer, self._refusal = None, error

    def _end_upload(self) -> None:
        if self._writer is not None:
            self._writer.abort()
        if self._allowance is not None:
            self._allowance.uploads.end(self.caller.name, self)

    def data_received(self, chunk: bytes) -> None:
        """Hash and write a piece; pieces of a blob that is there already are dropped."""
        self._check_room(len(chunk))
        if self._writer is not None:
            self._write(self._writer, chunk)
        elif self._refusal is not None and not self._finished:
            self._drained += len(chunk)
            of_users = isinstance(self._refusal, NoRoomOfTheirOwn)
            if self._drained > (DRAINED_OF_USERS_BYTES if of_users else DRAINED_BYTES):
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
        if self._refusal is not None:
            raise self._refusal
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
