"""Ollama's REST API as a Jupyter Server extension and as a stand-alone server.

Rooms, data flowing downwards: app and standalone, handlers, answering, wire, then scheduling,
prompts, library and engine. The kernel side is the package `ollama_nb`; only HTTP lies between.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any


def require_engine() -> None:
    """Look for the engine without importing it: only the workers do that.

    Raises
    ------
    ModuleNotFoundError
        If it is not installed.
    """
    if find_spec("llama_cpp") is None:
        raise ModuleNotFoundError("No module named 'llama_cpp'")


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """What Jupyter asks for; the import is paid only in a Jupyter server."""
    from ollama_nb_server.app import OllamaNb

    return [{"module": "ollama_nb_server", "app": OllamaNb}]
