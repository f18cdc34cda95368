"""The requests that have begun and are not over, for who looks at a server and may end them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ollama_nb_server.wire.extras import Extras


@dataclass(slots=True, eq=False)
class LiveRequest:
    """One of them; `began` is seconds since the epoch, `end` ends it as its server's wish.

    `extras` tells how far it is, as the heartbeats of its stream do; None before anybody can say.
    """

    id: int
    user: str
    verb: str
    model: str
    began: float
    end: Callable[[], None]
    is_answered: Callable[[], bool]  # whether something of an answer has been sent
    extras: Callable[[], Extras] | None = None


@dataclass(slots=True)
class LiveRequests:
    """All of them, in the order in which they came."""

    clock: Callable[[], float] = time.time
    _live: dict[int, LiveRequest] = field(default_factory=dict)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def enter(
        self,
        user: str,
        verb: str,
        model: str,
        end: Callable[[], None],
        is_answered: Callable[[], bool],
    ) -> LiveRequest:
        """Take note of one that begins."""
        live = LiveRequest(next(self._ids), user, verb, model, self.clock(), end, is_answered)
        self._live[live.id] = live
        return live

    def follow(self, number: int, extras: Callable[[], Extras]) -> None:
        """Note who tells how far a request is; one that nobody looks at has the number 0."""
        if live := self._live.get(number):
            live.extras = extras

    def leave(self, live: LiveRequest) -> None:
        """Forget one that is over."""
        self._live.pop(live.id, None)

    def of(self, user: str | None) -> list[LiveRequest]:
        """Those of a user; None: everybody's."""
        return [live for live in self._live.values() if user is None or live.user == user]

    def end(self, number: int, user: str | None) -> bool:
        """End one, if it is this user's (None: whoever's); whether there was one."""
        live = self._live.get(number)
        if live is None or (user is not None and live.user != user):
            return False
        live.end()
        return True
