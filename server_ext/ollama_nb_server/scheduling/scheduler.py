"""The asyncio shell around the decisions: it loads, grants, stops and wakes up as it is told.

Owns the workers and the timer. Every decision is one log line; why it was taken is decided in
`decisions`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from ollama_nb_server.engine.client import End, EngineClient
from ollama_nb_server.engine.errors import WorkerDied
from ollama_nb_server.engine.messages import EngineStats, Loaded, LoadSpec
from ollama_nb_server.engine.process import Worker
from ollama_nb_server.scheduling.activity import ModelActivity, ModelMemory
from ollama_nb_server.scheduling.context import NOBODY, Caller, RequestContext
from ollama_nb_server.scheduling.decisions import Decisions
from ollama_nb_server.scheduling.entry import Entry
from ollama_nb_server.scheduling.errors import ShuttingDown
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
from ollama_nb_server.scheduling.lease import Lease, LoadedWorker
from ollama_nb_server.scheduling.runner import Phase, Runner
from ollama_nb_server.scheduling.shares import ALONE, Shares
from ollama_nb_server.scheduling.usage import (
    ACCOUNTED,
    Account,
    Asked,
    LoadEnded,
    Unloaded,
    WorkerEnded,
    to_log,
)

log = logging.getLogger(__name__)

Admit = Callable[[Caller], None]


def everybody(_: Caller) -> None:
    """Turn nobody away."""


class StartWorker(Protocol):
    """Starts a worker for a spec; raises what the engine raises."""

    def __call__(
        self, spec: LoadSpec, progress: Callable[[float], None], /
    ) -> Awaitable[EngineClient]:
        """Return a worker that is ready; tell meanwhile the part of the weights that is read."""


@dataclass(frozen=True, slots=True)
class RunningModel:
    """A loaded or loading model as `ps` shows it; `model` is what its first request gave along.

    `expires_at` is seconds since the epoch, `inf` for good. While it loads, its size is 0 and its
    memory untold.
    """

    label: str
    weights: str
    size_bytes: int
    vram_bytes: int
    num_ctx: int
    expires_at: float
    model: object = None
    memory: ModelMemory | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a request stands that has no worker yet: 1 is next; `loading`, its model comes.

    `fraction` is the part of the weights that has been read, from 0 to 1; None: nobody has said.
    """

    place: int
    loading: bool
    fraction: float | None = None


class Scheduler:
    """Hands out workers. One per server; use it on one event loop only."""

    def __init__(
        self,
        *,
        max_loaded: int = 3,
        max_queue: int = 512,
        default_keep_alive: float = 300.0,
        reload_on_request: bool = False,
        memory_bytes: int = 0,
        start_worker: StartWorker = Worker.start,
        account: Account = to_log,
        shares: Shares = ALONE,
        admit: Admit = everybody,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._decisions = Decisions(
            max_loaded,
            max_queue,
            default_keep_alive,
            reload_on_request,
            memory_bytes,
            shares.max_waiting,
        )
        self._max_queue, self._shares = max_queue, shares
        self._start_worker, self._account, self._clock = start_worker, account, clock
        self._admit = admit
        self._ids = itertools.count(1)
        self._granted: dict[int, asyncio.Future[tuple[LoadedWorker, Grant]]] = {}
        self._workers: dict[int, LoadedWorker] = {}
        self._loading: dict[int, asyncio.Future[EngineClient]] = {}
        self._read: dict[int, float] = {}  # of the weights of runners that load, 0 to 1
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._closed = False

    @asynccontextmanager
    async def lease(
        self,
        spec: LoadSpec,
        *,
        label: str,
        digest: str = "",
        explicit: frozenset[str] = frozenset(),
        keep_alive: float | None = None,
        context: RequestContext = NOBODY,
        least_ctx: int = 0,
        need_bytes: int = 0,
        model: object = None,
        notes: tuple[str, ...] = (),
        ticket: int | None = None,
        apart: bool = False,
        for_pin: bool = False,
    ) -> AsyncIterator[Lease]:
        """Wait for a worker that fits, and hold it until the block is left.

        Parameters
        ----------
        digest
            The model's, for the accounts.
        least_ctx
            A smaller context than the spec's that will do where it is loaded; 0: none will.
        need_bytes
            What the model's files take of memory at least.
        notes
            What the client should know besides.
        for_pin
            It waits for no place that another pinned model has.
        apart
            Have no worker loaded anew that serves others with the same weights, for the sake of
            adapters and the like.
        ticket
            From `ticket()`, if somebody wants to ask for the request's position meanwhile.

        Raises
        ------
        QueueFull, QuotaSpent, ShuttingDown
            If no place in the queue or nothing of the caller's quota is left, or the server stops.
        LoadFailed, NotEnoughMemory, WorkerDied
            If the model could not be loaded.
        """
        if self._closed:
            raise ShuttingDown
        began = time.perf_counter_ns()
        self._bury()
        self._note_sizes()
        number = self.ticket() if ticket is None else ticket
        wanted = WorkerRequest(
            number,
            label,
            spec,
            explicit,
            keep_alive,
            context.priority,
            need_bytes,
            least_ctx,
            model,
            apart,
            self._shares.user(context),
            for_pin,
        )
        asked = Asked(number, context.user, context.verb, label, digest, time.time())
        with Entry(asked, self._account) as entry:
            if context.verb in ACCOUNTED:
                context.receipt.number = number
            admit = partial(self._admit if context.verb in ACCOUNTED else everybody, context.caller)
            admit()
            async with self._worker_for(wanted) as (worker, grant):
                granted = time.perf_counter_ns()
                yield Lease(
                    worker,
                    began,
                    max(granted - began, 1),
                    label,
                    context,
                    entry,
                    admit,
                    grant.unlike,
                    worker.loading_ns(began, granted),
                    notes=notes,
                )

    @asynccontextmanager
    async def _worker_for(self, wanted: WorkerRequest) -> AsyncIterator[tuple[LoadedWorker, Grant]]:
        """Wait for a worker, and have it until the block is left."""
        future = self._granted[wanted.id] = asyncio.get_running_loop().create_future()
        try:
            self._tell(Requested(wanted))
            yield await future
        finally:
            del self._granted[wanted.id]
            self._tell(Left(wanted.id))

    def ticket(self) -> int:
        """A number for a request that is about to wait."""
        return next(self._ids)

    def position(self, ticket: int) -> Position | None:
        """Where a request stands; None for one that does not wait for a worker."""
        pending = self._decisions.pending
        place = next((i for i, w in enumerate(pending) if w.wanted.id == ticket), None)
        if place is None:
            return None
        key = pending[place].wanted.key
        runners = self._decisions.runners.values()
        loading = [r.id for r in runners if r.phase is Phase.LOADING and r.key == key]
        fraction = max((self._read[r] for r in loading if r in self._read), default=None)
        return Position(place + 1, bool(loading), fraction)

    @property
    def num_express(self) -> int:
        """How many slots beyond the usual ones a load is to have for users with nothing running."""
        return self._shares.num_express

    def unload(self, weights: str) -> None:
        """Unload a model once nobody uses it; nothing happens if it is not loaded."""
        self._tell(UnloadAsked(weights))

    def pin(self, seconds: Mapping[str, float]) -> None:
        """Keep the weights of these paths for so long, needed or not, and no others any more."""
        now = self._clock()
        self._tell(PinsChanged({key: now + left for key, left in seconds.items()}))

    @property
    def pins(self) -> Mapping[str, float]:
        """What is pinned, and until when by the scheduler's clock."""
        return self._decisions.pins

    def running(self) -> list[RunningModel]:
        """What is loaded or loads, the one that stays longest first; what ends is left out."""
        self._note_sizes()
        offset = time.time() - self._clock()
        shown = [
            self._shown(runner, runner.info, offset)
            for runner in self._decisions.runners.values()
            if runner.phase is not Phase.STOPPING
        ]
        return sorted(shown, key=lambda r: -r.expires_at)

    def activity(self) -> list[ModelActivity]:
        """What goes on now: an entry for each runner, and one for each model that is waited for."""
        waiting = Counter(w.wanted.label for w in self._decisions.pending)
        runners = [self._activity(runner) for runner in self._decisions.runners.values()]
        return [*runners, *(ModelActivity(name, num_waiting=n) for name, n in waiting.items())]

    async def close(self) -> None:
        """Stop every worker; requests that still wait are refused."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        for future in self._granted.values():
            if not future.done():
                future.set_exception(ShuttingDown())
        loading = list(self._loading.values())
        for task in loading:
            task.cancel()
        await asyncio.gather(*loading, return_exceptions=True)
        await asyncio.gather(*(w.client.stop() for w in list(self._workers.values())))
        for watcher in list(self._tasks):
            watcher.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- events in, instructions out --------------------------------------------------------------

    def _tell(self, event: Event) -> None:
        for order in self._decisions.handle(event, self._clock()):
            self._obey(order)
        self._set_alarm()

    def _obey(self, order: Instruction) -> None:
        if self._closed:
            return
        log.debug("%s", order)
        match order:
            case Load(runner, spec):
                self._load(runner, spec)
            case Grant(request, runner):
                self._answer(request, (self._workers[runner], order))
            case Refuse(request, error):
                self._answer(request, error)
            case Stop(runner, reason):
                self._stop(runner, reason)

    def _answer(self, request: int, answer: tuple[LoadedWorker, Grant] | BaseException) -> None:
        future = self._granted.get(request)
        if future is None or future.done():
            return
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    # --- workers ----------------------------------------------------------------------------------

    def _load(self, runner: int, spec: LoadSpec) -> None:
        log.info("loading %s (context %d)", spec.model_path, spec.num_ctx)
        progress = partial(self._read.__setitem__, runner)
        starting = self._start_worker(spec, progress)
        task: asyncio.Future[EngineClient] = asyncio.ensure_future(starting)
        self._loading[runner] = task
        began = self._clock(), time.perf_counter_ns()
        task.add_done_callback(partial(self._loaded, runner, *began))

    def _loaded(
        self, runner: int, began: float, began_ns: int, task: asyncio.Future[EngineClient]
    ) -> None:
        del self._loading[runner]
        self._read.pop(runner, None)
        self._record_load(runner, self._clock() - began, task)
        if task.cancelled():
            self._tell(Ended(runner))
        elif (error := task.exception()) is not None:
            log.warning("loading failed: %s", error)
            self._tell(LoadBroke(runner, error))
        else:
            worker = task.result()
            took = began_ns, time.perf_counter_ns()
            self._workers[runner] = LoadedWorker(worker, self._max_queue, took, self._shares)
            self._spawn(self._watch(runner, worker))
            self._tell(LoadDone(runner, worker.info))

    def _record_load(self, runner: int, took_s: float, task: asyncio.Future[EngineClient]) -> None:
        label = self._label(runner)
        if task.cancelled():
            self._account(LoadEnded(label, End.CANCELLED, took_s))
            return
        how = End.FINISHED if task.exception() is None else End.FAILED
        self._account(LoadEnded(label, how, took_s))
        if isinstance(task.exception(), WorkerDied):
            self._account(WorkerEnded(label, EngineStats(), crashed=True))

    async def _watch(self, runner: int, worker: EngineClient) -> None:
        died = await worker.wait_dead()
        if runner in self._workers:
            log.info("runner %d ended: %s", runner, died.cause)
            self._ended(runner)

    def _bury(self) -> None:
        """Notice deaths that `_watch` has not told of yet: nobody gets a dead worker."""
        for runner, worker in list(self._workers.items()):
            if not worker.client.alive:
                self._ended(runner)

    def _note_sizes(self) -> None:
        """Take note of what workers take of memory by now."""
        for number, worker in self._workers.items():
            runner = self._decisions.runners.get(number)
            if runner is not None and runner.size_bytes != worker.size_bytes:
                self._tell(Resized(number, worker.size_bytes))

    def _ended(self, runner: int) -> None:
        """A worker's process is gone."""
        worker = self._workers.pop(runner)
        told = self._closed or self._decisions.runners[runner].phase is Phase.STOPPING
        self._account(WorkerEnded(self._label(runner), worker.client.stats, crashed=not told))
        self._tell(Ended(runner))

    def _stop(self, runner: int, reason: str) -> None:
        log.info("unloading runner %d: %s", runner, reason)
        self._account(Unloaded(self._label(runner), reason))
        loading, worker = self._loading.get(runner), self._workers.get(runner)
        if worker is not None:
            self._spawn(worker.client.stop())  # _watch reports its end
        elif loading is not None:
            loading.cancel()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        wake = self._decisions.next_wake()
        if wake < math.inf and not self._closed:
            delay = max(wake - self._clock(), 0.0)
            self._alarm = asyncio.get_running_loop().call_later(delay, self._tell, Tick())

    def _label(self, runner: int) -> str:
        """The name of the model that a runner was started for."""
        return self._decisions.runners[runner].wanted.label

    def _activity(self, runner: Runner) -> ModelActivity:
        worker, label = self._workers.get(runner.id), runner.wanted.label
        if worker is None:
            return ModelActivity(label)
        queues = worker.generating, worker.embedding
        return ModelActivity(
            label,
            num_running=sum(queue.num_running for queue in queues),
            num_waiting=sum(queue.num_waiting for queue in queues),
            size_bytes=worker.size_bytes,
            stats=worker.client.stats,
        )

    def _shown(self, runner: Runner, info: Loaded | None, offset: float) -> RunningModel:
        wanted, loading = runner.wanted, runner.phase is Phase.LOADING
        keep_alive = runner.keep_alive if wanted.keep_alive is None else wanted.keep_alive
        expires = self._clock() + keep_alive if loading else self._decisions.expires(runner)
        worker = self._workers.get(runner.id)
        return RunningModel(
            label=wanted.label,
            weights=wanted.spec.model_path,
            size_bytes=runner.size_bytes,
            vram_bytes=info.vram_bytes if info is not None else 0,
            num_ctx=info.num_ctx if info is not None else wanted.spec.num_ctx,
            expires_at=expires + offset,
            model=wanted.model,
            memory=worker.memory if worker is not None else None,
        )
