"""Refusals as rows: equal ones of a while are one row that counts them, so that a flood takes few.

No clock and no disk here: a refusal says when it was, in seconds of the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ollama_nb_server.scheduling.usage import Refused

FOLD_S = 300.0
MAX_NAMES = 10  # of models in the rows of a user and a while; further ones go without a name
MAX_NAME_CHARS = 100


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """`times` refusals, the first at `asked_at`, the last at `ended_at`; `number` is negative."""

    number: int
    user: str
    verb: str
    model: str
    code: int
    asked_at: float
    ended_at: float
    times: int = 1


class Refusals:
    """The rows that refusals are still counted in."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[tuple[str, str, int], RefusalRow]] = {}
        self._number = 0

    def row(self, refused: Refused) -> RefusalRow:
        """The row of a refusal, as it is now."""
        rows = self._current(refused)
        model = refused.model[:MAX_NAME_CHARS]
        if (refused.verb, model, refused.code) not in rows and _num_names(rows) >= MAX_NAMES:
            model = ""
        key = refused.verb, model, refused.code
        found = rows.get(key)
        if found is None:
            self._number -= 1
            row = RefusalRow(self._number, refused.user, *key, refused.at, refused.at)
        else:
            row = replace(found, times=found.times + 1, ended_at=refused.at)
        rows[key] = row
        return row

    def _current(self, refused: Refused) -> dict[tuple[str, str, int], RefusalRow]:
        """The rows of the user that have not been there for long."""
        since = refused.at - FOLD_S
        before = self._rows.get(refused.user, {})
        rows = {key: row for key, row in before.items() if row.asked_at > since}
        self._rows[refused.user] = rows
        return rows


def _num_names(rows: dict[tuple[str, str, int], RefusalRow]) -> int:
    return sum(bool(model) for _, model, _ in rows)
