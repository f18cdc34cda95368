"""Keys of prefixes that are their user's own: nobody else's prompt begins with them.

A token's key is the token itself where the beginning of a prompt is everybody's. Behind that it is
a number that the same token has with no other salt. Without a salt all keys are the tokens.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from functools import lru_cache

_SECRET = secrets.token_bytes(32)  # of this process: nobody can look for names that collide
BELOW = 64  # bits; tokens and what is added to them do not overlap


@lru_cache(maxsize=4096)
def _offset(salt: str) -> int:
    digest = hashlib.blake2b(salt.encode(), digest_size=16, key=_SECRET).digest()
    return (1 + int.from_bytes(digest, "little")) << BELOW


def salted(keys: Iterable[int], salt: str) -> list[int]:
    """The keys as they are with this salt alone."""
    offset = _offset(salt)
    return [key + offset for key in keys]
