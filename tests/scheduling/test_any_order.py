"""Whatever happens in whatever order: the invariants hold, and everybody is answered in the end."""

from __future__ import annotations

import math
from dataclasses import replace

from drive import Driver, loaded, wanted
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from ollama_nb_server.engine.errors import NotEnoughMemory
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.scheduling.events import (
    Ended,
    Grant,
    Left,
    Load,
    LoadBroke,
    LoadDone,
    Refuse,
    Requested,
    Stop,
    Tick,
    UnloadAsked,
)

PATHS = st.sampled_from("abc")
SIZES = {"a": 10, "b": 20, "c": 50}
WISHES = st.sampled_from(
    [{}, {"num_ctx": 512}, {"num_batch": 64}, {"adapters": ("lora",)}, {"least_ctx": 300}]
)
KEEP_ALIVES = st.sampled_from([None, 0.0, 1.0, math.inf])
DELAYS = st.sampled_from([0.0, 1.0, 11.0])
EXPLICIT = frozenset({"num_batch"})


class AnyOrder(RuleBasedStateMachine):
    """Clients and workers that do what they may do at any time."""

    @initialize(
        max_loaded=st.integers(1, 3),
        max_queue=st.integers(0, 4),
        reload_on_request=st.booleans(),
        memory_bytes=st.sampled_from([0, 15, 40, 70]),
        scarce=st.booleans(),
    )
    def begin(self, *, scarce: bool, **limits: int) -> None:
        self.drive = Driver(**limits)
        self.scarce = scarce  # whether at the end every load fails for memory
        self.failed_beside: dict[LoadSpec, set[int]] = {}
        self.loading: list[int] = []
        self.alive: list[int] = []
        self.answered: set[int] = set()
        self.count = 0
        self.ask(
            "a", num_ctx=512, keep_alive=1.0
        )  # something is loaded and idle: more can go wrong
        self.load_next(512)
        self.tell(Left(1))

    def tell(self, event: object) -> None:
        """Let the policy decide; who wants the same with other options may try for himself."""
        awaited = {waiting.wanted.spec for waiting in self.drive.decisions.pending}
        self.failed_beside = {s: b for s, b in self.failed_beside.items() if s in awaited}
        for order in self.drive(event):
            match order:
                case Load(runner, spec):
                    beside = self.failed_beside.pop(replace(spec, whole=False), set())
                    assert not beside or beside - set(self.alive), "the same try again"
                    self.loading.append(runner)
                case Grant(request, runner):
                    assert runner in self.alive, "a place at a process that is not there"
                    self.answered.add(request)
                case Refuse(request):
                    self.answered.add(request)
                    self.drive.known.discard(request)
                case Stop(runner):
                    assert runner in self.loading + self.alive
                    assert not self.drive.decisions.runners[runner].users, "a busy one is stopped"

    @rule(path=PATHS, wishes=WISHES, keep_alive=KEEP_ALIVES, priority=st.integers(0, 1))
    def ask_like(self, path: str, wishes: dict[str, object], **more: object) -> None:
        self.ask(path, **wishes, **more)

    def ask(self, path: str, **wishes: object) -> None:
        self.count += 1
        size = {"need_bytes": SIZES[path]}
        self.tell(Requested(wanted(self.count, path, explicit=EXPLICIT, **size, **wishes)))

    @precondition(lambda self: self.drive.known)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.tell(Left(data.draw(st.sampled_from(sorted(self.drive.known)))))

    @precondition(lambda self: self.loading)
    @rule(num_ctx=st.sampled_from([256, 4096]))
    def load_next(self, num_ctx: int) -> None:
        runner = self.loading.pop(0)
        self.alive.append(runner)
        self.tell(LoadDone(runner, loaded(num_ctx, size_bytes=self._size(runner))))

    def _size(self, runner: int) -> int:
        known = self.drive.decisions.runners.get(runner)
        return SIZES[known.key] if known else 0

    @precondition(lambda self: self.loading)
    @rule()
    def fail(self) -> None:
        self.tell(LoadBroke(self.loading.pop(), ValueError("broken")))

    @precondition(lambda self: self.loading)
    @rule()
    def fail_for_memory(self) -> None:
        runner = self.loading.pop(0)
        known = self.drive.decisions.runners[runner]
        if known.phase.value == "loading":
            self.failed_beside[known.wanted.spec] = set(self.alive)
        self.tell(LoadBroke(runner, NotEnoughMemory(known.key, "failed to allocate")))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        runner = data.draw(st.sampled_from(self.alive))
        self.alive.remove(runner)
        self.tell(Ended(runner))

    @rule(path=PATHS)
    def unload(self, path: str) -> None:
        self.tell(UnloadAsked(path))

    @rule(seconds=DELAYS)
    def wait(self, seconds: float) -> None:
        self.drive.now += seconds
        self.tell(Tick())

    def teardown(self) -> None:
        """Everybody who has a worker leaves, everything that loads is loaded: nobody is left."""
        for _ in range(5 * self.count + 5):
            while self.loading:
                self.fail_for_memory() if self.scarce else self.load_next(4096)
            for runner in [r for r in self.alive if self._stopping(r)]:
                self.alive.remove(runner)
                self.tell(Ended(runner))
            for request in sorted(self.drive.known & self.answered):
                self.tell(Left(request))
        assert not self.drive.known, "somebody was never answered"

    def _stopping(self, runner: int) -> bool:
        known = self.drive.decisions.runners.get(runner)
        return known is None or known.phase.value == "stopping"


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to shrink one takes minutes
)
