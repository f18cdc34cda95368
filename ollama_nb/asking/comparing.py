"""`compare()`: one prompt to several models, their answers side by side in a frame.

One after the other, so that their times can be compared. `measuring` repeats calls for medians.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.asking.generating import generate
from ollama_nb.display.steps import steps
from ollama_nb.errors import (
    AnswerFailed,
    Interrupted,
    ModelNotFound,
    NoModels,
    OllamaNbError,
    ServerWentAway,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ollama_nb.answers.comparison import Comparison
    from ollama_nb.answers.generation import Generation

# What goes wrong with one model and need not with the next.
OF_A_MODEL = (ModelNotFound, AnswerFailed, ServerWentAway)
NOT_ASKED = "not asked: stopped before"
# Column -> dtype; the numbers are those of `CallStats`.
NUMBERS = {
    "prompt_tokens": "Int64",
    "answer_tokens": "Int64",
    "tokens_per_s": "float64",
    "load_s": "float64",
    "first_token_s": "float64",
    "total_s": "float64",
}
COLUMNS = {"answer": "object", **NUMBERS, "done_reason": "string", "error": "string"}


def compare(prompt: str, *, models: Sequence[str], show: bool = True, **how: Any) -> Comparison:
    """Ask several models the same and return their answers side by side (`%%compare`).

    Parameters
    ----------
    prompt
        Taken literally, as by `generate()`.
    models
        Their names; they are asked one after the other.
    show
        Show in the running cell which model is being asked.
    how
        Passed on to `generate()`: `system`, `temperature`, `options`, `schema` and so on.

    Returns
    -------
    pandas.DataFrame
        Index `model`, in the order given. `answer` is the `Generation` (NA where there is none),
        then `prompt_tokens`, `answer_tokens`, `tokens_per_s`, seconds `load_s`, `first_token_s`
        and `total_s` (the load included), `done_reason`, and `error`: what went wrong with a
        model, which keeps nobody else's answer from coming. After Ctrl-C the answers are there as
        far as they came.

    Raises
    ------
    NoModels
        If none is named, or one twice.
    OllamaNbError
        For what would be wrong with every model: no server, a misspelt option.

    Examples
    --------
    >>> compare("Name a colour.", models=["demo", "smollm2"])  # doctest: +SKIP
    """
    names = distinct(models)
    rows: dict[str, dict[str, Any]] = {name: {"error": NOT_ASKED} for name in names}
    with steps("comparing", len(names), visible=show) as progress:
        for name in names:
            progress.begin(name)
            try:
                rows[name] = _row(generate(prompt, model=name, **how))
            except OllamaNbError as error:
                refuse_mistakes(error, is_first=name == names[0])
                rows[name] = {"error": str(error), "done_reason": "error"}
            except Interrupted as interrupt:
                rows[name] = _row(interrupt.answer)
                break
            except KeyboardInterrupt:  # between two calls
                break
    return _frame(rows)


def refuse_mistakes(error: OllamaNbError, *, is_first: bool) -> None:
    """Raise an error that would be every model's, such as a misspelt option.

    Only before anything has come that would be lost.
    """
    if is_first and not isinstance(error, OF_A_MODEL):
        raise error


def distinct(models: Sequence[str]) -> list[str]:
    """Return the names of models to compare.

    Raises
    ------
    NoModels
    """
    names = [models] if isinstance(models, str) else list(models)
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if not names:
        raise NoModels('name the models: models=["demo", "smollm2"], or -m demo,smollm2 in a cell')
    if twice:
        raise NoModels(f"{twice[0]!r} is named twice; each model has one row")
    return names


def _row(answer: Generation) -> dict[str, Any]:
    numbers = {name: getattr(answer.stats, name) for name in NUMBERS}
    return {"answer": answer, "done_reason": answer.done_reason, **numbers}


def _frame(rows: dict[str, dict[str, Any]]) -> Comparison:
    import pandas as pd

    from ollama_nb.answers.comparison import Comparison

    index = pd.Index(list(rows), name="model", dtype="string")
    columns = {
        name: pd.Series([row.get(name) for row in rows.values()], index=index, dtype=dtype)
        for name, dtype in COLUMNS.items()
    }
    frame: Comparison = Comparison(pd.DataFrame(columns))
    return frame
