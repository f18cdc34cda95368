"""The names of the server's models for tab completion: soon, or not at all.

A key press must not wait for a slow server, start one, or show an error.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FRESH_S = 5.0
PATIENCE_S = 0.5


def of_the_server() -> list[str]:
    """Ask a server that is there already; no server has no names."""
    import httpx
    import ollama

    from ollama_nb.connection.current import without_starting

    try:
        connection = without_starting()
        entries = connection.listed("tags", at_once=True) if connection else []
    except (httpx.HTTPError, ollama.ResponseError, ValueError, OSError):
        return []
    return [str(entry.get("name") or entry.get("model")) for entry in entries]


class KnownNames:
    """Names that are at most a few seconds old, fetched by a thread.

    Parameters
    ----------
    fetch
        Returns the names; may take its time.
    clock
        Seconds; only differences count.
    """

    def __init__(
        self,
        fetch: Callable[[], list[str]] = of_the_server,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._names: list[str] = []
        self._asked_s: float | None = None
        self._thread: threading.Thread | None = None

    def get(self) -> list[str]:
        """Return the names; the last known ones if the server takes longer than the patience."""
        if self._thread is None and not self._is_fresh():
            self._thread = threading.Thread(target=self._run, name="ollama_nb-names", daemon=True)
            self._thread.start()
        if (thread := self._thread) is not None:
            thread.join(PATIENCE_S)
        return self._names

    def _is_fresh(self) -> bool:
        return self._asked_s is not None and self._clock() - self._asked_s < FRESH_S

    def _run(self) -> None:
        try:
            self._names = self._fetch()
        finally:
            self._asked_s = self._clock()
            self._thread = None
