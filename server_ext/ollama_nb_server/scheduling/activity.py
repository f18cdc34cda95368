"""What goes on in the server at this moment, model by model, for who watches it."""

from __future__ import annotations

from dataclasses import dataclass

from ollama_nb_server.engine.messages import EngineStats, Loaded


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


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """What a loaded model takes: weights, slots of one size each, and buffers beside them.

    A slot holds one sequence, or idle what was computed of an earlier one; more are made, up to
    `max_slots`, when sequences wait for one. Copies of prefixes lie on the host and come on top.
    """

    weight_bytes: int
    slot_bytes: int
    num_slots: int
    max_slots: int
    num_live: int
    num_idle: int
    buffer_bytes: int
    prefix_bytes: int

    @classmethod
    def of(cls, info: Loaded, stats: EngineStats, num_slots: int, size_bytes: int) -> ModelMemory:
        """What a worker's words come to, which has by now so many slots and takes so much."""
        slots_bytes = num_slots * info.slot_bytes
        return cls(
            weight_bytes=info.weight_bytes,
            slot_bytes=info.slot_bytes,
            num_slots=num_slots,
            max_slots=max(info.num_parallel + info.num_express, num_slots),
            num_live=stats.num_live,
            num_idle=stats.num_idle,
            buffer_bytes=max(size_bytes - info.weight_bytes - slots_bytes, 0),
            prefix_bytes=stats.prefix_bytes,
        )
