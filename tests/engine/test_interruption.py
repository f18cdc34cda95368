"""Cancelled in the middle of a computation: it ends there, and the others' answers stay as they were.

Exact places in exact runs; what is compared is texts and work (nodes, processor time), never waits.
"""

import asyncio
import time
from functools import partial

import psutil
import pytest
from ollama_nb_server.engine.messages import Finished, SamplingParams
from serving import Answer, Serving

SHIFTING = ["demo_gguf", "q4_k_gguf", pytest.param("smollm2", marks=pytest.mark.real)]

STORY, OTHER, LONG = "Once upon a time", "The cat", tuple(range(300, 600))
HOT = SamplingParams(seed=3, temperature=20.0, top_k=0, top_p=1.0)  # hardly ever ends by itself
DEADLINE_S = 60
AT = 4  # pieces of a story before somebody else comes


@pytest.fixture(scope="module", params=["demo_gguf", "q4_k_gguf", "mamba_gguf"])
def serving(request):
    path = request.getfixturevalue(request.param)
    serving = Serving(path, prefix_cache_bytes=0)  # equal prompts are equal work
    yield serving
    serving.close()


# --- one request alone ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prefill_nodes(serving) -> int:
    """Nodes that a long prompt takes."""
    before = serving.nodes
    serving.ask(LONG, num_predict=1)
    serving.run()
    return serving.nodes - before


@pytest.mark.parametrize("part", [0.01, 0.7])
def test_a_cancelled_prefill_ends_at_the_next_node(serving, prefill_nodes, part):
    before, count = serving.nodes, max(int(part * prefill_nodes), 1)
    prompt = serving.ask(LONG)
    serving.in_nodes(count, partial(serving.cancel, prompt))

    serving.run()

    assert serving.nodes - before == count
    assert serving.answers[prompt].end is None


# --- more requests than slots ---------------------------------------------------------------------


def test_the_slot_of_one_who_leaves_is_the_next_one_s_in_the_next_step(serving):
    running = [serving.ask(STORY, num_predict=-1, sampling=HOT) for _ in range(4)]
    waiting, served = serving.ask(OTHER), serving.ask(STORY, num_predict=5)
    one, other = (serving.answers[request] for request in running[:2])

    def two_leave() -> None:
        serving.leave(waiting)
        serving.leave(running[0])

    def all_leave() -> None:
        for request in running[1:]:
            serving.leave(request)

    serving.at_piece(running[0], AT, two_leave)
    serving.at_end(served, all_leave)
    serving.run()

    assert len(one.pieces) == AT
    assert serving.answers[waiting] == Answer()
    assert serving.answers[served].places[0] - one.places[-1] < 4 * other.steps[-1]
    assert serving.answers[served].end.eval_count == 5


# --- others beside it -----------------------------------------------------------------------------


def stories_while(serving: Serving, somebody) -> tuple[Answer, Answer]:
    """Two stories; `somebody` comes when one of them has some pieces."""
    one, two = serving.ask(STORY), serving.ask(OTHER)
    serving.at_piece(one, AT, somebody)
    serving.run()
    return serving.answers[one], serving.answers[two]


@pytest.fixture(scope="module")
def undisturbed(serving) -> list[str]:
    """The stories where somebody comes and leaves again before anything is computed."""
    stories = stories_while(serving, lambda: serving.leave(serving.ask(LONG)))
    return [story.text for story in stories]


@pytest.fixture(scope="module")
def step_nodes(serving) -> int:
    """Nodes of the step in which somebody's long prompt begins beside the stories."""
    story, _ = stories_while(serving, lambda: serving.ask(LONG, num_predict=1))
    return story.steps[AT - 1]


@pytest.mark.parametrize("part", [0.01, 0.6, 0.99])
def test_an_aborted_step_changes_nothing_for_the_others(serving, undisturbed, step_nodes, part):
    def come_and_leave_in_the_step() -> None:
        somebody = serving.ask(LONG)
        serving.in_nodes(max(int(part * step_nodes), 1), partial(serving.cancel, somebody))

    stories = stories_while(serving, come_and_leave_in_the_step)

    assert [story.text for story in stories] == undisturbed
    assert all(isinstance(story.end, Finished) for story in stories)


# --- a context that is shifted --------------------------------------------------------------------

FULL = {"num_ctx": 48, "num_keep": 4, "shift": True, "num_predict": 12}
PROMPT = tuple(range(1000, 1047))  # with its first token the context is full
KEPT = PROMPT[:4] + PROMPT[25:]  # the older half of the rest has gone


def shifted_while(serving: Serving, somebody) -> Answer:
    """An answer in whose second step the context is shifted; `somebody` comes right before."""
    answer = serving.ask(PROMPT, **FULL)
    serving.at_piece(answer, 1, somebody)
    serving.run()
    return serving.answers[answer]


@pytest.mark.parametrize("part", [0.5, 1.0])
@pytest.mark.parametrize("serving", SHIFTING, indirect=True)
def test_a_shift_that_is_aborted_half_way_is_computed_from_the_beginning(serving, part):
    alone = shifted_while(serving, bool)
    shift_nodes = alone.steps[0] - alone.steps[1]

    def come_and_leave_in_the_shift() -> None:
        somebody = serving.ask(LONG)
        serving.in_nodes(max(int(part * shift_nodes), 1), partial(serving.cancel, somebody))

    aborted = shifted_while(serving, come_and_leave_in_the_shift)
    (first,) = serving.engine.model.tokenize(aborted.pieces[0], add_special=False)
    anew = serving.ask((*KEPT, first), **{**FULL, "num_predict": FULL["num_predict"] - 1})
    serving.run()

    assert shift_nodes > 0
    assert aborted.pieces[1:] == serving.answers[anew].pieces


# --- in a process of its own, by its messages -----------------------------------------------------


def spent_s(worker) -> float:
    """What the worker has computed so far, in seconds of a processor."""
    times = psutil.Process(worker.pid).cpu_times()
    return times.user + times.system


async def until(condition) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_cancelled_prefill_is_not_computed_to_its_end(start_worker, q4_k_gguf, ask):
    wishes = {"num_ctx": 2048, "num_parallel": 1, "num_batch": 2048, "prefix_cache_bytes": 0}
    worker = await start_worker(q4_k_gguf, **wishes)
    prompt = tuple(range(100, 2100))
    before = spent_s(worker)
    await ask(worker, prompt, num_predict=1)
    whole_s = spent_s(worker) - before

    before = spent_s(worker)
    leaving = asyncio.create_task(ask(worker, prompt, num_predict=1))
    await until(lambda: spent_s(worker) - before > whole_s / 10)
    leaving.cancel()
    await worker.count("a")  # answered between two computations

    assert spent_s(worker) - before < whole_s / 2
