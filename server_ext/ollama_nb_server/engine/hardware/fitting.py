"""What of a model fits where: layers on GPUs, slots of its context. Functions of bytes alone.

They are estimates. What they promise and memory does not keep is tried again with less: fewer
slots (`engine`), then fewer layers on the GPUs (`fallbacks`).
"""

from __future__ import annotations

from collections import abc
from collections.abc import Iterator
from dataclasses import dataclass, replace

MAX_PARALLEL = 16
MAX_INT = 2**31 - 1
GIB = 1 << 30
FIRST_SLOTS, FIRST_BYTES = 4, 256 << 20  # of a load; more come when they are needed
GPU_RESERVE = 512 << 20  # bytes of a GPU for its driver, workspaces and the display


@dataclass(frozen=True, slots=True)
class ModelSize:
    """What a model takes in bytes; the output counts as a layer, as llama.cpp counts it."""

    weight_bytes: int
    num_layers: int
    slot_bytes: int  # KV cache of one slot
    compute_bytes: int  # of one batch

    @property
    def layer_bytes(self) -> int:
        """A layer's weights and its part of one slot."""
        return -(-(self.weight_bytes + self.slot_bytes) // self.num_layers)


@dataclass(frozen=True, slots=True)
class Placement:
    """So many layers on GPUs, on the one of this number or (None) spread over all."""

    num_layers: int
    gpu: int | None = None

    def smaller(self) -> Iterator[Placement]:
        """What to try when memory was too short for it: three quarters, a half, ..., nothing."""
        quarters = (3, 2, 1, 0)
        counts = dict.fromkeys(self.num_layers * quarter // 4 for quarter in quarters)
        return (replace(self, num_layers=count) for count in counts if count < self.num_layers)


@dataclass(frozen=True, slots=True)
class SlotRoom:
    """What a slot takes, which part of that on GPUs, and what is free for slots, in bytes."""

    slot_bytes: int
    on_gpu: float
    vram_bytes: int
    host_bytes: int

    @property
    def automatic(self) -> int:
        """Slots where nobody said how many: in half of the GPUs' memory, a quarter of the host's.

        The rest is for vectors of texts, other models and other programs. At least 1, at most 16.
        """
        fitting = min(self._fitting(self.vram_bytes // 2, self.host_bytes // 4), MAX_PARALLEL)
        return max(fitting, 1)

    @property
    def most(self) -> int:
        """Slots that fit at all. 0: not even one, of what the host has.

        A GPU says so itself when it is asked for memory, the host kills whoever uses it.
        """
        return self._fitting(max(self.vram_bytes, self._vram_slot), self.host_bytes)

    @property
    def shortage(self) -> str:
        """What a slot takes, and what is free, where that is least."""
        of_gpu, of_host = self.vram_bytes - self._vram_slot, self.host_bytes - self._host_slot
        slot, free, where = self._host_slot, self.host_bytes, ""
        if self._vram_slot and of_gpu < of_host:
            slot, free, where = self._vram_slot, self.vram_bytes, " on the GPU"
        return f"a context takes {slot / GIB:.2f} GiB, {free / GIB:.2f} GiB are free{where}"

    @property
    def _vram_slot(self) -> int:
        return int(self.slot_bytes * self.on_gpu)

    @property
    def _host_slot(self) -> int:
        return self.slot_bytes - self._vram_slot

    def _fitting(self, vram_bytes: int, host_bytes: int) -> int:
        parts = (vram_bytes, self._vram_slot), (host_bytes, self._host_slot)
        return min(free // slot if slot else MAX_INT for free, slot in parts)


def first_slots(slot_bytes: int, num_slots: int) -> int:
    """With how many of its slots a load begins: a few of small ones, one of large ones."""
    few = max(1, min(FIRST_SLOTS, FIRST_BYTES // max(slot_bytes, 1)))
    return min(few, num_slots)


def halvings(num_slots: int) -> Iterator[int]:
    """Numbers of slots to try one after the other: all, half of them, ..., 1."""
    while num_slots > 1:
        yield num_slots
        num_slots //= 2
    yield 1


def usable(free_bytes: abc.Iterable[int], overhead: int) -> list[int]:
    """What a load may take of each GPU, whose `overhead` is to be left free."""
    return [max(free - GPU_RESERVE - overhead, 0) for free in free_bytes]


def placed(size: ModelSize, room: abc.Sequence[int], wanted: int, *, spread: bool) -> Placement:
    """Where `wanted` layers of a model go on GPUs with `room` bytes each, or as many as fit.

    On one GPU if one has room for them all (the one with the most), unless it is to be spread.
    """
    widest = max(range(len(room)), key=lambda number: room[number])
    if not spread and size.compute_bytes + wanted * size.layer_bytes <= room[widest]:
        return Placement(wanted, widest)
    layers = sum(max(free - size.compute_bytes, 0) // size.layer_bytes for free in room)
    return Placement(min(wanted, layers))
