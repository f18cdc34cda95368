"""Prompts of so many words, where a word is a token: English ones, or pairs of letters.

The random model knows each pair of letters as a token, and few longer ones. What is asked anew
begins anew: a server that keeps what it has read finds nothing of another round.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

ENGLISH = """
time year people way day man thing woman life child world school state family student group country
problem hand part place case week company system program question work government number night point
home water room mother area money story fact month lot right study book eye job word business issue
side kind head house service friend father power hour game line end
"""
PAIRS = [a + b for a in "bcdfghklmnprst" for b in "aeiou"]


@dataclass(frozen=True)
class Texts:
    """Words, and what stands before each."""

    words: tuple[str, ...]
    blank: str

    def prompt(self, num_words: int, *key: object) -> str:
        """So many words; the same for an equal key, and with another beginning for another one."""
        dice = random.Random(repr(key))
        return "".join(self.blank + word for word in dice.choices(self.words, k=num_words))


def texts_for(model: str) -> Texts:
    """What a benchmark's model reads best."""
    if model == "half-billion":
        return Texts(tuple(PAIRS), "")
    return Texts(tuple(ENGLISH.split()), " ")
