"""A quota as an administrator writes it: how much, in which time, for whom."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DAY_S = UNITS_S["d"]
MAX_TOKENS, MAX_COMPUTE_S = 10**15, 1e9
_WRITTEN = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([smhdw])")


def window_of(said: Any) -> Any:
    """Seconds of `30m`, `1h`, `7d` or `2w`; a number is seconds already.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if not isinstance(said, str):
        return said
    found = _WRITTEN.fullmatch(said.strip())
    if found is None:
        raise ValueError(f"{said!r} is no time such as 30m, 1h, 7d or 2w")
    return float(found[1]) * UNITS_S[found[2]]


def in_words(window_s: float) -> str:
    """A time in the largest unit that divides it.

    >>> in_words(3600), in_words(90), in_words(604800), in_words(86400 * 30)
    ('1 h', '90 s', '7 d', '30 d')
    """
    for unit in ("d", "h", "m"):
        if window_s >= UNITS_S[unit] and window_s % UNITS_S[unit] == 0:
            return f"{window_s / UNITS_S[unit]:g} {'min' if unit == 'm' else unit}"
    return f"{window_s:g} s"


def written(window_s: float) -> str:
    """A time as an administrator writes it, in the largest unit that divides it.

    >>> written(1800), written(3600), written(604800), written(1.5)
    ('30m', '1h', '7d', '1.5s')
    """
    for unit in ("d", "h", "m"):
        if window_s >= UNITS_S[unit] and window_s % UNITS_S[unit] == 0:
            return f"{window_s / UNITS_S[unit]:g}{unit}"
    return f"{window_s:.15g}s"


class Quota(BaseModel):
    """How much may be used within a rolling window.

    Attributes
    ----------
    tokens
        Of prompts (cached ones too) and answers; None: as many as one likes.
    compute_seconds
        In which a model reads or writes for the user, beside others as may be; None: any.
    window
        Seconds, or a text such as "1h" or "7d".
    users, groups
        For whom it is; everybody, if both are empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: int | None = Field(default=None, ge=1, le=MAX_TOKENS)
    compute_seconds: float | None = Field(default=None, gt=0, le=MAX_COMPUTE_S)
    window: Annotated[float, BeforeValidator(window_of), Field(ge=1)]
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()

    @model_validator(mode="after")
    def _limits_something(self) -> Quota:
        if self.tokens is None and self.compute_seconds is None:
            raise ValueError("a quota limits tokens, compute_seconds or both")
        return self

    def __str__(self) -> str:
        amounts = [] if self.tokens is None else [f"{self.tokens:,} tokens"]
        if self.compute_seconds is not None:
            amounts.append(f"{self.compute_seconds:,g} seconds of computing")
        return f"{' and '.join(amounts)} in {in_words(self.window)} for {self.whom}"

    @property
    def whom(self) -> str:
        """For whom it is, in words."""
        named = [
            f"{what} {', '.join(sorted(names))}"
            for what, names in (("users", self.users), ("groups", self.groups))
            if names
        ]
        return " and ".join(named) or "everybody"
