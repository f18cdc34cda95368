"""Drives the decisions as the shell does, and holds them to their invariants after every event."""

from __future__ import annotations

import math
from dataclasses import replace

from ollama_nb_server.engine.messages import Loaded, LoadSpec
from ollama_nb_server.scheduling.decisions import Decisions
from ollama_nb_server.scheduling.events import (
    Grant,
    Left,
    Load,
    LoadDone,
    Refuse,
    Requested,
    WorkerRequest,
)
from ollama_nb_server.scheduling.runner import Phase


def wanted(
    number: int,
    path: str = "a",
    *,
    num_ctx: int = 4096,
    keep_alive: float | None = None,
    priority: int = 0,
    explicit: frozenset[str] = frozenset(),
    adapters: tuple[str, ...] = (),
    need_bytes: int = 0,
    least_ctx: int = 0,
    user: str = "",
    **options: int,
) -> WorkerRequest:
    spec = LoadSpec(path, adapters=adapters, num_ctx=num_ctx, **options)
    limits = need_bytes, least_ctx
    return WorkerRequest(number, path, spec, explicit, keep_alive, priority, *limits, user=user)


def loaded(
    num_ctx: int = 4096, num_ctx_train: int = 8192, size_bytes: int = 10, vram_bytes: int = 0
) -> Loaded:
    sizes = {"size_bytes": size_bytes, "vram_bytes": vram_bytes}
    return Loaded(num_ctx, num_ctx_train, 4, 64, 512, False, "", "", load_ns=1, **sizes)


def load_beside_others(runner: int, request: WorkerRequest) -> Load:
    """The load of a model while another one is there: it may let that one go first."""
    return Load(runner, replace(request.spec, whole=True))


def check_invariants(decisions: Decisions, now: float, known: set[int]) -> None:
    """What holds between two events; `known` are the requests that came and have not left."""
    runners = list(decisions.runners.values())
    waiting = [w.wanted for w in decisions.pending]
    served = [user for r in runners for user in r.users]
    everybody = [w.id for w in waiting] + served

    assert decisions.next_wake() > now, "the timer would go off at once, again and again"
    assert sum(r.phase is Phase.LOADING for r in runners) <= 1
    assert len(runners) <= (decisions.max_loaded or math.inf)
    assert len({r.key for r in runners}) == len(runners)
    assert all(not r.users or r.phase is not Phase.LOADING for r in runners)
    for user in {w.user for w in waiting}:
        own = sum(w.user == user for w in waiting)
        assert own <= decisions.max_queue + 1
    ranks = [decisions.rank(w) for w in waiting]
    assert ranks == sorted(ranks)
    assert len(set(everybody)) == len(everybody), "a request is in two places"
    assert known.issuperset(everybody), "a place is held for nobody"
    assert not [w for w in waiting if decisions.serving(w, now)], "one waits that could be served"
    if all(r.phase is Phase.READY for r in runners):
        in_the_way = [decisions.in_the_way(w) for w in waiting]
        assert all(r and r.users for r in in_the_way), "one waits for nothing"


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
