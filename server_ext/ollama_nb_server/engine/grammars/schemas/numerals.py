"""How many digits a number of a JSON answer has: bounded, where its grammar would let it run on.

What a number may be at all is decided in `rewriting`; which tokens fit it, by llguidance.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from ollama_nb_server.engine.native import Ints


class Part(Enum):
    """Where one is in a JSON text, as far as digits are concerned."""

    OUTSIDE = 0
    TEXT = 1
    ESCAPE = 2
    WHOLE = 3
    FRACTION = 4
    EXPONENT = 5


# As llama.cpp's grammars have it, but for the exponent: 10^99 is finite for all that read JSON.
MOST_DIGITS = {Part.WHOLE: 16, Part.FRACTION: 16, Part.EXPONENT: 2}
DIGITS = frozenset(b"0123456789")
NEXT = {  # within a number, from any part to the next
    ord("."): Part.FRACTION,
    ord("e"): Part.EXPONENT,
    ord("E"): Part.EXPONENT,
}
STARTS = frozenset(b"0123456789-")
NEWLINE = ord("\n")  # never within a text of JSON: what a tag holds begins anew behind one
LETTER = b"z"  # follows no digit of JSON: where it may, a text is written that is not JSON
BEGINNING = re.compile(rb"[.eE+-]*[0-9][0-9.eE+-]*")


@dataclass(frozen=True, slots=True)
class NumeralState:
    """A place in a JSON text: the part of it, and how many digits this part has so far."""

    part: Part = Part.OUTSIDE
    digits: int = 0

    def behind(self, data: bytes) -> NumeralState:
        """The place behind more of the text."""
        place = self
        for byte in data:
            place = place._behind(byte)
        return place

    def _behind(self, byte: int) -> NumeralState:
        if self.part is Part.ESCAPE:
            return NumeralState(Part.TEXT)
        if byte == NEWLINE:
            return NumeralState()
        if self.part is Part.TEXT:
            return NumeralState(
                {ord('"'): Part.OUTSIDE, ord("\\"): Part.ESCAPE}.get(byte, Part.TEXT)
            )
        if self.part is not Part.OUTSIDE:
            if byte in DIGITS:
                return replace(self, digits=min(self.digits, MOST_DIGITS[self.part]) + 1)
            if byte in NEXT:
                return NumeralState(NEXT[byte])
            if byte in b"+-":
                return self
        if byte in STARTS:
            return NumeralState(Part.WHOLE, int(byte in DIGITS))
        return NumeralState(Part.TEXT if byte == ord('"') else Part.OUTSIDE)

    def overruns(self, data: bytes) -> bool:
        """Whether more of the text gives the number that is being written too many digits."""
        place = self
        for byte in data:
            place = place._behind(byte)
            if place.part not in MOST_DIGITS:
                return False
            if place.digits > MOST_DIGITS[place.part]:
                return True
        return False


class Numerals:
    """Of a vocabulary, the tokens that would make a number too long; kept for each place."""

    def __init__(self, vocabulary: Sequence[bytes], mask_words: int) -> None:
        self._vocabulary, self._mask_words = vocabulary, mask_words
        self._beginnings: dict[bytes, list[int]] = {}  # of tokens that can go on in a number
        for token, data in enumerate(vocabulary):
            beginning = BEGINNING.match(data)
            if beginning:
                self._beginnings.setdefault(beginning[0], []).append(token)
        self._masks: dict[NumeralState, Ints | None] = {}
        self._letter = vocabulary.index(LETTER) if LETTER in vocabulary else -1

    def place(self, place: NumeralState, token: int) -> NumeralState:
        """The place behind a token."""
        known = 0 <= token < len(self._vocabulary)
        return place.behind(self._vocabulary[token]) if known else place

    def narrow(self, place: NumeralState, mask: Ints) -> None:
        """Take the tokens out of a mask that run on, unless no other is left."""
        if place.part in MOST_DIGITS and not self._free(mask):
            if place not in self._masks:
                self._masks[place] = self._mask(place)
            running_on = self._masks[place]
            if running_on is not None:
                left = mask & ~running_on
                mask[:] = left if left.any() else mask

    def _free(self, mask: Ints) -> bool:
        word, bit = divmod(self._letter, 32)
        return self._letter >= 0 and bool(mask[word] >> bit & 1)

    def _mask(self, place: NumeralState) -> Ints | None:
        """Bits of the tokens that run on, 32 to a word; None if there are none."""
        bits = np.zeros(self._mask_words * 32, np.uint8)
        for beginning, tokens in self._beginnings.items():
            if place.overruns(beginning):
                bits[tokens] = 1
        words: Ints = np.packbits(bits, bitorder="little").view(np.int32)
        return words if words.any() else None
