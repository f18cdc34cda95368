"""Which models have a label of their own.

Models come and go by the dozen where people make them, and every series stays for good.
"""

from __future__ import annotations

MAX_MODELS = 50
OTHERS = "(others)"  # no model is called so: names have no brackets


class ModelLabels:
    """The first so many models of a server's life by name, all later ones together."""

    def __init__(self, limit: int = MAX_MODELS) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def __call__(self, model: str) -> str:
        """A model's label, the same every time."""
        if model not in self._known and len(self._known) < self._limit:
            self._known.add(model)
        return model if model in self._known else OTHERS
