"""Many texts of a vocabulary at once: where they lie in a window of bytes, found without a loop.

A length below 256 is one byte and seven zeros, which hardly ever occur inside a text. Where each
such place is as far from the one before it as that one says, a loop would find the same places.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LENGTH_BYTES = 8
Places = np.ndarray[Any, np.dtype[np.int64]]


def chain(window: bytes, at: int, count: int) -> tuple[Places, Places]:
    """Where lengths stand and their texts end, from `at` on: `count` of them, or fewer."""
    octets = np.frombuffer(window, np.uint8, offset=at)
    places = _lengths(octets)[:count]
    if not len(places) or places[0] != 0:
        return places[:0], places[:0]
    ends = places + LENGTH_BYTES + octets[places]
    breaks = np.flatnonzero(ends[:-1] != places[1:])
    if len(breaks):
        ends = ends[: breaks[0] + 1]
    ends = ends[ends <= len(octets)]
    return places[: len(ends)] + at, ends + at


def _lengths(octets: np.ndarray[Any, np.dtype[np.uint8]]) -> Places:
    """All places before seven zeros."""
    zero = octets[1:] == 0
    two = zero[:-1] & zero[1:]
    four = two[:-2] & two[2:]
    return np.flatnonzero(four[:-3] & four[3:])


def decoded(window: bytes, places: Places, ends: Places) -> list[str]:
    """The texts of a chain."""
    begin, end = int(places[0]), int(ends[-1])
    octets = np.frombuffer(window, np.uint8, end - begin, begin).copy()
    kept = np.ones(len(octets), bool)
    for i in range(LENGTH_BYTES - 1):
        kept[places - begin + i] = False
    octets[places - begin + LENGTH_BYTES - 1] = 0  # what is left of a length stands between texts
    joined: bytes = octets[kept].tobytes()
    texts = joined.decode("utf-8", "replace").split("\0")[1:]
    if len(texts) == len(places):
        return texts
    pairs = zip(places.tolist(), ends.tolist(), strict=True)  # there is a zero in one
    return [window[a + LENGTH_BYTES : b].decode("utf-8", "replace") for a, b in pairs]
