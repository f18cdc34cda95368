"""`bench()`: the same call again and again, and the medians of what it took.

The first call of each model is a warm-up, told apart: it may load the model and read the prompt.
"""

from __future__ import annotations

import secrets
import statistics
from typing import TYPE_CHECKING, Any

from ollama_nb.asking.comparing import NOT_ASKED, distinct, refuse_mistakes
from ollama_nb.asking.generating import generate
from ollama_nb.display.steps import steps
from ollama_nb.errors import BadRepeats, OllamaNbError
from ollama_nb.managing.catalogue import default_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ollama_nb.answers.bench_frame import BenchFrame
    from ollama_nb.answers.call_stats import CallStats
    from ollama_nb.display.steps import Steps

NUM_PREDICT = 128
MEDIANS = ("prompt_tokens", "cached_tokens", "answer_tokens", "first_token_s", "total_s")


def bench(
    prompt: str,
    *,
    models: Sequence[str] | None = None,
    repeats: int = 3,
    fresh: bool = False,
    options: dict[str, Any] | None = None,
    show: bool = True,
    **how: Any,
) -> BenchFrame:
    """Measure how fast models answer a prompt: medians of repeated calls (`%%bench`).

    Parameters
    ----------
    prompt
        Taken literally, as by `generate()`.
    models
        Their names, measured one after the other. Default: the model that calls mean.
    repeats
        How many calls of each model count. One more comes before them, the warm-up.
    fresh
        Let every call read the whole prompt. Without it, only the warm-up does so where a server
        keeps what it has computed (`cached_tokens` tells); with it, a number is put before the
        prompt, another one for each call.
    options
        As for `generate()`; answers have up to 128 tokens unless `num_predict` says otherwise.
    show
        Show in the running cell which call runs.
    how
        Passed on to `generate()`: `system`, `temperature`, `schema` and so on.

    Returns
    -------
    pandas.DataFrame
        Index `model`, in the order given. Of the repeats: `runs` (how many ended well) and the
        medians of `tokens_per_s` (with `min_tokens_per_s` and `max_tokens_per_s`),
        `prompt_tokens_per_s` (of those that were read, not cached), `prompt_tokens`,
        `cached_tokens`, `answer_tokens`, and in seconds `first_token_s` and `total_s`. Of the
        warm-up: `warmup_s`, in all, and `load_s` of that. `error` is what ended a model's calls
        early. Its `.plot()` is a bar chart; every single call is in `stats()`.

    Raises
    ------
    NoModels, BadRepeats
        If there is nothing to measure.
    OllamaNbError
        For what would be wrong with every model: no server, a misspelt option.

    Examples
    --------
    >>> bench("Write about a fox.", models=["demo", "smollm2"], repeats=5)  # doctest: +SKIP
    """
    if repeats < 1:
        raise BadRepeats(repeats)
    names = distinct([default_model()] if models is None else models)
    given = {**how, "options": {"num_predict": NUM_PREDICT, **(options or {})}}
    rows: dict[str, dict[str, Any]] = {name: {"error": NOT_ASKED} for name in names}
    with steps("measuring", len(names) * (repeats + 1), visible=show) as progress:
        for name in names:
            runs = _Runs(progress, name)
            goes_on = runs.all(_prompts(prompt, repeats + 1, fresh=fresh), given)
            rows[name] = _row(runs.calls, runs.error)
            if not goes_on:
                break
    return _frame(rows)


def _prompts(prompt: str, count: int, *, fresh: bool) -> list[str]:
    """Return the prompts of all calls; fresh ones begin with a number that no other has."""
    if not fresh:
        return [prompt] * count
    return [f"({secrets.token_hex(4)}) {prompt}" for _ in range(count)]


class _Runs:
    """The calls of one model; `error` says what ended them early."""

    def __init__(self, progress: Steps, model: str) -> None:
        self._progress, self._model = progress, model
        self.calls: list[CallStats] = []
        self.error: str | None = None

    def all(self, prompts: Sequence[str], how: dict[str, Any]) -> bool:
        """Make the calls; tell whether to go on with the next model."""
        for number, prompt in enumerate(prompts):
            self._progress.begin(f"{self._model}, {'run ' + str(number) if number else 'warm-up'}")
            try:
                self.calls.append(generate(prompt, model=self._model, **how).stats)
            except OllamaNbError as error:
                refuse_mistakes(error, is_first=self._progress.begun == 1)
                self.error = str(error)
                return True
            except KeyboardInterrupt:
                self.error = "stopped"
                return False
        return True


def _row(calls: Sequence[CallStats], error: str | None) -> dict[str, Any]:
    """Return the medians of all calls but the first, and what that one took."""
    warmup, counted = (calls[0] if calls else None), calls[1:]
    speeds = _known([call.tokens_per_s for call in counted])
    return {
        "runs": len(counted),
        "tokens_per_s": _median(speeds),
        "min_tokens_per_s": min(speeds, default=None),
        "max_tokens_per_s": max(speeds, default=None),
        "prompt_tokens_per_s": _median([_reading_speed(call) for call in counted]),
        **{name: _median([getattr(call, name) for call in counted]) for name in MEDIANS},
        "warmup_s": warmup and warmup.total_s,
        "load_s": warmup and warmup.load_s,
        "error": error,
    }


def _reading_speed(call: CallStats) -> float | None:
    """Return the tokens of the prompt that were read a second, without those that were cached."""
    if not call.prompt_tokens or not call.prompt_s:
        return None
    return (call.prompt_tokens - (call.cached_tokens or 0)) / call.prompt_s


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _median(values: Sequence[float | None]) -> float | None:
    known = _known(values)
    return float(statistics.median(known)) if known else None


COLUMNS = {
    "runs": "Int64",
    "tokens_per_s": "float64",
    "min_tokens_per_s": "float64",
    "max_tokens_per_s": "float64",
    "prompt_tokens_per_s": "float64",
    "prompt_tokens": "float64",
    "cached_tokens": "float64",
    "answer_tokens": "float64",
    "first_token_s": "float64",
    "total_s": "float64",
    "warmup_s": "float64",
    "load_s": "float64",
    "error": "string",
}


def _frame(rows: dict[str, dict[str, Any]]) -> BenchFrame:
    import pandas as pd

    from ollama_nb.answers.bench_frame import BenchFrame

    index = pd.Index(list(rows), name="model", dtype="string")
    columns = {
        name: pd.Series([row.get(name) for row in rows.values()], index=index, dtype=dtype)
        for name, dtype in COLUMNS.items()
    }
    frame: BenchFrame = BenchFrame(pd.DataFrame(columns))
    return frame
