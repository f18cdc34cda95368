"""The key that registries know this machine by: Ollama's own, ~/.ollama/id_ed25519 (3.2)."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from ollama_nb_server.registry.errors import UnusableKey

PRIVATE, PUBLIC = "id_ed25519", "id_ed25519.pub"
MODE_PRIVATE, MODE_PUBLIC = 0o600, 0o644


class Identity:
    """Signs with the key in a folder, and makes one when it is first needed. Blocks on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sign(self, text: str) -> str:
        """The value of the header `Authorization`: public key and signature.

        Raises
        ------
        UnusableKey
            If the file is no unencrypted OpenSSH key of the kind ed25519, or cannot be made.
        """
        key = self._key()
        public = _public(key).split(b" ")[1].decode()
        return f"{public}:{base64.b64encode(key.sign(text.encode())).decode()}"

    def _key(self) -> Ed25519PrivateKey:
        path = self._folder / PRIVATE
        try:
            if not path.exists():
                self._create(path)
            key = load_ssh_private_key(path.read_bytes(), None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise UnusableKey(str(path), str(error)) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise UnusableKey(str(path), "its kind is not ed25519")
        return key

    def _create(self, path: Path) -> None:
        """Make a key, unless another process does so at the same moment: then its key counts."""
        self._folder.mkdir(parents=True, exist_ok=True)
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        temporary = self._written(private, MODE_PRIVATE)
        try:
            os.link(temporary, path)  # unlike a rename, it fails where a file is
        except FileExistsError:
            return
        finally:
            temporary.unlink()
        self._written(_public(key) + b"\n", MODE_PUBLIC).replace(self._folder / PUBLIC)

    def _written(self, data: bytes, mode: int) -> Path:
        path = self._folder / f".{PRIVATE}-{secrets.token_hex(8)}"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return path


def _public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
