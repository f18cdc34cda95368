"""What the tests' models are good for: which of the engine's ways each of them takes."""

import pytest
from ollama_nb_server.engine.engine import TINY_PARAMS, Engine
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.engine.native import AbortSwitch, Batch, NativeLog

PUBLISHED = [pytest.param(name, marks=pytest.mark.real) for name in ("smollm2", "qwen_coder")]


@pytest.fixture
def engine(request):
    spec = LoadSpec(str(request.getfixturevalue(request.param)), num_ctx=256, num_parallel=2)
    with Engine(spec, NativeLog(), AbortSwitch()) as engine:
        yield engine


@pytest.mark.parametrize("engine", ["q4_k_gguf", *PUBLISHED], indirect=True)
def test_these_get_all_threads(engine):
    assert engine.model.num_params > TINY_PARAMS
    assert engine.context.can_shift


@pytest.mark.parametrize("engine", ["mamba_gguf"], indirect=True)
def test_a_recurrent_memory_can_only_be_dropped_whole(engine):
    batch = Batch(4)
    batch.fill([(0, 0, [1, 2, 3, 4], True)])
    engine.context.decode(batch)

    assert not engine.context.forget(0, 3)
    assert engine.context.forget(0)
