"""Named tokens: who may call a server that has no Hub to ask, in a file that only its owner reads.

The file holds digests: a token is shown once, when it is made. A running server sees a change of
the file within `RECHECK_S` seconds.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ollama_nb_server.sharing.folder import replace_file

FILE = "tokens.json"
PREFIX = "onb_"  # so that whoever finds one knows what it opens
RECHECK_S = 1.0
NAME = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"


class BadTokens(Exception):
    """The file of tokens cannot be used, or a name is none; the text says what to do."""


class Named(BaseModel):
    """A name, what it may do, and the SHA-256 of its token in hexadecimal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME)
    is_admin: bool = False
    groups: frozenset[str] = frozenset()
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    made: datetime


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tokens: list[Named] = []


def digest(token: str) -> str:
    """What the file keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


class TokenFile:
    """The names in one file, to be changed by `ollama-nb token` and looked up by a server."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path, self._clock = path, clock
        self._known: dict[str, Named] = {}
        self._seen: tuple[int, ...] | None = None  # of the file, when it was last read
        self._checked_s = -RECHECK_S

    def all(self) -> list[Named]:
        """Those in the file, as they were added.

        Raises
        ------
        BadTokens
            If it is not what it should be, or others may read it.
        """
        try:
            if self.path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) and os.name != "nt":
                raise BadTokens(f"{self.path} can be read by others: chmod 600 {self.path}")
            return _File.model_validate_json(self.path.read_bytes()).tokens
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise BadTokens(f"{self.path}: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise BadTokens(f"{self.path}: {where}: {first['msg']}") from error

    def add(self, name: str, *, is_admin: bool, groups: frozenset[str] = frozenset()) -> str:
        """Make a token for a name that has none; the token.

        Raises
        ------
        BadTokens
            If the name has one, or is none.
        """
        token = PREFIX + secrets.token_urlsafe(32)
        try:
            made = Named(
                name=name,
                is_admin=is_admin,
                groups=groups,
                sha256=digest(token),
                made=datetime.now(timezone.utc).replace(microsecond=0),
            )
        except ValidationError as error:
            raise BadTokens(
                f"{name!r} is no name: up to 64 letters, digits, dots, dashes, _ and @"
            ) from error
        with self._locked():
            tokens = self.all()
            if any(one.name == name for one in tokens):
                raise BadTokens(f"{name} has a token: `ollama-nb token remove {name}` first")
            self._write([*tokens, made])
        return token

    def remove(self, name: str) -> None:
        """Revoke a name's token.

        Raises
        ------
        BadTokens
            If the name has none.
        """
        with self._locked():
            tokens = self.all()
            left = [one for one in tokens if one.name != name]
            if len(left) == len(tokens):
                raise BadTokens(f"{name} has no token in {self.path}")
            self._write(left)

    def find(self, token: str) -> Named | None:
        """Whose token this is, by the file as it was a moment ago; a broken file knows nobody.

        Raises
        ------
        BadTokens
            As for `all`, when the file has changed.
        """
        self._refresh()
        return self._known.get(digest(token))

    def _refresh(self) -> None:
        now = self._clock()
        if now < self._checked_s + RECHECK_S:
            return
        self._checked_s = now
        try:
            found = self.path.stat()
            times = found.st_mtime_ns, found.st_ctime_ns  # the latter tells of `chmod` too
            seen = *times, found.st_ino, found.st_size
        except OSError:
            seen = None
        if seen != self._seen or seen is None:
            self._known, self._seen = {}, None
            self._known = {one.sha256: one for one in self.all()}
            self._seen = seen

    def _locked(self) -> FileLock:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return FileLock(self.path.with_suffix(".lock"), mode=0o600)

    def _write(self, tokens: list[Named]) -> None:
        replace_file(self.path, _File(tokens=tokens).model_dump_json(indent=2) + "\n")
