"""The right to run: so many at once, the more urgent first."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from ollama_nb_server.engine.messages import Priority
from ollama_nb_server.scheduling.context import Caller, RequestContext
from ollama_nb_server.scheduling.errors import QueueFull
from ollama_nb_server.scheduling.run_queue import RunQueue
from ollama_nb_server.scheduling.shares import Shares

INTERACTIVE, BATCH = Priority.INTERACTIVE, Priority.BATCH


class Crowd:
    """Requests of one queue; who has a turn keeps it until it is told to go."""

    def __init__(self, capacity: int, max_waiting: int | None = None) -> None:
        self.queue, self.running = RunQueue(capacity, max_waiting), []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, priority: Priority = INTERACTIVE) -> None:
        self.tasks[name] = asyncio.create_task(self._run(name, priority))
        await settled()

    async def go(self, name: str) -> None:
        self.tasks[name].cancel()
        await settled()

    async def _run(self, name: str, priority: Priority) -> None:
        async with self.queue.turn(RequestContext(priority=priority)):
            self.running.append(name)
            try:
                await asyncio.Event().wait()
            finally:
                self.running.remove(name)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_run_at_once_than_there_is_room_for() -> None:
    crowd = Crowd(2)
    for name in "abc":
        await crowd.come(name)

    assert crowd.running == ["a", "b"]
    await crowd.go("a")
    assert crowd.running == ["b", "c"]


async def test_the_more_urgent_come_first_and_then_first_come() -> None:
    crowd = Crowd(1)
    for name, priority in {
        "a": INTERACTIVE,
        "b": BATCH,
        "c": INTERACTIVE,
        "d": INTERACTIVE,
    }.items():
        await crowd.come(name, priority)
    order = []
    for _ in "abcd":
        order += crowd.running
        await crowd.go(crowd.running[0])

    assert order == ["a", "c", "d", "b"]


async def test_who_leaves_while_waiting_takes_no_turn() -> None:
    crowd = Crowd(1)
    for name in "abc":
        await crowd.come(name)
    await crowd.go("b")
    await crowd.go("a")

    assert crowd.running == ["c"]


async def test_who_leaves_at_the_moment_of_its_turn_hands_it_on() -> None:
    crowd = Crowd(1)
    for name in "abc":
        await crowd.come(name)
    crowd.tasks["a"].cancel()
    await asyncio.sleep(0)  # a goes: the turn is b's, which has not run yet
    await crowd.go("b")

    assert crowd.running == ["c"]


async def test_when_all_have_gone_there_is_room_for_as_many_as_before() -> None:
    crowd = Crowd(2)
    for name in "abcd":
        await crowd.come(name)
    for name in "cabd":
        await crowd.go(name)
    for name in "efg":
        await crowd.come(name)

    assert crowd.running == ["e", "f"]


async def test_a_full_queue_refuses_until_one_of_it_has_left_or_run() -> None:
    crowd = Crowd(1, max_waiting=1)
    for name in "abc":
        await crowd.come(name)

    assert isinstance(crowd.tasks["c"].exception(), QueueFull)
    await crowd.go("b")
    await crowd.come("d")
    await crowd.go("a")
    await crowd.come("e")
    assert crowd.running == ["d"]
    assert not crowd.tasks["e"].done()


async def test_a_queue_without_places_still_has_turns() -> None:
    crowd = Crowd(1, max_waiting=0)
    for name in "ab":
        await crowd.come(name)

    assert crowd.running == ["a"]
    assert isinstance(crowd.tasks["b"].exception(), QueueFull)


async def test_a_newcomer_is_whose_user_has_nothing_else_running_while_others_do() -> None:
    shared = RunQueue(4, shares=Shares(shared=True))
    own = RunQueue(4)
    for queue, expected in ((shared, [False, False, True, False]), (own, [False] * 4)):
        found = []
        async with AsyncExitStack() as stack:
            for name in ("ana", "ana", "ben", "ben"):
                turn = queue.turn(RequestContext(Caller(name)))
                found.append((await stack.enter_async_context(turn)).is_newcomer)

        assert found == expected
