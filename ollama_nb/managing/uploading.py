"""Bring local files to the server as blobs: hash them, ask what is there, send what is not.

A file is read in pieces, once to hash it and once more to send it; each piece is a step of
progress.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from ollama_nb.connection.patience import Patience, pause, return_s
from ollama_nb.connection.responses import raise_error
from ollama_nb.errors import UnfitModelFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from ollama_nb.connection.connection import Connection
    from ollama_nb.managing.modelfile.files import ModelFile

    Tell = Callable[[Mapping[str, Any]], None]

PIECE_BYTES = 1 << 20


def uploaded(connection: Connection, files: Iterable[ModelFile], tell: Tell) -> dict[str, str]:
    """Return the digests of files by their names, once the server has them all.

    Raises
    ------
    UnfitModelFile
        For a blob that neither the server nor this machine has.
    ollama.ResponseError, httpx.TransportError
        Meant for `translated`.
    """
    return {file.name: _on_the_server(connection, file, tell) for file in files}


def _on_the_server(connection: Connection, file: ModelFile, tell: Tell) -> str:
    digest = file.digest or _digest(file, tell)
    if not _has(connection, digest):
        _send(connection, file, digest, tell)
    return digest


def _has(connection: Connection, digest: str) -> bool:
    response = connection.http.head(f"/api/blobs/{digest}", timeout=None)
    if response.status_code != 404:
        raise_error(response)
    return response.is_success


def _digest(file: ModelFile, tell: Tell) -> str:
    hasher = hashlib.sha256()
    for piece in _pieces(_path(file), f"hashing {file.name}", tell):
        hasher.update(piece)
    return f"sha256:{hasher.hexdigest()}"


def _send(connection: Connection, file: ModelFile, digest: str, tell: Tell) -> None:
    """Send a file, from its beginning where the server was away for a moment."""
    path, patience = _path(file), Patience()
    while True:
        response = connection.http.post(
            f"/api/blobs/{digest}",
            content=_pieces(path, f"uploading {file.name}", tell),
            headers={"Content-Length": str(path.stat().st_size)},
            timeout=None,
        )
        if (length_s := patience.pause_s(return_s(response))) is None:
            break
        pause.get()(length_s)
    raise_error(response)


def _path(file: ModelFile) -> Path:
    if file.path is None:
        raise UnfitModelFile(f"@{file.digest}", "the server has no such blob")
    return file.path


def _pieces(path: Path, status: str, tell: Tell) -> Iterator[bytes]:
    """Read a file in pieces and tell how far it is."""
    total, done = path.stat().st_size, 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
            done += len(piece)
            tell({"status": status, "total": total, "completed": done})
