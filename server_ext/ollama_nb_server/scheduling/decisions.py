"""The scheduler's policy: events in, instructions out. No I/O, no clock, no await.

A runner is LOADING, READY, or STOPPING. Requests for a fitting ready runner are granted at once
(slots are the worker's affair); all others wait in order, and one load happens at a time.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from ollama_nb_server.engine.messages import Loaded
from ollama_nb_server.scheduling.errors import QueueFull
from ollama_nb_server.scheduling.events import (
    Ended,
    Event,
    Grant,
    Instruction,
    Left,
    Load,
    LoadBroke,
    LoadDone,
    Refuse,
    Requested,
    Stop,
    Tick,
    UnloadAsked,
    WorkerRequest,
)

# What a worker is made of; only where a request sets one of these it can want another worker.
LOAD_OPTIONS = frozenset(
    {"num_batch", "num_thread", "num_gpu", "main_gpu", "use_mmap", "use_mlock", "numa"}
)
# What changes the answers: no request is served by a worker that has them otherwise.
IDENTITY = ("adapters", "rope_frequency_base", "rope_frequency_scale")


class Phase(Enum):
    """Where a runner is in its life."""

    LOADING = "loading"
    READY = "ready"
    STOPPING = "stopping"


@dataclass(slots=True)
class Runner:
    """One worker as the policy sees it. `retiring` runners take no new requests."""

    id: int
    wanted: WorkerRequest
    keep_alive: float
    phase: Phase = Phase.LOADING
    info: Loaded | None = None
    users: set[int] = field(default_factory=set)
    expires: float = math.inf
    retiring: bool = False

    @property
    def key(self) -> str:
        """The weights it serves."""
        return self.wanted.key

    @property
    def idle(self) -> bool:
        """Ready, and nobody uses it."""
        return self.phase is Phase.READY and not self.users

    def fits(self, wanted: WorkerRequest) -> bool:
        """Whether the loaded worker can serve the request as it is."""
        info = self.info
        if wanted.spec == self.wanted.spec:
            return True  # also where the engine gave less than was asked: a reload gives no more
        if info is None or any(self._differs(wanted, name) for name in IDENTITY):
            return False
        if min(wanted.spec.num_ctx, info.num_ctx_train) > info.num_ctx:
            return False
        return not any(self._differs(wanted, name) for name in LOAD_OPTIONS & wanted.explicit)

    def _differs(self, wanted: WorkerRequest, name: str) -> bool:
        return bool(getattr(wanted.spec, name) != getattr(self.wanted.spec, name))

    def serves(self, wanted: WorkerRequest) -> bool:
        """Whether the request may be granted now."""
        return (
            self.phase is Phase.READY
            and not self.retiring
            and self.key == wanted.key
            and self.fits(wanted)
        )


@dataclass(slots=True)
class Decisions:
    """All state of the scheduler. `handle` is the only method that changes it."""

    max_loaded: int = 3
    max_queue: int = 512
    default_keep_alive: float = 300.0
    runners: dict[int, Runner] = field(default_factory=dict)
    pending: deque[WorkerRequest] = field(default_factory=deque)
    _next_runner: int = 1
    _orders: list[Instruction] = field(default_factory=list)

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """Take one event, and say what is to be done."""
        self._orders = []
        match event:
            case Requested(wanted):
                self._requested(wanted, now)
            case Left(request):
                self._left(request, now)
            case LoadDone(runner, info):
                self._load_done(runner, info, now)
            case LoadBroke(runner, error):
                self._load_broke(runner, error)
            case Ended(runner):
                self.runners.pop(runner, None)
            case UnloadAsked(key):
                self._unload(key, now)
            case Tick():
                pass
        self._grant_all(now)
        self._expire(now)
        if self.pending:
            self._make_room(self.pending[0])
        return self._orders

    def next_wake(self) -> float:
        """When a Tick is due: the earliest expiry of an idle runner (`inf`: never)."""
        return min((r.expires for r in self.runners.values() if r.idle), default=math.inf)

    # --- events -----------------------------------------------------------------------------------

    def _requested(self, wanted: WorkerRequest, now: float) -> None:
        runner = self._serving(wanted)
        if runner is not None:
            self._grant(wanted, runner, now)
        elif len(self.pending) > self.max_queue:  # the one being worked on does not count
            self._orders.append(Refuse(wanted.id, QueueFull(self.max_queue)))
        else:
            self.pending.append(wanted)

    def _left(self, request: int, now: float) -> None:
        self.pending = deque(w for w in self.pending if w.id != request)
        for runner in self.runners.values():
            if request in runner.users:
                runner.users.discard(request)
                runner.expires = now if runner.retiring else now + runner.keep_alive
        for runner in self.runners.values():
            if runner.phase is Phase.LOADING and not self._awaited(runner):
                self._stop(runner, "nobody waits for it any more")

    def _load_done(self, number: int, info: Loaded, now: float) -> None:
        runner = self.runners[number]
        if runner.phase is Phase.STOPPING:  # the word to stop came too late to break the load
            self._stop(runner, "nobody waits for it any more")
            return
        runner.phase, runner.info = Phase.READY, info
        runner.expires = now + runner.keep_alive

    def _load_broke(self, number: int, error: BaseException) -> None:
        runner = self.runners.pop(number)
        if runner.phase is Phase.STOPPING:  # it broke because it was told to go
            return
        refused = [w for w in self.pending if w.spec == runner.wanted.spec]
        self.pending = deque(w for w in self.pending if w.spec != runner.wanted.spec)
        self._orders.extend(Refuse(w.id, error) for w in refused)

    def _unload(self, key: str, now: float) -> None:
        for runner in self.runners.values():
            if runner.key == key and runner.phase is not Phase.STOPPING:
                runner.keep_alive, runner.expires = 0.0, now
                runner.retiring = runner.phase is Phase.READY

    # --- policy -----------------------------------------------------------------------------------

    def _grant_all(self, now: float) -> None:
        """Grant whatever can be granted."""
        waiting, self.pending = self.pending, deque()
        for wanted in waiting:
            runner = self._serving(wanted)
            if runner is None:
                self.pending.append(wanted)
            else:
                self._grant(wanted, runner, now)

    def _expire(self, now: float) -> None:
        """Stop what is idle and either retiring or past its keep-alive.

        Whoever still waits could not be served by it, so nobody is asked: an idle runner that
        outlived its time would have the timer go off without end.
        """
        for runner in self.runners.values():
            if runner.idle and (runner.retiring or runner.expires <= now):
                self._stop(runner, "retired" if runner.retiring else "its keep-alive is over")

    def _make_room(self, wanted: WorkerRequest) -> None:
        same = next((r for r in self.runners.values() if r.key == wanted.key), None)
        if same is not None:
            if same.phase is Phase.READY:
                self._retire(same, "other load options are wanted")
        elif any(r.phase is not Phase.READY for r in self.runners.values()):
            return  # one load at a time, and none beside a process that still holds its memory
        elif self.max_loaded and len(self.runners) >= self.max_loaded:
            self._retire(self._victim(), "its place is needed")
        else:
            self._load(wanted)

    def _victim(self) -> Runner:
        """The shortest keep-alive goes first, then by path; an idle one before a busy one."""
        order = sorted(self.runners.values(), key=lambda r: (r.keep_alive, r.key))
        retiring = next((r for r in order if r.retiring), None)
        return retiring or next((r for r in order if r.idle), order[0])

    def _serving(self, wanted: WorkerRequest) -> Runner | None:
        return next((r for r in self.runners.values() if r.serves(wanted)), None)

    def _awaited(self, runner: Runner) -> bool:
        return any(w.key == runner.key for w in self.pending)

    # --- instructions -----------------------------------------------------------------------------

    def _grant(self, wanted: WorkerRequest, runner: Runner, now: float) -> None:
        if wanted.keep_alive is not None:
            runner.keep_alive = wanted.keep_alive
        runner.users.add(wanted.id)
        runner.expires = now + runner.keep_alive
        self._orders.append(Grant(wanted.id, runner.id))

    def _load(self, wanted: WorkerRequest) -> None:
        runner = Runner(self._next_runner, wanted, self.default_keep_alive)
        self._next_runner += 1
        self.runners[runner.id] = runner
        self._orders.append(Load(runner.id, wanted.spec))

    def _retire(self, runner: Runner, reason: str) -> None:
        runner.retiring = True
        if runner.idle:
            self._stop(runner, reason)

    def _stop(self, runner: Runner, reason: str) -> None:
        runner.phase = Phase.STOPPING
        self._orders.append(Stop(runner.id, reason))
