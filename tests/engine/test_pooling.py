"""Every kind of pooling that a GGUF can name: what is read of it, and what is refused."""

import numpy as np
import pytest
from gguf import PoolingType
from ollama_nb_server.engine.errors import CannotEmbed, LoadFailed
from ollama_nb_server.engine.messages import Embed, LoadSpec
from ollama_nb_server.engine.native import (
    AbortSwitch,
    Batch,
    Model,
    NativeLog,
    embedding_context,
)


async def vector(worker, text):
    embedded = await worker.embed(Embed(worker.new_id(), (text,)))
    return np.frombuffer(embedded.vectors[0], "<f4")


def hidden_states(path, text):
    """The vectors of a text's tokens, without any pooling, by llama.cpp itself."""
    model = Model(LoadSpec(str(path)), NativeLog())
    tokens = model.tokenize(text, add_special=True)
    context = embedding_context(
        model, num_cells=64, num_rows=64, num_seqs=1, threads=1, abort=AbortSwitch()
    )
    batch = Batch(64)
    batch.fill([(0, 0, tokens, True)])
    batch.all_outputs()
    assert context.decode(batch)
    rows = context.hidden_states(len(tokens)).astype(float)
    context.close()
    model.close()
    return rows


@pytest.mark.parametrize(
    ("pooling", "pooled"),
    [
        (PoolingType.NONE, lambda rows: rows.mean(axis=0)),
        (PoolingType.MEAN, lambda rows: rows.mean(axis=0)),
        (PoolingType.CLS, lambda rows: rows[0]),
        (PoolingType.LAST, lambda rows: rows[-1]),
    ],
)
async def test_vectors_are_pooled_as_the_model_says(start_worker, bert_of, pooling, pooled):
    worker = await start_worker(bert_of(pooling))

    found = await vector(worker, "hello world a")

    wanted = pooled(hidden_states(bert_of(pooling), "hello world a"))
    assert np.allclose(found, wanted / np.linalg.norm(wanted), atol=1e-4)


async def test_a_reranker_loads_and_says_that_it_has_no_vectors(start_worker, bert_of):
    worker = await start_worker(bert_of(PoolingType.RANK))

    with pytest.raises(CannotEmbed, match="reranker"):
        await vector(worker, "hello world")


async def test_a_kind_of_pooling_that_does_not_exist_is_refused_in_the_load(start_worker, bert_of):
    with pytest.raises(LoadFailed, match="pooling type 7"):
        await start_worker(bert_of(7))
