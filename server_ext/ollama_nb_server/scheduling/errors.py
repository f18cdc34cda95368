"""The ways in which a request is not given a worker.

Refusal              what a server's rules do not allow
SchedulingError      of these all
├── QueueFull        too many requests already wait for a load, or for a loaded model
├── TooManyWaiting   a user has as many requests waiting as one may have
├── QuotaSpent       the caller has used what there is for a while
├── NoRoomForPin     a pinned model fits only where another pinned one would go
└── ShuttingDown     the server stops
"""

from __future__ import annotations

from datetime import datetime


class Refusal(Exception):
    """A rule of the server, and no fault, ended a request; other rooms have some of their own."""


class SchedulingError(Refusal):
    """Base of everything the scheduler raises on purpose."""


class QueueFull(SchedulingError):
    """`limit` requests already wait for a model to be loaded, or for a turn at a loaded one."""

    def __init__(self, limit: int, thing: str = "a model to be loaded") -> None:
        super().__init__(f"{limit} requests already wait for {thing}; try again later")
        self.limit = limit


class TooManyWaiting(SchedulingError):
    """`limit` requests of this user wait already; in some `retry_after_s` one of them may not."""

    def __init__(self, user: str, limit: int, retry_after_s: float) -> None:
        super().__init__(
            f"{limit} requests of {user} already wait, as many as one user may have waiting here "
            "(max_waiting); send more when some of them are answered"
        )
        self.user, self.limit, self.retry_after_s = user, limit, retry_after_s


class NoRoomForPin(SchedulingError):
    """A model that is pinned fits only where another pinned one would go."""

    def __init__(self, model: str) -> None:
        super().__init__(f"there is no room for {model} beside the other models that are pinned")
        self.model = model


class QuotaSpent(SchedulingError):
    """`user` has used all of a quota; at `retry_at` some of it is free again."""

    def __init__(self, user: str, quota: str, retry_at: datetime) -> None:
        day = "" if retry_at.date() == datetime.now(retry_at.tzinfo).date() else "%A %d %B "
        whose = f"{user}'s" if user else "your"
        when = f"{retry_at:{day}%H:%M:%S %Z}"
        super().__init__(f"{whose} quota of {quota} is used up: there is more at {when}")
        self.user, self.quota, self.retry_at = user, quota, retry_at

    @property
    def retry_after_s(self) -> float:
        """Seconds until there is more."""
        return (self.retry_at - datetime.now(self.retry_at.tzinfo)).total_seconds()


class ShuttingDown(SchedulingError):
    """The server is about to stop and takes no more requests."""

    def __init__(self) -> None:
        super().__init__("the server is shutting down")
