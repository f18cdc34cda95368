"""The few tokens that a sampler chain must see where it keeps only the likeliest anyhow.

A chain goes through a whole vocabulary for each token that it draws; here a few numpy calls find
those that can matter. What is drawn from them is `chain`'s affair.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from ollama_nb_server.engine.native import Floats, Ints

GROUP = 64  # logits of which only the highest is looked at to find out how high the likeliest are


def shortlist(logits: Floats, count: int, more: Collection[int] = ()) -> Ints | None:
    """Ids, in order, of all tokens that are at least as likely as the `count`-th likeliest.

    Equals are among them, and some others: what the `count`-th highest of all groups' highest
    logits reaches is reached by `count` tokens at least. The tokens of `more` are added. None where
    there are too few groups, or logits that are no numbers.
    """
    width = len(logits) // GROUP
    if not 0 < count <= width:
        return None
    groups = logits[: GROUP * width].reshape(GROUP, width)  # a column is one
    highest = groups.max(axis=0)  # NaN where one is
    floor = np.partition(highest, width - count)[width - count]
    columns = np.flatnonzero(highest >= floor)
    if len(columns) < count:  # a sort takes NaN for the highest, and nothing reaches that
        return None
    row, column = np.divmod(np.flatnonzero(groups[:, columns] >= floor), len(columns))
    ids: Ints = (row * width + columns[column]).astype(np.int32)
    rest = range(GROUP * width, len(logits))  # in no group
    if not (more or rest):
        return ids
    others = np.fromiter({*more, *rest}, np.int32)
    missing = others[(logits[others] < floor) | (others >= rest.start)]
    return np.sort(np.concatenate((ids, missing)))


def allowed(ids: Ints, mask: Ints) -> Ints:
    """Those whose bits are set in a mask of words of 32 bits."""
    kept: Ints = ids[(mask[ids >> 5] >> (ids & 31)) & 1 == 1]
    return kept
