"""The scheduler's policy: events in, instructions out. No I/O, no clock, no await.

A runner is LOADING, READY, or STOPPING. Requests for a fitting ready runner are granted at once
(slots are the worker's affair). All others wait, the more urgent first, then as they came, but of
several users the one comes first who had fewer loads. One load happens at a time. What is loaded
has its size, and a model that does not fit beside it has the least needed idle one go first; a load
that fails for memory does so too, before it is refused. Who waits for a busy runner to drain holds
up nobody behind, and nobody in front of the runner's door either until its patience is over.
"""

from __future__ import annotations

import math
import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ollama_nb_server.engine.errors import NotEnoughMemory, WorkerDied
from ollama_nb_server.engine.messages import Loaded, LoadSpec
from ollama_nb_server.scheduling.errors import (
    NoRoomForPin,
    QueueFull,
    SchedulingError,
    TooManyWaiting,
)
from ollama_nb_server.scheduling.events import (
    Ended,
    Event,
    Grant,
    Instruction,
    Left,
    Load,
    LoadBroke,
    LoadDone,
    PinsChanged,
    Refuse,
    Requested,
    Resized,
    Stop,
    Tick,
    UnloadAsked,
    WorkerRequest,
)
from ollama_nb_server.scheduling.fairness import is_crowded
from ollama_nb_server.scheduling.runner import Phase, Runner

RETRY_AFTER_S = 10.0  # what a refused request is told where nobody knows how long a load takes
PATIENCE_S = 10.0  # so long newcomers of a busy runner pass by those who wait until it has drained

KEPT_ENOUGH, NO_PLACE = "its keep-alive is over", "its place is needed"
NO_MEMORY = "its memory is needed"
OTHER_OPTIONS, NOT_AWAITED = "other load options are wanted", "nobody waits for it any more"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request without a worker, since when."""

    wanted: WorkerRequest
    since: float


@dataclass(slots=True)
class Decisions:
    """All state of the scheduler. `handle` is the only method that changes it.

    `memory_bytes` is what the host has for all models together (0: unknown, loads find out), and
    `max_waiting` how many requests of one user may wait. With
    `reload_on_request`, load options that change no answer are waited for too, as in Ollama.
    """

    max_loaded: int = 3
    max_queue: int = 512
    default_keep_alive: float = 300.0
    reload_on_request: bool = False
    memory_bytes: int = 0
    max_waiting: int | None = None
    runners: dict[int, Runner] = field(default_factory=dict)
    pending: list[Waiting] = field(default_factory=list)
    pins: dict[str, float] = field(default_factory=dict)
    _crowds: dict[LoadSpec, set[int]] = field(default_factory=dict)  # beside which it did not fit
    _loads: dict[str, int] = field(default_factory=dict)  # of users who wait, since they do
    _ranks: dict[int, tuple[int, int, int]] = field(default_factory=dict)  # of those who wait
    _next_runner: int = 1
    _orders: list[Instruction] = field(default_factory=list)

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """Take one event, and say what is to be done."""
        self._orders = []
        self._change_pins({key: end for key, end in self.pins.items() if end > now}, now)
        match event:
            case Requested(wanted):
                self._requested(wanted, now)
            case Left(request):
                self._left(request, now)
            case LoadDone(runner, info):
                self._load_done(runner, info, now)
            case LoadBroke(runner, error):
                self._load_broke(runner, error)
            case Resized(runner, size_bytes):
                self.runners[runner].size_bytes = size_bytes
            case Ended(runner):
                self.runners.pop(runner, None)
            case UnloadAsked(key):
                self._unload(key, now)
            case PinsChanged(pins):
                self._change_pins(pins, now)
            case Tick():
                pass
        self._sort()
        self._grant_all(now)
        self._expire(now)
        self._make_room()
        self._sort()
        awaited = {waiting.wanted.spec for waiting in self.pending}
        self._crowds = {spec: crowd for spec, crowd in self._crowds.items() if spec in awaited}
        return self._orders

    def next_wake(self) -> float:
        """When a Tick is due: the earliest expiry of an idle runner, or end of its pin.

        `inf`: never.
        """
        idle = [runner for runner in self.runners.values() if runner.idle]
        return min((self.pins.get(r.key, r.expires) for r in idle), default=math.inf)

    def expires(self, runner: Runner) -> float:
        """When a runner goes that nobody uses any more."""
        kept = self.pins.get(runner.key, -math.inf) + runner.keep_alive
        return max(runner.expires, kept)

    def serving(self, wanted: WorkerRequest, now: float) -> Runner | None:
        """The runner that may take a request now.

        An idle one is loaded anew if it has other load options; a busy one serves as it is.
        """
        for runner in self.runners.values():
            as_loaded = runner.users and not self.reload_on_request
            if runner.can_serve(wanted) and (as_loaded or not runner.unlike(wanted)):
                return None if self._is_shut(runner, wanted, now) else runner
        return None

    def in_the_way(self, wanted: WorkerRequest) -> Runner | None:
        """The runner that has to go before this request can have one of its own."""
        same = next((r for r in self.runners.values() if r.key == wanted.key), None)
        if same is not None:
            return same
        full = self.max_loaded and len(self.runners) >= self.max_loaded
        return self._victim() if full or not self._fits(wanted) else None

    # --- events -----------------------------------------------------------------------------------

    def _requested(self, wanted: WorkerRequest, now: float) -> None:
        if self.serving(wanted, now) is None and (refusal := self._refusal(wanted)):
            self._orders.append(Refuse(wanted.id, refusal))
            return
        waiting = {w.wanted.user for w in self.pending}
        if wanted.user not in waiting:  # nobody saves up turns
            self._loads[wanted.user] = min((self._loads[user] for user in waiting), default=0)
        self.pending.append(Waiting(wanted, now))
        self._sort()

    def _refusal(self, wanted: WorkerRequest) -> SchedulingError | None:
        """Why one more may not wait; the one that is being worked on does not count."""
        waiting = Counter(w.wanted.user for w in self.pending)
        most = self.max_waiting
        if wanted.user and most is not None and waiting[wanted.user] > most:
            return TooManyWaiting(wanted.user, most, RETRY_AFTER_S)
        if is_crowded(waiting, wanted.user, self.max_queue + 1):
            return QueueFull(self.max_queue)
        return None

    def _sort(self) -> None:
        """Order those who wait: see `rank`."""
        before = Counter[str]()
        self._ranks = {}
        for wanted in sorted((w.wanted for w in self.pending), key=lambda w: w.rank):
            turn = self._loads.get(wanted.user, 0) + before[wanted.user]
            self._ranks[wanted.id] = wanted.priority, turn, wanted.id
            before[wanted.user] += 1
        self.pending.sort(key=lambda waiting: self._ranks[waiting.wanted.id])
        self._loads = {user: n for user, n in self._loads.items() if user in before}

    def rank(self, wanted: WorkerRequest) -> tuple[int, int, int]:
        """A request's place in the queue, the smallest first.

        The more urgent come first; then they whose users had fewer loads, counting those that will
        come before; then first come.
        """
        if wanted.id in self._ranks:
            return self._ranks[wanted.id]
        own = [w.wanted.rank for w in self.pending if w.wanted.user == wanted.user]
        before = sum(rank < wanted.rank for rank in own)
        return wanted.priority, self._loads.get(wanted.user, 0) + before, wanted.id

    def _left(self, request: int, now: float) -> None:
        self.pending = [w for w in self.pending if w.wanted.id != request]
        for runner in self.runners.values():
            if request in runner.users:
                runner.users.discard(request)
                runner.used = now
                runner.expires = now + runner.keep_alive
            if runner.phase is Phase.LOADING and not self._awaited(runner):
                self._stop(runner, NOT_AWAITED)

    def _load_done(self, number: int, info: Loaded, now: float) -> None:
        runner = self.runners[number]
        if runner.phase is Phase.STOPPING:  # the word to stop came too late to break the load
            self._stop(runner, NOT_AWAITED)
            return
        runner.phase, runner.info, runner.size_bytes = Phase.READY, info, info.size_bytes
        runner.expires = now + runner.keep_alive

    def _load_broke(self, number: int, error: BaseException) -> None:
        runner = self.runners.pop(number)
        if runner.phase is Phase.STOPPING:  # it broke because it was told to go
            return
        if self.runners and _is_of_memory(error):
            self._crowds[runner.wanted.spec] = set(self.runners)
            return  # until one of them has gone
        refused = [w.wanted for w in self.pending if w.wanted.spec == runner.wanted.spec]
        self.pending = [w for w in self.pending if w.wanted.spec != runner.wanted.spec]
        self._orders.extend(Refuse(wanted.id, error) for wanted in refused)

    def _change_pins(self, pins: Mapping[str, float], now: float) -> None:
        """What is pinned no more goes on with its usual keep-alive."""
        for runner in self.runners.values():
            if runner.key in self.pins and runner.key not in pins:
                runner.expires = max(runner.expires, now + runner.keep_alive)
        self.pins = dict(pins)

    def _unload(self, key: str, now: float) -> None:
        """Let it go with its last user; who comes until then is served."""
        for runner in self.runners.values():
            spec = runner.wanted.spec
            has = key in (runner.key, *spec.adapters, spec.projector, spec.draft)
            if has and runner.phase is not Phase.STOPPING:
                runner.keep_alive, runner.expires = 0.0, now
                self.pins.pop(runner.key, None)

    # --- policy -----------------------------------------------------------------------------------

    def _grant_all(self, now: float) -> None:
        """Grant whatever can be granted; a grant makes a runner busy, which may serve others."""
        granted = True
        while granted:
            granted = False
            for waiting in self.pending[:]:
                runner = self.serving(waiting.wanted, now)
                if runner is not None:
                    self.pending.remove(waiting)
                    self._grant(waiting.wanted, runner, now)
                    granted = True

    def _expire(self, now: float) -> None:
        """Stop what is idle and past its keep-alive.

        Whoever still waits could not be served by it, so nobody is asked: an idle runner that
        outlived its time would have the timer go off without end.
        """
        for runner in self.runners.values():
            if runner.idle and runner.expires <= now and runner.key not in self.pins:
                self._stop(runner, KEPT_ENOUGH)

    def _make_room(self) -> None:
        """See to those who wait, in order: load, or stop what is idle and in the way.

        One load at a time, and none beside a process that still holds its memory. Where a busy
        runner is in the way nothing is done: it drains.
        """
        for waiting in self.pending[:]:
            if any(r.phase is not Phase.READY for r in self.runners.values()):
                return
            runner = self.in_the_way(waiting.wanted)
            if runner is None:
                self._load(waiting.wanted)
            elif waiting.wanted.for_pin and runner.key in self.pins:
                self.pending.remove(waiting)
                self._orders.append(Refuse(waiting.wanted.id, NoRoomForPin(waiting.wanted.label)))
            elif runner.idle:
                self._stop(runner, self._why(runner, waiting.wanted))

    def _why(self, runner: Runner, wanted: WorkerRequest) -> str:
        """Why a runner goes for somebody's sake."""
        if runner.key == wanted.key:
            return OTHER_OPTIONS
        return NO_PLACE if self._fits(wanted) else NO_MEMORY

    def _fits(self, wanted: WorkerRequest) -> bool:
        """Whether a model may fit beside those that are loaded; what fits a GPU, its load finds."""
        crowd = self._crowds.get(wanted.spec)
        if crowd and crowd <= self.runners.keys():
            return False
        runners = self.runners.values()
        on_gpu = any(r.info is not None and r.info.vram_bytes for r in runners)
        if not runners or not self.memory_bytes or on_gpu:
            return True
        return sum(r.host_bytes for r in runners) + wanted.need_bytes <= self.memory_bytes

    def _is_shut(self, runner: Runner, wanted: WorkerRequest, now: float) -> bool:
        """Whether somebody before this request has waited long enough for the runner to drain.

        Nothing of that is kept: when those who waited have left, the runner is open again.
        """
        return any(
            w.since + PATIENCE_S <= now
            and self.rank(w.wanted) < self.rank(wanted)
            and self.in_the_way(w.wanted) is runner
            for w in self.pending
        )

    def _victim(self) -> Runner | None:
        """The shortest keep-alive goes first, among equal ones the least recently used.

        An idle one goes before a busy one; one that is pinned goes only where there is no other.
        """
        ready = [r for r in self.runners.values() if r.phase is Phase.READY]
        free = [runner for runner in ready if runner.key not in self.pins]
        order = sorted(free or ready, key=lambda r: (r.keep_alive, r.used, r.key))
        return next((r for r in order if r.idle), order[0] if order else None)

    def _awaited(self, runner: Runner) -> bool:
        return any(w.wanted.key == runner.key for w in self.pending)

    # --- instructions -----------------------------------------------------------------------------

    def _grant(self, wanted: WorkerRequest, runner: Runner, now: float) -> None:
        if wanted.keep_alive is not None:
            runner.keep_alive = wanted.keep_alive
        runner.users.add(wanted.id)
        runner.used = now
        runner.expires = now + runner.keep_alive
        self._orders.append(Grant(wanted.id, runner.id, runner.unlike(wanted)))

    def _load(self, wanted: WorkerRequest) -> None:
        spec = replace(wanted.spec, whole=bool(self.runners))
        runner = Runner(self._next_runner, wanted, self.default_keep_alive)
        self._next_runner += 1
        self._loads[wanted.user] = self._loads.get(wanted.user, 0) + 1
        self.runners[runner.id] = runner
        self._orders.append(Load(runner.id, spec))

    def _stop(self, runner: Runner, reason: str) -> None:
        runner.phase = Phase.STOPPING
        self._orders.append(Stop(runner.id, reason))


def _is_of_memory(error: BaseException) -> bool:
    """Whether a load broke because memory was short; the system kills without a word."""
    killed = getattr(signal, "SIGKILL", None)
    if isinstance(error, WorkerDied):
        return error.loading and killed is not None and error.signal == killed
    return isinstance(error, NotEnoughMemory)
