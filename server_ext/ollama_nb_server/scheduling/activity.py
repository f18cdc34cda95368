"""What goes on in the server at this moment, model by model, for who watches it."""

from __future__ import annotations

from dataclasses import dataclass

from ollama_nb_server.engine.messages import EngineStats


@dataclass(frozen=True, slots=True)
class ModelActivity:
    """Requests that run and wait for a model, and what its worker tells, if it has one.

    A model is loaded once for all names of its weights, and shown by the one that it was loaded by.
    """

    model: str
    num_running: int = 0
    num_waiting: int = 0
    size_bytes: int = 0
    stats: EngineStats | None = None
