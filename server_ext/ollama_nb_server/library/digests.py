"""Digests as values, parsed once at the edge."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ollama_nb_server.library.errors import InvalidDigest

GRAMMAR = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True)
class Digest:
    """A SHA-256, by its 64 hexadecimal digits."""

    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read `sha256:...` or `sha256-...`.

        Raises
        ------
        InvalidDigest
            For anything else.
        """
        match = GRAMMAR.fullmatch(text)
        if match is None:
            raise InvalidDigest(text)
        return cls(match.group(1))

    @property
    def colon(self) -> str:
        """As manifests write it."""
        return f"sha256:{self.hex}"

    @property
    def filename(self) -> str:
        """As the blob's file is called."""
        return f"sha256-{self.hex}"
