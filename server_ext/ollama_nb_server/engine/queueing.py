"""Whose turn it is to get a slot: persons before programs, then first come.

Of prompts that begin alike, one is computed as far as they do; the others wait for that and take a
copy. Nobody else gets the slot of one who waits so, or he would wait longer than without.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

from ollama_nb_server.engine.prefixes.kv_cache import KVCache
from ollama_nb_server.engine.sequence import Sequence


def admit(waiting: deque[Sequence], kv_cache: KVCache, now_ns: int) -> None:
    """Give free slots to those who wait, and leave no hole among the slots that are used."""
    kv_cache.checkpoint()
    new: list[Sequence] = []
    while waiting and not kv_cache.is_moving:
        sequence = next_for_slot(waiting, kv_cache.num_free, kv_cache.awaits)
        if sequence is None:
            break
        waiting.remove(sequence)
        sequence.began_ns = now_ns
        kv_cache.acquire(sequence)
        new.append(sequence)
    kv_cache.even_out(new)
    kv_cache.close_holes()


def next_for_slot(
    waiting: Iterable[Sequence], num_free: int, awaits: Callable[[Sequence], bool]
) -> Sequence | None:
    """The next to get one of so many free slots, if anybody is to.

    `waiting` are those without a slot, in the order in which they came; `awaits` tells whether one
    had better wait for what another is computing.
    """
    by_turn = sorted(waiting, key=lambda sequence: sequence.priority)
    return next((each for each in islice(by_turn, num_free) if not awaits(each)), None)
