"""The native abort switch inside llama.cpp, without a process around it."""

import pytest
from ollama_nb_server.engine.batching.planner import BatchPlanner
from ollama_nb_server.engine.core import ActiveRequests
from ollama_nb_server.engine.engine import Engine
from ollama_nb_server.engine.errors import DecodeFailed
from ollama_nb_server.engine.messages import Delta, LoadSpec, SamplingParams
from ollama_nb_server.engine.native import AbortSwitch, Batch, NativeLog
from ollama_nb_server.engine.sampling.chain import SamplerChain
from ollama_nb_server.engine.sequence import Sequence
from ollama_nb_server.engine.text import TextStream


@pytest.fixture(scope="module")
def switch():
    return AbortSwitch()


@pytest.fixture(scope="module")
def engine(demo_gguf, switch):
    spec = LoadSpec(str(demo_gguf), num_ctx=256, num_parallel=2, num_batch=64)
    with Engine(spec, NativeLog(), switch) as engine:
        yield engine


@pytest.fixture
def sequence(engine):
    tokens = engine.model.tokenize("Once upon a time there was a robot", add_special=True)
    sampler = SamplerChain(engine.model, SamplingParams(seed=1, temperature=0), 256)
    yield Sequence(1, tokens, len(tokens), 256, 20, TextStream(), sampler, slot=0)
    sampler.close()
    engine.context.clear()


def run(engine, sequence, aborted_steps=()):
    """The text of a sequence run to its end, some of its steps aborted once before."""
    shown, step = "", 0
    while sequence.num_generated < sequence.num_predict:
        if step in aborted_steps:
            engine.switch.set()
            assert engine.runner.run(*BatchPlanner(64).plan([sequence])) is None
            engine.switch.clear()
        events = engine.runner.run(*BatchPlanner(64).plan([sequence]))
        shown += "".join(e.text for e in events if isinstance(e, Delta))
        step += 1
    return shown


def test_aborted_steps_are_rolled_back_and_can_be_run_again(engine, switch, sequence):
    engine.switch = switch
    tokens = list(sequence.tokens)
    alone = run(engine, sequence)

    engine.context.clear()
    sequence.tokens, sequence.computed, sequence.text = tokens, 0, TextStream()

    assert run(engine, sequence, aborted_steps=(0, 1, 5, 19)) == alone


def test_only_the_cancellation_of_a_served_request_stops_the_computation(switch):
    active = ActiveRequests(switch)
    active.serve(frozenset({1, 2}))

    active.cancelled(3)
    assert not switch.is_set
    active.cancelled(2)
    assert switch.is_set
    active.serve(frozenset({1}))
    assert not switch.is_set


def test_a_batch_is_never_larger_than_its_room():
    with pytest.raises(DecodeFailed, match="llama_batch"):
        Batch(4).fill([(0, 0, [1, 2, 3], True), (1, 0, [1, 2], True)])
