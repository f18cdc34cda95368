"""The record of every call of this kernel, and `stats()`, which shows it as a DataFrame.

What a call's numbers mean is written in `call_stats`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ollama_nb.times import local_zone

if TYPE_CHECKING:
    from ollama_nb.answers.call_frame import CallFrame
    from ollama_nb.answers.call_stats import CallStats


@dataclass(frozen=True)
class Record:
    """One call: which verb, of which model, how it went, and the number of its cell."""

    verb: str
    model: str
    done_reason: str | None
    stats: CallStats
    cell: int | None = None


# Column -> dtype; also what an empty frame looks like. Moments come from UTC into local time.
COLUMNS = {
    "started_at": "datetime64[ns, UTC]",
    "cell": "Int64",
    "verb": "string",
    "model": "string",
    "prompt_tokens": "Int64",
    "answer_tokens": "Int64",
    "cached_tokens": "Int64",
    "truncated_tokens": "Int64",
    "queue_s": "float64",
    "load_s": "float64",
    "prompt_s": "float64",
    "eval_s": "float64",
    "first_token_s": "float64",
    "total_s": "float64",
    "tokens_per_s": "float64",
    "done_reason": "string",
}

_records: list[Record] = []
_lock = threading.Lock()  # a Chat widget answers on a thread of its own


def record(
    verb: str, model: str, done_reason: str | None, stats: CallStats, cell: int | None = None
) -> None:
    """Add one call to the record."""
    with _lock:
        _records.append(Record(verb, full_name(model), done_reason, stats, cell))


def full_name(model: str) -> str:
    """Return a model's name as listings have it, with its tag, so that one model has one name.

    >>> full_name("demo"), full_name("hf.co/a/b:Q8_0"), full_name("host:5000/a/b")
    ('demo:latest', 'hf.co/a/b:Q8_0', 'host:5000/a/b:latest')
    """
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


def forget() -> None:
    """Empty the record."""
    with _lock:
        _records.clear()


def stats() -> CallFrame:
    """Return every call of this kernel, one row a call, as they ended (`%stats`).

    Returns
    -------
    pandas.DataFrame
        Columns `started_at` (local time), `cell` (the number in `In[n]`; NA outside of cells),
        `verb` (generate, chat, embed, score), `model` (with its tag, as `models()` has
        it); `prompt_tokens`, `answer_tokens`,
        `cached_tokens` (of the prompt, read for an earlier call), `truncated_tokens` (cut off
        before the model read them). All times are seconds: `queue_s` waiting for other requests,
        `load_s` for the model to be loaded, `prompt_s` reading the prompt, `eval_s` writing the
        answer, as the server measured them, `first_token_s` until the first word reached this
        kernel, `total_s`. `tokens_per_s` = answer_tokens / eval_s; `done_reason` (stop, length,
        interrupted, error). What a server does not report is missing (NA): queue, cached and
        truncated tokens only ours tells, others count the queue as load.
        The index counts the calls from 0.

        Its `.plot()` draws the timeline of queue, load, prompt and eval, also of what a filter
        leaves; with arguments it is pandas' own.

    Examples
    --------
    >>> stats().groupby("model")["tokens_per_s"].median()  # doctest: +SKIP
    >>> stats().query("verb == 'chat'").plot()  # doctest: +SKIP
    """
    import pandas as pd

    from ollama_nb.answers.call_frame import CallFrame

    with _lock:
        rows = [_row(entry) for entry in _records]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    frame["started_at"] = frame["started_at"].dt.tz_convert(local_zone())
    calls: CallFrame = CallFrame(frame)
    return calls


def _row(entry: Record) -> dict[str, object]:
    numbers = entry.stats
    return {
        "started_at": numbers.started_at,
        "cell": entry.cell,
        "verb": entry.verb,
        "model": entry.model,
        "prompt_tokens": numbers.prompt_tokens,
        "answer_tokens": numbers.answer_tokens,
        "cached_tokens": numbers.cached_tokens,
        "truncated_tokens": numbers.truncated_tokens,
        "queue_s": numbers.queue_s,
        "load_s": numbers.load_s,
        "prompt_s": numbers.prompt_s,
        "eval_s": numbers.eval_s,
        "first_token_s": numbers.first_token_s,
        "total_s": numbers.total_s,
        "tokens_per_s": numbers.tokens_per_s,
        "done_reason": entry.done_reason,
    }
