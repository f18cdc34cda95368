"""Drives the decisions as the shell does, and holds them to their invariants after every event."""

from __future__ import annotations

import math

from ollama_nb_server.engine.messages import Loaded, LoadSpec
from ollama_nb_server.scheduling.decisions import Decisions, Phase
from ollama_nb_server.scheduling.events import (
    Grant,
    Left,
    LoadDone,
    Refuse,
    Requested,
    WorkerRequest,
)


def wanted(
    number: int,
    path: str = "a",
    *,
    num_ctx: int = 4096,
    keep_alive: float | None = None,
    explicit: frozenset[str] = frozenset(),
    adapters: tuple[str, ...] = (),
    **options: int,
) -> WorkerRequest:
    spec = LoadSpec(path, adapters=adapters, num_ctx=num_ctx, **options)
    return WorkerRequest(number, path, spec, explicit, keep_alive)


def loaded(num_ctx: int = 4096, num_ctx_train: int = 8192) -> Loaded:
    return Loaded(num_ctx, num_ctx_train, 4, 64, 512, False, "", "", 10, 0, 1)


def check_invariants(decisions: Decisions, now: float, known: set[int]) -> None:
    """What holds between two events; `known` are the requests that came and have not left."""
    runners = decisions.runners.values()
    waiting = [w.id for w in decisions.pending]
    users = [user for r in runners for user in r.users]

    assert decisions.next_wake() > now, "the timer would go off at once, again and again"
    assert sum(r.phase is Phase.LOADING for r in runners) <= 1
    assert len(runners) <= (decisions.max_loaded or math.inf)
    assert len({r.key for r in runners}) == len(runners)
    assert all(not r.users or r.phase is not Phase.LOADING for r in runners)
    assert len(decisions.pending) <= decisions.max_queue + 1
    assert len(set(waiting + users)) == len(waiting + users), "in two places at once"
    assert known.issuperset(waiting + users), "a place is held for nobody"
    assert not [w for w in decisions.pending if any(r.serves(w) for r in runners)]
    if waiting:
        assert any(r.phase is not Phase.READY or r.users for r in runners), "nothing will help them"


class Driver:
    """Feeds events, collects instructions, and checks the invariants after each event."""

    def __init__(self, **limits: float) -> None:
        self.decisions = Decisions(**limits)
        self.now = 0.0
        self.known: set[int] = set()

    def __call__(self, event: object, at: float | None = None) -> list[object]:
        self.now = self.now if at is None else at
        if isinstance(event, Requested):
            self.known.add(event.wanted.id)
        if isinstance(event, Left):
            self.known.discard(event.request)
        orders = self.decisions.handle(event, self.now)
        answered = [o.request for o in orders if isinstance(o, Grant | Refuse)]
        assert self.known.issuperset(answered), "an answer to nobody"
        check_invariants(self.decisions, self.now, self.known)
        return orders

    def load(self, request: WorkerRequest, info: Loaded | None = None) -> int:
        (order,) = self(Requested(request))
        self(LoadDone(order.runner, info or loaded()))
        return order.runner
