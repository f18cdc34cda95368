"""What a request holds of a worker: the lease, and within it the right to run."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from ollama_nb_server.engine.client import Ended, Ending, EngineClient
from ollama_nb_server.engine.messages import Loaded
from ollama_nb_server.scheduling.activity import ModelMemory
from ollama_nb_server.scheduling.context import RequestContext
from ollama_nb_server.scheduling.entry import Entry, TurnTimes
from ollama_nb_server.scheduling.fairness import Prices
from ollama_nb_server.scheduling.run_queue import QueuePlace, RunningTurn, RunQueue
from ollama_nb_server.scheduling.shares import ALONE, Shares

EMBEDDINGS_AT_ONCE = 4  # one is computed, the next ones' texts are being tokenised
EXPRESS_EMBEDDINGS = 1  # more on a shared server, for who has none


class LoadedWorker:
    """A worker with the queues of those who want it to compute, each of a bounded length."""

    def __init__(
        self,
        client: EngineClient,
        max_queue: int | None = None,
        loaded_between: tuple[int, int] = (0, 0),
        shares: Shares = ALONE,
    ) -> None:
        self.client = client
        self._loaded_between = loaded_between  # by `time.perf_counter_ns`
        slots = max(client.info.num_parallel, 1), client.info.num_express
        embeddings = EMBEDDINGS_AT_ONCE, EXPRESS_EMBEDDINGS if shares.shared else 0
        self.generating, self.embedding = (
            RunQueue(capacity, max_queue, shares, num_express, self._prices)
            for capacity, num_express in (slots, embeddings)
        )

    def _prices(self) -> Prices:
        stats = self.client.stats
        return Prices.measured(stats.prompt_token_s, stats.output_token_s)

    @property
    def size_bytes(self) -> int:
        """What it takes of memory by now: it has made more slots since it was loaded."""
        info = self.client.info
        return info.size_bytes + (self.num_slots - info.num_slots) * info.slot_bytes

    @property
    def num_slots(self) -> int:
        """How many it has by now."""
        return max(self.client.stats.num_slots, self.client.info.num_slots)

    @property
    def memory(self) -> ModelMemory:
        """What takes that memory."""
        client = self.client
        return ModelMemory.of(client.info, client.stats, self.num_slots, self.size_bytes)

    def loading_ns(self, began_ns: int, ended_ns: int) -> int:
        """How much of a time it was being loaded."""
        load_began, load_ended = self._loaded_between
        return max(min(ended_ns, load_ended) - max(began_ns, load_began), 0)


class RunningRequest:
    """What a request tells that has a turn: what is computed for it, and how it ended."""

    def __init__(self, turn: RunningTurn, ended: Ended) -> None:
        self._turn, self._ended, self._num_pieces = turn, ended, 0

    @property
    def is_newcomer(self) -> bool:
        """Whether its user had nothing else running when its turn came, while others had."""
        return self._turn.is_newcomer

    def __call__(self, ending: Ending) -> None:
        """Take note of its end."""
        computed = max(ending.prompt_count - ending.cached_count, 0)
        self._turn.computed(computed, ending.eval_count)
        self._ended(ending)

    def wrote(self) -> None:
        """Take note of a piece of its answer: at least a token."""
        self._num_pieces += 1
        self._turn.computed(0, self._num_pieces)


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker for one request. `load_ns` is what it took to get it, queueing included.

    `loading_ns` of that the model was being loaded, for this request or for another one.
    `began_ns` is when it was asked for, by `time.perf_counter_ns`. `unlike` names load options that
    the request wanted otherwise, while others use the worker. `_admit` raises why the request may
    not run after all, when its turn comes.
    """

    _held: LoadedWorker
    began_ns: int
    load_ns: int
    label: str
    context: RequestContext
    _entry: Entry
    _admit: Callable[[], None]
    unlike: tuple[str, ...] = ()
    loading_ns: int = 0
    notes: tuple[str, ...] = ()
    _turn_waits_ns: list[int] = field(default_factory=list)
    _turns_ns: list[int] = field(default_factory=list)  # when they came

    @property
    def worker(self) -> EngineClient:
        """It may be asked to tokenise at any time; to compute, within `generating` or so only."""
        return self._held.client

    @property
    def info(self) -> Loaded:
        """What the worker said of itself when it was ready."""
        return self.worker.info

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the client should know of its worker."""
        in_use = "others use the model as it is loaded, so this has no effect now"
        unlike = (f"option '{name}': {in_use}" for name in self.unlike)
        return (*self.info.warnings, *self.notes, *unlike)

    @asynccontextmanager
    async def generating(self, ticket: int = 0) -> AsyncIterator[RunningRequest]:
        """Wait for one of the worker's slots; what the block yields takes the request's ending."""
        turn = self._held.generating.turn(self.context, ticket, self._admit)
        async with self._recorded() as ended, self._timed(turn) as running:
            yield RunningRequest(running, ended)

    def place(self, ticket: int) -> QueuePlace | None:
        """Where the request of this ticket waits to generate or embed; None if it does not."""
        return self._held.generating.place(ticket) or self._held.embedding.place(ticket)

    @asynccontextmanager
    async def embedding(self, ticket: int = 0) -> AsyncIterator[RunningRequest]:
        """The same for vectors of texts, which need no slot."""
        turn = self._held.embedding.turn(self.context, ticket, admit=self._admit)
        async with self._recorded() as ended, self._timed(turn) as running:
            yield RunningRequest(running, ended)

    @property
    def queue_ns(self) -> int:
        """How long the request waited for others: for its worker beside the load, for its turn."""
        return self.load_ns - self.loading_ns + sum(self._turn_waits_ns)

    @asynccontextmanager
    async def _timed(
        self, turn: AbstractAsyncContextManager[RunningTurn]
    ) -> AsyncIterator[RunningTurn]:
        """Note how long it takes until a turn comes."""
        began_ns = time.perf_counter_ns()
        async with turn as running:
            self._turns_ns.append(time.perf_counter_ns())
            self._turn_waits_ns.append(self._turns_ns[-1] - began_ns)
            yield running

    @asynccontextmanager
    async def _recorded(self) -> AsyncIterator[Ended]:
        """Account for the request once, also if the worker never heard of it."""
        endings: list[Ending] = []
        failure: BaseException | None = None
        try:
            yield endings.append
        except BaseException as error:
            failure = error
            raise
        finally:
            if endings:
                self._entry.end(endings[-1], self._times())
            else:
                self._entry.end_by(failure, self._times())

    def _times(self) -> TurnTimes:
        came_ns = self._turns_ns[-1] if self._turns_ns else 0
        return TurnTimes(self.queue_ns, self.loading_ns, came_ns)
