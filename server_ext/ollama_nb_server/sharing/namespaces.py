"""Where a user's own models are in the store: a namespace made of the user's name.

Names that are namespaces already stay as they are. In all others, whatever else than small letters,
digits and dashes they hold becomes `__` and two hexadecimal digits a byte (`Ana@uni` is
`__41na__40uni`), so that no two users have one namespace, also where cases are folded.
"""

from __future__ import annotations

import hashlib
import re

PLAIN = re.compile(r"[a-z0-9_][a-z0-9_-]{0,79}")
RESERVED = "library"  # of all models that have no namespace
MAX_CHARS = 80


def namespace(user: str) -> str:
    """The namespace of a user's own models."""
    if PLAIN.fullmatch(user) and "__" not in user and user != RESERVED:
        return user
    first = "" if user[:1].isascii() and user[:1].isalnum() and user != RESERVED else user[:1]
    escaped = _escaped(first, "") + _escaped(user[len(first) :], "abcdefghijklmnopqrstuvwxyz-")
    if len(escaped) <= MAX_CHARS:
        return escaped
    return f"__h{hashlib.sha256(user.encode()).hexdigest()}"  # no `__` of the others precedes an h


def user_of(name: str) -> str | None:
    """The user of a namespace; None for one that is too long to say."""
    if name.startswith("__h"):
        return None
    data = re.sub(
        rb"__([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), name.encode()
    )
    return data.decode()


def _escaped(text: str, kept: str) -> str:
    digits = "0123456789" if kept else ""
    return "".join(
        chr(byte) if chr(byte) in kept + digits else f"__{byte:02x}" for byte in text.encode()
    )
