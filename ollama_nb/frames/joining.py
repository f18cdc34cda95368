"""`df.llm.join()`: pairs of rows of two frames of which something is true.

Vectors choose the candidates, for asking about all pairs would take too long; scores decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.asking.embedding import embed
from ollama_nb.asking.templating import Template
from ollama_nb.frames.columns import beside
from ollama_nb.frames.deciding import (
    checked_threshold,
    decide,
    is_yes,
    warn_of_undecided,
    yes_probability,
)
from ollama_nb.frames.errors import BadColumns, UnknownColumn
from ollama_nb.frames.filtering import texts_of_prompts
from ollama_nb.frames.prompts import variables
from ollama_nb.frames.sampling import Sample
from ollama_nb.frames.scoring import Scoring, pace_of
from ollama_nb.frames.texts import is_missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd


def join(
    frame: pd.DataFrame,
    /,
    other: pd.DataFrame,
    on: str,
    *,
    candidates: int | None = 5,
    threshold: float = 0.5,
    into: str | None = None,
    suffixes: tuple[str, str] = ("_left", "_right"),
    sample: int | None = None,
    embed_model: str | None = None,
    model: str | None = None,
    system: str | None = None,
    options: Mapping[str, Any] | None = None,
    keep_alive: float | str | None = None,
    fresh: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Return the pairs of a row here and a row there to which a model says yes.

    Parameters
    ----------
    other
        The other frame.
    on
        A question or a statement with columns of both frames in it:
        `"Is {{ review }} about the product {{ product }}?"`.
    candidates
        Of the other frame's rows, how many are asked about for each row here: those whose named
        columns are most alike, by their vectors. None: all of them.
    threshold
        How probable Yes must be, against No.
    into
        The name of a column for this probability.
    suffixes
        What is added to names of columns that both frames have, in `on` as well.
    sample
        Ask only about the pairs of so many rows here, spread over the frame, and say how long all
        would take.
    embed_model
        Whose vectors; default as for `ollama_nb.embed()`.
    model, system, options, keep_alive
        As for `ollama_nb.score()`.
    fresh
        Ask about all pairs anew, whatever is kept.
    progress
        Show a bar while pairs are asked about, and leave a line of text.

    Returns
    -------
    pandas.DataFrame
        The columns of both frames, a row for each pair, counted from 0, in the order of the rows
        here, then of those there. A row in which a named column is missing is in no pair.

    Raises
    ------
    BadColumns
        If `on` names no column of one of the frames, or a number cannot be.
    UnknownColumn, BadTemplate
        For a template that does not fit the frames.
    OllamaNbError
        If there is no server or no such model, and no pair has a score yet.

    Warns
    -----
    RowsFailed
        If pairs are left out because something went wrong.

    Examples
    --------
    >>> reviews.llm.join(products, "Is {{ review }} about {{ product }}?")  # doctest: +SKIP
    """
    import pandas as pd

    least = checked_threshold(threshold)
    if candidates is not None and (isinstance(candidates, bool) or candidates < 1):
        raise BadColumns(f"candidates is a number of rows from 1, or None, not {candidates!r}")
    here, there = _told_apart(frame, other, suffixes)
    scoring = Scoring.of(model, system, options, keep_alive, fresh, progress)
    mine, others = _named(here, there, on)
    texts, texts_there = _texts(here, mine), _texts(there, others)
    trial = Sample.of(texts, sample)
    here = trial.rows(here)
    pairs = _pairs(trial.among(texts), texts_there, candidates, embed_model)
    sides = [
        side.iloc[[pair[which] for pair in pairs]].reset_index(drop=True)
        for which, side in enumerate((here, there))
    ]
    together: pd.DataFrame = pd.concat(sides, axis=1)
    rows = decide(texts_of_prompts(together, on), scoring)
    if sample is not None and progress:
        num_left = sum(text is not None for text in texts) - len(here)
        trial.tell(pace_of(rows), num_left * len(rows) // max(len(here), 1), "pair")
    warn_of_undecided(rows, "are left out")
    places = [place for place, row in enumerate(rows) if is_yes(row, least)]
    kept: pd.DataFrame = together.iloc[places].reset_index(drop=True)
    if into is None:
        return kept
    known = [yes_probability(rows[place]) for place in places]
    return beside(kept, pd.DataFrame({into: known}, dtype="float64"))


def _told_apart(
    frame: pd.DataFrame, other: pd.DataFrame, suffixes: tuple[str, str]
) -> list[pd.DataFrame]:
    """Return both frames, columns that both have with the suffixes."""
    both = set(frame.columns) & set(other.columns)
    return [
        one.rename(columns={name: f"{name}{suffix}" for name in both})
        for one, suffix in zip((frame, other), suffixes, strict=True)
    ]


def _named(here: pd.DataFrame, there: pd.DataFrame, on: str) -> tuple[list[int], list[int]]:
    """Return the places of the columns that a template names, in each frame."""
    names, mine, others = Template(on).names, variables(here), variables(there)
    for name in names:
        if name not in mine and name not in others:
            raise UnknownColumn(name, [*mine, *others])
    found = [mine[name] for name in names if name in mine]
    found_there = [others[name] for name in names if name in others and name not in mine]
    if not (found and found_there):
        raise BadColumns(
            "on names columns of both frames, such as "
            f"{{{{ {next(iter(mine), 'a')} }}}} and {{{{ {next(iter(others), 'b')} }}}}"
        )
    return found, found_there


def _texts(frame: pd.DataFrame, places: Sequence[int]) -> list[str | None]:
    """Return what vectors are made of: the named columns of each row."""
    rows = zip(*(frame.iloc[:, place] for place in places), strict=True)
    return [None if any(map(is_missing, row)) else "\n".join(map(str, row)) or None for row in rows]


def _pairs(
    mine: Sequence[str | None],
    others: Sequence[str | None],
    most: int | None,
    embed_model: str | None,
) -> list[tuple[int, int]]:
    """Return the pairs that are asked about, in order."""
    import numpy as np

    here = [place for place, text in enumerate(mine) if text is not None]
    there = [place for place, text in enumerate(others) if text is not None]
    if most is None or len(there) <= most:
        return [(a, b) for a in here for b in there]
    if not here:
        return []
    vectors = [
        embed([str(texts[place]) for place in places], model=embed_model).to_numpy()
        for texts, places in ((mine, here), (others, there))
    ]
    alike = vectors[0] @ vectors[1].T
    best = np.sort(np.argsort(-alike, axis=1, kind="stable")[:, :most], axis=1)
    return [(a, there[b]) for a, row in zip(here, best, strict=True) for b in row]
