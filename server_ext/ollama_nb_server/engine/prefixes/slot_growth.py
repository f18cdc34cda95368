"""All slots when sequences wait for one: a load begins with few, since few are often enough.

How many is `hardware.fitting`'s affair. What lies in the slots is copied bit for bit into a larger
context.
"""

from __future__ import annotations

import sys
from collections import abc
from collections.abc import Callable
from typing import Protocol

from ollama_nb_server.engine.errors import EngineError
from ollama_nb_server.engine.hardware.fitting import SlotRoom
from ollama_nb_server.engine.prefixes.kv_cache import KVCache


class GrowingMemory(Protocol):
    """The memory of a context (natively: `native.Context`)."""

    def grow(self, num_seqs: int, occupied: abc.Sequence[int]) -> None:
        """Have slots for more sequences; an error leaves everything as it is."""


class SlotGrowth:
    """Grows one context up to `most` slots, as far as `room` says that there is memory."""

    def __init__(
        self, memory: GrowingMemory, kv_cache: KVCache, most: int, room: Callable[[], SlotRoom]
    ) -> None:
        self._memory, self._kv_cache, self._most, self._room = memory, kv_cache, most, room

    def grow(self, num_waiting: int) -> None:
        """Have all slots if fewer are free than sequences wait, and nothing moves in memory.

        That is a pause for those who are served, so it comes once, whatever has come of it.
        """
        slots, missing = self._kv_cache.num_slots, num_waiting - self._kv_cache.num_free
        if missing <= 0 or slots >= self._most or not self._kv_cache.is_settled:
            return
        wanted = min(self._most, self._room().most)
        grows = wanted > slots and self._has_grown(wanted)
        self._most = self._kv_cache.num_slots = wanted if grows else slots

    def _has_grown(self, wanted: int) -> bool:
        try:
            self._memory.grow(wanted, self._kv_cache.occupied)
        except EngineError as error:
            sys.stderr.write(f"no more slots than {self._kv_cache.num_slots}: {error}\n")
            return False
        return True
