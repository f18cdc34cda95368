"""Where the files of the cache are."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Return the folder, which the server on this machine has too: OLLAMA_NB_CACHE, or the user's.

    Nothing is made.
    """
    if named := os.environ.get("OLLAMA_NB_CACHE", "").strip():
        return Path(named).expanduser()
    if caches := os.environ.get("XDG_CACHE_HOME", "").strip():
        return Path(caches) / "ollama-nb"
    from platformdirs import user_cache_path

    return user_cache_path("ollama-nb", appauthor=False)
