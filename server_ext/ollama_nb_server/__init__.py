"""Ollama's REST API as a Jupyter Server extension and as a stand-alone server.

Rooms, data flowing downwards: app and standalone, handlers, answering, wire, then scheduling,
prompts, library and engine. The kernel side is the package `ollama_nb`; only HTTP lies between.
"""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """What Jupyter asks for; the import is paid only in a Jupyter server."""
    from ollama_nb_server.app import OllamaNb

    return [{"module": "ollama_nb_server", "app": OllamaNb}]
