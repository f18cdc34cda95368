"""What fits where, by estimated bytes: tables, and what holds for any of them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_nb_server.engine.hardware.fitting import (
    GPU_RESERVE,
    MAX_PARALLEL,
    ModelSize,
    Placement,
    SlotRoom,
    halvings,
    placed,
    usable,
)

GIB = 1 << 30
MODEL = ModelSize(weight_bytes=4 * GIB, num_layers=33, slot_bytes=GIB // 2, compute_bytes=GIB // 2)


@pytest.mark.parametrize(
    ("slot", "on_gpu", "vram", "host", "automatic", "most"),
    [
        (GIB, 0.0, 0, 16 * GIB, 4, 16),  # a quarter of the host's
        (1000, 0.0, 0, 16 * GIB, 16, 16 * GIB // 1000),
        (16 * GIB, 0.0, 0, 8 * GIB, 1, 0),
        (GIB, 1.0, 16 * GIB, 0, 8, 16),  # half of the GPU's, nothing of the host's
        (GIB, 1.0, 0, 64 * GIB, 1, 1),  # a GPU says itself that it has no room
        (GIB, 0.5, 2 * GIB, 64 * GIB, 2, 4),
        (GIB, 0.5, 64 * GIB, 2 * GIB, 1, 4),
    ],
)
def test_slots_are_counted_where_they_lie(
    slot: int, on_gpu: float, vram: int, host: int, automatic: int, most: int
) -> None:
    room = SlotRoom(slot, on_gpu, vram, host)

    assert (room.automatic, room.most) == (automatic, most)


def test_a_model_without_a_cache_of_tokens_has_as_many_slots_as_there_may_be() -> None:
    assert SlotRoom(0, 0.0, 0, 0).automatic == MAX_PARALLEL


@pytest.mark.parametrize(
    ("on_gpu", "where"), [(0.0, "2.00 GiB, 1.00 GiB are free"), (1.0, "on the GPU")]
)
def test_a_shortage_says_what_is_needed_and_what_is_free(on_gpu: float, where: str) -> None:
    assert SlotRoom(2 * GIB, on_gpu, GIB, GIB).shortage.endswith(where)


@pytest.mark.parametrize(
    ("room", "wanted", "spread", "placement"),
    [
        ([6 * GIB], 33, False, Placement(33, 0)),
        ([2 * GIB, 6 * GIB], 33, False, Placement(33, 1)),  # the one with the most
        ([8 * GIB, 8 * GIB], 33, True, Placement(33)),
        ([4 * GIB, 2 * GIB], 33, False, Placement(33)),  # together they have room
        ([2 * GIB + GIB // 2], 33, False, Placement(14)),
        ([5 * GIB], 10, False, Placement(10, 0)),
        ([GIB // 4], 33, False, Placement(0)),
        ([0, 0], 33, True, Placement(0)),
    ],
)
def test_layers_go_where_they_fit(
    room: list[int], wanted: int, spread: bool, placement: Placement
) -> None:
    assert placed(MODEL, room, wanted, spread=spread) == placement


def test_a_gpu_keeps_its_reserve_and_what_the_administrator_wants_free() -> None:
    assert usable([8 * GIB, GIB], overhead=GIB) == [7 * GIB - GPU_RESERVE, 0]


@given(st.integers(0, 200))
def test_each_attempt_is_smaller_and_the_last_has_nothing_on_a_gpu(num_layers: int) -> None:
    counts = [num_layers, *(less.num_layers for less in Placement(num_layers, 0).smaller())]

    assert counts == sorted(set(counts), reverse=True)
    assert counts[-1] == 0
    assert len(counts) <= 5


@given(st.integers(1, 300))
def test_slots_are_halved_to_one(num_slots: int) -> None:
    counts = list(halvings(num_slots))

    assert (counts[0], counts[-1]) == (num_slots, 1)
    assert all(later == sooner // 2 for sooner, later in pairwise(counts))


@given(
    st.lists(st.integers(0, 100 * GIB), min_size=1, max_size=4), st.integers(0, 33), st.booleans()
)
def test_what_is_placed_fits(room: list[int], wanted: int, spread: bool) -> None:
    where = placed(MODEL, room, wanted, spread=spread)
    taken = where.num_layers * MODEL.layer_bytes

    assert 0 <= where.num_layers <= wanted
    assert taken <= (sum(room) if where.gpu is None else room[where.gpu])
    assert not (spread and where.gpu is not None)
