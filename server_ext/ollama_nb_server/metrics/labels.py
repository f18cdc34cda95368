"""Which models, or users, have a label of their own.

Models come and go by the dozen where people make them, and every series stays for good.
"""

from __future__ import annotations

MAX_NAMES = 50
OTHERS = "(others)"  # no model and no user is called so: names have no brackets


class Labels:
    """The first so many names of a server's life, all later ones together."""

    def __init__(self, limit: int = MAX_NAMES) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def __call__(self, name: str) -> str:
        """A name's label, the same every time."""
        if name not in self._known and len(self._known) < self._limit:
            self._known.add(name)
        return name if name in self._known else OTHERS
