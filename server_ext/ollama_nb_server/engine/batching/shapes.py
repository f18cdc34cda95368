"""How pieces of prompts are put into batches: by what llama.cpp makes of rows of unequal lengths.

It computes sequences side by side only where their slots follow one another, and only as many
tokens of each as the shortest has; what is left comes in further passes, which take nearly as long
for a few rows as for many. Nothing native here: slots and counts.
"""

from __future__ import annotations

from collections import abc

from ollama_nb_server.engine.sequence import Sequence

REST = 2  # tokens of a prompt that may be left for the steps after its piece
UNEVEN = 8  # known tokens at most that a prompt computes again, to be as long as its neighbours
Piece = tuple[Sequence, int]  # some of a sequence's waiting tokens


def levelled(pieces: abc.Iterable[Piece]) -> list[Piece]:
    """The same by slot; those of neighbours that are nearly as long are cut to one length.

    What is then left, a token or two, is computed beside what others decode: a row more. Prompts
    that are only scored are whole: nobody decodes beside them.
    """
    found: list[Piece] = []
    for run in neighbours(pieces):
        cut, level = {}, 0
        for sequence, count in sorted(run, key=lambda piece: piece[1]):
            is_near = level > REST and count - level <= REST and sequence.scores is None
            level = cut[sequence] = level if is_near else count
        found += [(sequence, cut[sequence]) for sequence, _ in run]
    return found


def again(sequences: abc.Iterable[Sequence]) -> dict[Sequence, int]:
    """How many of their known tokens new prompts compute again, to be as long as others."""
    counts: dict[Sequence, int] = {}
    level = 0
    for sequence in sorted(sequences, key=lambda each: each.waiting, reverse=True):
        missing = level - sequence.waiting
        if missing > min(UNEVEN, level // 4) or missing >= sequence.computed:
            level = missing = 0
        level = level or sequence.waiting
        if missing > 0:
            counts[sequence] = missing
    return counts


def neighbours(pieces: abc.Iterable[Piece]) -> list[list[Piece]]:
    """Runs of pieces whose slots follow one another."""
    runs: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda piece: piece[0].slot):
        if runs and piece[0].slot == runs[-1][-1][0].slot + 1:
            runs[-1].append(piece)
        else:
            runs.append([piece])
    return runs
