"""Which reserved texts of a prompt are somebody's words, told from the same prompt with marks.

Most templates make the same text of marked contents, but for the marks. One that compares contents,
or counts their letters, may not: then the two texts are laid side by side.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import SequenceMatcher

from ollama_nb_server.prompts.marks import forms
from ollama_nb_server.prompts.reserved import TextFinder

MAX_UNITS = 128  # that are compared with each other: it takes time by their number's third power


def aligned(
    plain: str, shown: str, mark: str, finder: TextFinder, found: Collection[str]
) -> frozenset[int]:
    """Where reserved texts begin in a prompt that are somebody's words.

    Parameters
    ----------
    plain
        The prompt.
    shown
        The same with marks, or what has become of it.
    found
        The reserved texts that are in the contents: where nothing tells whether one of these is the
        template's or not, it is not.
    """
    unmarked, places = without_marks(shown, mark)
    if unmarked == plain:
        return places
    return _side_by_side(_units(plain, finder), _units(unmarked, finder), places, found)


def without_marks(shown: str, mark: str) -> tuple[str, frozenset[int]]:
    """A text without its marks, and the places of the letters that had one behind them."""
    if not mark:
        return shown, frozenset()
    parts = re.split("|".join(map(re.escape, forms(mark))), shown)
    places, length = set(), 0
    for part in parts[:-1]:
        length += len(part)
        places.add(length - 1)
    return "".join(parts), frozenset(places)


@dataclass(frozen=True, slots=True)
class _Unit:
    """A reserved text, or what is between two of them."""

    text: str
    start: int
    reserved: bool


def _units(text: str, finder: TextFinder) -> list[_Unit]:
    units, done = [], 0
    for start, length in finder.starts(text):
        if start < done:
            continue
        units.append(_Unit(text[done:start], done, False))
        units.append(_Unit(text[start : start + length], start, True))
        done = start + length
    return [*units, _Unit(text[done:], done, False)]


def _side_by_side(
    plain: list[_Unit], shown: list[_Unit], places: frozenset[int], found: Collection[str]
) -> frozenset[int]:
    twins = _twins([unit.text for unit in plain], [unit.text for unit in shown])
    return frozenset(
        unit.start
        for at, unit in enumerate(plain)
        if unit.reserved
        and (shown[twins[at]].start in places if at in twins else unit.text in found)
    )


def _twins(plain: list[str], shown: list[str]) -> dict[int, int]:
    """Which parts of two lists are the same: their beginnings, their ends, and what is between."""
    least = min(len(plain), len(shown))
    before = next((n for n in range(least) if plain[n] != shown[n]), least)
    rest = range(least - before)
    behind = next((n for n in rest if plain[-1 - n] != shown[-1 - n]), len(rest))
    twins = {n: n for n in range(before)}
    twins |= {len(plain) - 1 - n: len(shown) - 1 - n for n in range(behind)}
    ours, theirs = plain[before : len(plain) - behind], shown[before : len(shown) - behind]
    if max(len(ours), len(theirs)) <= MAX_UNITS:
        matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
        for block in matcher.get_matching_blocks():
            twins |= {before + block.a + n: before + block.b + n for n in range(block.size)}
    return twins
