"""Texts in tiles: each whole, alone in its rows, at a place that its own tokens allow."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ollama_nb_server.engine.embeddings.plan import FEW_ROWS, Packing
from ollama_nb_server.engine.embeddings.tile_packing import (
    BLOCK,
    TILE,
    ends_aligned,
    num_rows,
    packed,
)
from ollama_nb_server.engine.embeddings.tile_trial import tiles_alike

TEXTS = st.lists(st.lists(st.integers(0, 999), min_size=1, max_size=200), max_size=60)


def texts_of(lengths: list[int]) -> list[list[int]]:
    ids = random.Random(1)
    return [ids.choices(range(1000), k=length) for length in lengths]


@given(texts=TEXTS, num_tiles=st.integers(1, 4))
@settings(max_examples=60)
def test_every_text_lies_once_where_its_own_tokens_allow_it(texts, num_tiles):
    batches = packed(enumerate(texts), num_tiles)

    places = [place for batch in batches for place in batch]
    assert sorted(place.text for place in places) == list(range(len(texts)))
    for place in places:
        tokens = texts[place.text]
        assert place.length == len(tokens)
        assert not (place.end if ends_aligned(tokens) else place.row) % BLOCK
        assert place.row // TILE == (place.end - 1) // TILE or not place.row % TILE


@given(texts=TEXTS, num_tiles=st.integers(1, 4))
@settings(max_examples=60)
def test_no_two_texts_share_a_row_and_no_batch_is_too_large(texts, num_tiles):
    for batch in packed(enumerate(texts), num_tiles):
        ordered = sorted(batch, key=lambda place: place.row)

        assert all(a.end <= b.row for a, b in itertools.pairwise(ordered))
        assert num_rows(batch) >= TILE
        assert num_rows(batch) <= num_tiles * TILE or len(batch) == 1


def test_a_long_text_is_a_batch_of_its_own_rows():
    batches = packed(enumerate(texts_of([101, 20, 20])), 4)

    assert [(len(batch), num_rows(batch)) for batch in batches] == [(1, 104), (2, TILE)]


@pytest.mark.parametrize("seed", range(3))
def test_few_rows_of_many_texts_stay_empty(seed):
    lengths = random.Random(seed).choices(range(17, 47), k=400)

    batches = packed(enumerate(texts_of(lengths)), 4)

    assert sum(map(num_rows, batches)) < 1.1 * sum(lengths)


# --- pieces ---------------------------------------------------------------------------------------


def packing(num_tiles: int) -> Packing:
    return Packing(14, 60, num_tiles, lambda num_tokens: num_tokens > 1000)


def test_how_a_text_is_computed_depends_on_itself_alone():
    texts = texts_of([4, FEW_ROWS, FEW_ROWS + 1, 64, 300, 1001])

    pieces = packing(4).pieces(texts)

    ways = {place.text: (p.tiled, p.chunked) for p in pieces for place in p.places}
    rows, tiles, chunks = (False, False), (True, False), (False, True)
    assert ways == {0: rows, 1: rows, 2: tiles, 3: tiles, 4: tiles, 5: chunks}


def test_without_tiles_no_batch_of_several_texts_reaches_one():
    pieces = packing(0).pieces(texts_of([30, 31, 29, 60, 61, 5, 5, 70]))

    batches = [sorted(place.length for place in piece.places) for piece in pieces]
    assert sorted(batches) == [[5, 5, 30], [29, 31], [60], [61], [70]]


# --- the trial ------------------------------------------------------------------------------------


class States:
    """Vectors that depend on a text's tokens, and on its row in so far as `seen` says."""

    def __init__(self, seen):
        self._seen = seen

    def compute_tiled(self, placed, num_rows):
        return [np.array(tokens) + self._seen(row) for row, tokens in placed]


@pytest.mark.parametrize(
    ("seen", "alike"),
    [
        (lambda row: 0, True),
        (lambda row: row % BLOCK, True),  # the same sixteen rows, wherever they are
        (lambda row: row % TILE, False),
        (lambda row: row // TILE, False),
    ],
)
def test_a_load_finds_out_whether_a_place_shows_in_a_vector(seen, alike):
    assert tiles_alike(States(seen), 1000, 4) is alike


def test_a_batch_that_was_not_computed_proves_nothing():
    class Aborted:
        def compute_tiled(self, placed, num_rows):
            return None

    assert not tiles_alike(Aborted(), 1000, 4)
