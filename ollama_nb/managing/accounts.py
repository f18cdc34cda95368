"""What users of a shared server have used, as a DataFrame: `usage()`.

The server decides who may see what; one that a single person uses keeps no accounts.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from ollama_nb.connection.calling import once_more
from ollama_nb.connection.current import current
from ollama_nb.connection.failures import translated
from ollama_nb.connection.responses import raise_error
from ollama_nb.errors import NoAccounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

EVERYBODY = "*"
MAX_ROWS = 100_000
MOMENT = "datetime64[us, UTC]"
TOKENS = ("prompt_tokens", "cached_tokens", "answer_tokens")
SECONDS = ("queue_s", "load_s", "prompt_s", "eval_s")
COMMON = dict.fromkeys(TOKENS, "Int64") | dict.fromkeys(SECONDS, "float64")
# Column -> dtype, of rows and of what may be summed up.
ROWS = {
    **dict.fromkeys(("started_at", "ended_at"), MOMENT),
    **dict.fromkeys(("user", "verb", "model", "digest", "status"), "string"),
    **dict.fromkeys(("code", "times"), "Int64"),
    **COMMON,
    "first_token_s": "float64",
}
GROUPS = {"day": MOMENT, "code": "Int64"}  # all others are texts
SUMS = {"requests": "Int64", **COMMON}


def usage(
    since: str | datetime | timedelta | None = None,
    until: str | datetime | timedelta | None = None,
    by: str | Iterable[str] | None = None,
    *,
    user: str | None = None,
    everybody: bool = False,
    limit: int = 10_000,
) -> pd.DataFrame:
    """Return what you have used of a shared server, a row a request (`%ollama usage`).

    Parameters
    ----------
    since, until
        When requests began: a datetime (without a zone it is local time), a timedelta for so long
        ago, or a text such as "2026-11-29", "7d" or "1h". Days begin at midnight UTC.
    by
        What to sum up by: "model", "day", "verb", "status", "code", "user", several of them, or
        "all".
        None: nothing is summed up.
    user, everybody
        Somebody else's, or all users': for those who manage the server.
    limit
        Of rows, the latest ones; up to 100,000. Sums are of everything.

    Returns
    -------
    pandas.DataFrame
        Of requests, indexed by `id`: `started_at` and `ended_at` (UTC), `user`, `verb`, `model`,
        `digest`, `status` (running, finished, cancelled, failed, worker_died, refused), `code`
        (the HTTP status of an error), `times` (equal refusals of five minutes are one row), tokens
        (`prompt_tokens`, `cached_tokens` of them, `answer_tokens`), and seconds: `queue_s`,
        `load_s`, `prompt_s`, `eval_s`, `first_token_s`. Of sums, indexed by `by`: `requests`,
        tokens and seconds. Its `.attrs["quotas"]` are your quotas: `kind`, `window_s`, `limit`,
        `used` and, of one that is used up, `free_at`.

    Raises
    ------
    NoAccounts
        If the server keeps none.
    NotAllowed
        For what others used, if you do not manage the server.

    Examples
    --------
    >>> usage(since="7d", by="model")  # doctest: +SKIP
    >>> usage(by=["user", "day"], everybody=True)  # doctest: +SKIP
    """
    groups = None if by is None else [by] if isinstance(by, str) else list(by)
    asked = {
        "since": _moment(since),
        "until": _moment(until),
        "by": None if groups is None else ",".join(groups),
        "user": EVERYBODY if everybody else user,
        "limit": str(limit) if groups is None else None,
    }
    answer = _answer({name: value for name, value in asked.items() if value is not None})
    named = [] if groups in (None, ["all"]) else ",".join(groups or ()).split(",")
    frame = _requests(answer) if groups is None else _totals(answer, [n.strip() for n in named])
    frame.attrs["quotas"] = answer.get("quotas", [])
    return frame


def _moment(said: str | datetime | timedelta | None) -> str | None:
    """As the server reads it."""
    if isinstance(said, timedelta):
        said = datetime.now(timezone.utc) - said
    if isinstance(said, datetime):
        return said.astimezone(timezone.utc).isoformat()
    return said


def _answer(asked: Mapping[str, str]) -> Mapping[str, Any]:
    """Ask; a server that died since the last call is looked for once more."""
    return once_more(lambda: _answer_once(asked))


def _answer_once(asked: Mapping[str, str]) -> Mapping[str, Any]:
    connection = current()
    with translated(connection, "the accounts", "reading"):
        response = connection.http.get("/api/usage", params=dict(asked), timeout=60.0)
        if response.status_code in (404, 405, 501):
            raise NoAccounts(connection.url)
        raise_error(response)
        answer: Mapping[str, Any] = response.json()
        return answer


def _requests(answer: Mapping[str, Any]) -> pd.DataFrame:
    import pandas as pd

    rows = answer["requests"]
    ids = pd.Index([row["id"] for row in rows], dtype="string", name="id")
    return _typed(pd.DataFrame(rows, index=ids, columns=list(ROWS)), ROWS)


def _totals(answer: Mapping[str, Any], by: list[str]) -> pd.DataFrame:
    import pandas as pd

    kinds = {name: GROUPS.get(name, "string") for name in dict.fromkeys(by)} | SUMS
    frame = _typed(pd.DataFrame(answer["totals"], columns=list(kinds)), kinds)
    return frame.set_index(list(dict.fromkeys(by))) if by else frame


def _typed(frame: pd.DataFrame, kinds: Mapping[str, Any]) -> pd.DataFrame:
    import pandas as pd

    for name, kind in kinds.items():
        if kind == MOMENT:
            moments: Any = pd.to_datetime(frame[name], utc=True, format="ISO8601")
            frame[name] = moments.astype(MOMENT)
        else:
            values: Any = frame[name]
            frame[name] = values.astype(kind)
    return frame
