"""`df.llm.classify()`: a label for each row, and how likely each label is."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

from ollama_nb.connection.current import current
from ollama_nb.errors import OllamaNbError
from ollama_nb.frames.deciding import NO, YES, checked_threshold, is_yes, yes_probability
from ollama_nb.frames.errors import BadColumns, NoProbabilities
from ollama_nb.frames.filtering import texts_of_prompts
from ollama_nb.frames.generating import as_frame
from ollama_nb.frames.labels import Labels
from ollama_nb.frames.prompts import TEXT
from ollama_nb.frames.running import warn_of_failures
from ollama_nb.frames.sampling import Sample
from ollama_nb.frames.scoring import RowScore, Scoring, num_open, pace_of, score_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

LABEL, LABELS = "label", "labels"
FITS = 0.5  # of several labels, those whose Yes is at least so probable


def classify(
    frame: pd.DataFrame,
    /,
    template: str,
    labels: Mapping[str, str] | Iterable[str],
    *,
    multi: bool = False,
    examples: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
    proba: bool = True,
    abstain: float | None = None,
    question: str | None = None,
    sample: int | None = None,
    details: bool = False,
    model: str | None = None,
    system: str | None = None,
    options: Mapping[str, Any] | None = None,
    keep_alive: float | str | None = None,
    fresh: bool = False,
    progress: bool = True,
) -> pd.DataFrame | pd.Series[Any]:
    """Give each row the label that fits best, with the probability of each.

    Nothing is written by the model: a row costs reading its prompt, and its labels are scored as
    answers to it. Scores are kept on disk: run again, after Ctrl-C or a crash, only the rest is
    asked for.

    Parameters
    ----------
    template
        The text of a row: `"{{ title }}: {{ body }}"`.
    labels
        Texts, or a dict of texts and what each means.
    multi
        A row may have several labels, or none: each is asked about by itself.
    examples
        Texts with their labels, shown to the model: a dict, or a list of pairs; with `multi` a
        list of labels each.
    proba
        Return the probabilities too.
    abstain
        A row whose best label is less probable than this has none (NA).
    question
        Instead of "Which label fits the text?".
    sample
        Ask about only so many rows, spread over the frame, and say how long all would take.
    details
        Add a column `_error` (text; why a row has no label).
    model, system, options, keep_alive
        As for `ollama_nb.score()`.
    fresh
        Ask for all rows anew, whatever is kept.
    progress
        Show a bar while rows are asked, and leave a line of text.

    Returns
    -------
    pandas.DataFrame or pandas.Series
        A column `label` (Categorical with all labels as categories), and a column of float64 for
        each label: its probability among the labels, which add up to 1. With `multi` a column
        `labels` (lists), and each label's own probability. Without `proba` the first alone, as a
        Series. One row for each row, with its index. Missing (NA, NaN) where a column of the
        template is missing, where a row failed, and, after Ctrl-C, where it was not asked.

    Raises
    ------
    BadChoices
        For labels or examples that cannot be used.
    UnknownColumn, NoColumn, BadTemplate
        For a template that does not fit the frame.
    NoProbabilities
        If `abstain` needs probabilities and the server tells none.
    OllamaNbError
        If there is no server or no such model, and no row has a score yet.

    Warns
    -----
    RowsFailed
        If rows have no label because something went wrong.
    ServerWarning
        Once for a server that tells no probabilities, as Ollama: they are NaN.

    Examples
    --------
    >>> df.llm.classify("{{ review }}", ["praise", "complaint"])  # doctest: +SKIP
    >>> df.llm.classify("{{ review }}", {"bug": "it fails", "wish": "it lacks"})  # doctest: +SKIP
    """
    if multi and abstain is not None:
        raise BadColumns("abstain is for one label a row; with multi=True a row may have none")
    known = Labels.of(labels, examples, question, multi=multi)
    if clashing := {LABEL, LABELS, "_error"} & set(known.names):
        raise BadColumns(f"{clashing.pop()!r} is a column of the result: rename this label")
    least = None if abstain is None else checked_threshold(abstain, "abstain")
    scoring = Scoring.of(model, system, options, keep_alive, fresh, progress)
    texts = texts_of_prompts(frame, template)
    trial = Sample.of(texts, sample)
    index, ask = trial.index(frame.index), _prompts_of_several if multi else _prompts
    choices = (YES, NO) if multi else known.choices
    rows = score_rows(ask(trial.among(texts), known), choices, scoring)
    if sample is not None and progress:
        trial.tell(pace_of(rows), num_open(ask(texts, known), choices, scoring))
    if multi:
        return _several(rows, known, index, proba=proba, details=details)
    columns = _one_label(rows, known, least, index)
    return _chosen(columns, [row.error for row in rows], proba=proba, details=details)


def classify_column(
    series: pd.Series[Any], /, labels: Mapping[str, str] | Iterable[str], **how: Any
) -> pd.DataFrame | pd.Series[Any]:
    """Give each text of a column the label that fits best, with the probability of each.

    Parameters
    ----------
    labels
        Texts, or a dict of texts and what each means.
    how
        As for `df.llm.classify()`: multi, examples, proba, abstain, model, and so on.

    Returns
    -------
    pandas.DataFrame or pandas.Series
        As for `df.llm.classify()`.

    Examples
    --------
    >>> df["review"].llm.classify(["praise", "complaint"], abstain=0.7)  # doctest: +SKIP
    """
    return classify(as_frame(series), f"{{{{ {TEXT} }}}}", labels, **how)


def _prompts(
    texts: Sequence[str | OllamaNbError | None], labels: Labels
) -> list[str | OllamaNbError | None]:
    return [labels.prompt(text) if isinstance(text, str) else text for text in texts]


def _prompts_of_several(
    texts: Sequence[str | OllamaNbError | None], labels: Labels
) -> list[str | OllamaNbError | None]:
    """Ask of each text about each label."""
    return [
        labels.prompt_of_one(text, name) if isinstance(text, str) else text
        for text, name in product(texts, labels.names)
    ]


def _one_label(
    rows: Sequence[RowScore], labels: Labels, least: float | None, index: pd.Index[Any]
) -> pd.DataFrame:
    """Return the best label of each row and the probabilities of all."""
    import pandas as pd

    names = dict(zip(labels.choices, labels.names, strict=True))
    values = [None if row.score is None else _best(row, names, least) for row in rows]
    found: dict[str, Any] = {LABEL: pd.Categorical(values, categories=list(labels.names))}
    for choice, name in names.items():
        found[name] = [_probability(row, choice) for row in rows]
    floats = dict.fromkeys(labels.names, "float64")
    frame: pd.DataFrame = pd.DataFrame(found, index=index).astype(floats)
    return frame


def _best(row: RowScore, names: Mapping[str, str], least: float | None) -> str | None:
    assert row.score is not None
    if least is not None and row.score.probability is None:
        raise NoProbabilities(current().url)
    sure = least is None or (row.score.probability or 0) >= least
    return names[row.score.best] if sure else None


def _probability(row: RowScore, choice: str) -> float:
    if row.score is None or row.score.probabilities is None:
        return float("nan")
    return row.score.probabilities[choice]


def _several(
    scored: Sequence[RowScore],
    labels: Labels,
    index: pd.Index[Any],
    *,
    proba: bool,
    details: bool,
) -> pd.DataFrame | pd.Series[Any]:
    """Return the labels that fit, of a score a row and a label."""
    import pandas as pd

    width = len(labels.names)
    rows = [scored[begin : begin + width] for begin in range(0, len(scored), width)]
    found = [
        [name for name, one in zip(labels.names, row, strict=True) if is_yes(one, FITS)]
        if all(one.score for one in row)
        else None
        for row in rows
    ]
    columns: pd.DataFrame = pd.DataFrame({LABELS: pd.Series(found, index=index, dtype=object)})
    for place, name in enumerate(labels.names):
        columns[name] = [yes_probability(row[place]) for row in rows]
    errors = [next((one.error for one in row if one.error), None) for row in rows]
    return _chosen(columns, errors, proba=proba, details=details)


def _chosen(
    columns: pd.DataFrame, errors: Sequence[OllamaNbError | None], *, proba: bool, details: bool
) -> pd.DataFrame | pd.Series[Any]:
    """Return of all columns those that a call wants."""
    import pandas as pd

    warn_of_failures(errors, shown=details)
    first = columns.columns[0]
    if details:
        said = [None if error is None else str(error) for error in errors]
        values = columns if proba else columns[[first]]
        shown: pd.DataFrame = values.assign(_error=pd.array(said, dtype="string"))
        return shown
    return columns if proba else columns[first]
