"""Texts embedded piece by piece: whole in the end, beside others, and the same whoever they are.

Vectors are compared bit by bit: what rounds otherwise somewhere differs by thousandths in the end.
"""

from functools import partial

import numpy as np
import pytest
from ollama_nb_server.engine.embeddings import embedder as embedding
from ollama_nb_server.engine.engine import TINY_PARAMS, Engine, threads_for
from ollama_nb_server.engine.messages import Embed, LoadSpec, Priority
from ollama_nb_server.engine.native import AbortSwitch, NativeLog
from serving import Serving
from whole_texts import mean_of_a_whole_text

SHORT = ["a cat", "the small dog sat on the mat", "pandas", "one " * 20, "", "it was late " * 5]
BATCH = "she ran home " * 25  # more than 64 tokens, fewer than 128
LONG, OTHER_LONG = "once there was a dog " * 60, "the cat sat on a red mat " * 50
MANY = [f"{text} {n}" for n in range(20) for text in SHORT]


def serving_of(request, **wishes):
    serving = Serving(
        request.getfixturevalue(request.param), num_ctx=2048, num_parallel=2, **wishes
    )
    yield serving
    serving.close()


@pytest.fixture(scope="module", params=["demo_gguf", "q4_k_gguf", "mamba_gguf", "bert_gguf"])
def serving(request):
    yield from serving_of(request)


@pytest.fixture(scope="module", params=["demo_gguf", "q4_k_gguf", "mamba_gguf"])
def chunking(request):
    """Models whose long texts are computed in chunks."""
    yield from serving_of(request)


@pytest.fixture(scope="module")
def alone(chunking):
    """The long text's vector where there is nobody else."""
    return chunking.vectors(LONG)[0]


# --- what comes out -------------------------------------------------------------------------------


def test_a_text_in_chunks_has_the_vector_of_the_text_in_one_batch(chunking, alone):
    whole = mean_of_a_whole_text(chunking.engine.model, LONG)

    assert np.dot(np.frombuffer(alone, "<f4"), whole) > 0.9999


def test_a_vector_does_not_depend_on_the_other_texts_of_its_request(serving):
    texts = [*SHORT, BATCH, *SHORT[::-1], *MANY]

    together = serving.vectors(*texts)

    assert together == tuple(serving.vectors(text)[0] for text in texts)


@pytest.mark.parametrize("alike", [True, False])
def test_texts_of_an_encoder_share_tiles_only_where_the_load_has_found_them_alike(
    bert_gguf, monkeypatch, alike
):
    tried = embedding.tiles_alike
    monkeypatch.setattr(embedding, "tiles_alike", lambda *asked: tried(*asked) and alike)
    serving = Serving(bert_gguf)
    texts = [("hello world " * 9)[: 13 * n] for n in range(3, 17)]  # up to 36 tokens
    try:
        before = serving.nodes
        together = serving.vectors(*texts)
        nodes = serving.nodes - before
        alone = tuple(serving.vectors(text)[0] for text in texts)
    finally:
        serving.close()

    num_batches = len(texts) * nodes / (serving.nodes - before - nodes)
    assert together == alone
    assert (num_batches < 5) is alike


@pytest.mark.parametrize("serving", ["bert_gguf", "q4_k_gguf"], indirect=True)
def test_a_vector_does_not_depend_on_the_number_of_threads(serving):
    jobs = [serving.engine.embedder.begin(Embed(1, (*SHORT, *MANY))) for _ in range(2)]
    for threads, job in enumerate(jobs, 1):
        serving.engine.embedder.use_threads(threads)
        while not serving.engine.embedder.step(job):
            pass

    assert jobs[0].vectors == jobs[1].vectors


def test_an_encoder_computes_with_all_processors_and_a_tiny_model_that_writes_with_one(
    bert_gguf, demo_gguf
):
    threads = []
    for path in (bert_gguf, demo_gguf):
        with Engine(LoadSpec(str(path), num_parallel=1), NativeLog(), AbortSwitch()) as engine:
            threads.append((engine.threads(0), engine.threads(1)))

    assert threads == [(threads_for(TINY_PARAMS, 0), 1), (1, 1)]


def test_a_vector_does_not_depend_on_other_requests(chunking, alone):
    others = [chunking.embed(OTHER_LONG, *SHORT), chunking.embed(BATCH, OTHER_LONG)]
    story = chunking.ask("Once upon a time")
    request = chunking.embed("a cat", LONG)
    chunking.run()

    assert chunking.answers[request].end.vectors[1] == alone
    beside = [chunking.answers[other].end.vectors for other in others]
    assert beside[0] == chunking.vectors(OTHER_LONG, *SHORT)
    assert beside[1] == chunking.vectors(BATCH, OTHER_LONG)
    assert chunking.answers[story].text


# --- turns ----------------------------------------------------------------------------------------


def test_others_get_a_token_between_two_chunks(chunking):
    num_chunks = len(chunking.engine.model.tokenize(LONG, add_special=True)) // 128
    story = chunking.ask("Once upon a time", num_predict=40)
    told = []
    chunking.at_piece(story, 4, lambda: told.append(chunking.embed(LONG)))

    chunking.run()

    end = chunking.answers[told[0]].end_place
    assert num_chunks > 1
    assert sum(place < end for place in chunking.answers[story].places) >= 4 + num_chunks - 1


@pytest.mark.parametrize("first", [(LONG,), tuple(MANY)])
def test_a_small_request_does_not_wait_for_all_of_another(chunking, first):
    large, small = chunking.embed(*first), chunking.embed("a cat")

    chunking.run()

    assert chunking.answers[small].end_place < chunking.answers[large].end_place


def test_persons_come_before_programs(chunking):
    programs = [chunking.embed(*SHORT * 4, priority=Priority.BATCH) for _ in range(2)]
    person = chunking.embed(*SHORT * 4)

    chunking.run()

    ends = [chunking.answers[request].end_place for request in (person, *programs)]
    assert ends == sorted(ends)


# --- broken off -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nodes(chunking):
    """Nodes that the long text takes."""
    before = chunking.nodes
    chunking.vectors(LONG)
    return chunking.nodes - before


@pytest.mark.parametrize("part", [0.01, 0.5, 0.99])
def test_a_cancelled_text_ends_at_the_next_node_and_leaves_nothing(chunking, alone, nodes, part):
    before, count = chunking.nodes, max(int(part * nodes), 1)
    request = chunking.embed(LONG)
    chunking.in_nodes(count, partial(chunking.cancel, request))
    chunking.run()

    assert chunking.nodes - before == count
    assert chunking.answers[request].end is None
    assert chunking.vectors(LONG)[0] == alone


def test_a_text_that_is_cancelled_between_two_chunks_leaves_its_place_to_the_next(chunking, alone):
    story = chunking.ask("Once upon a time", num_predict=20)
    request = chunking.embed(OTHER_LONG)
    chunking.at_piece(story, 1, partial(chunking.leave, request))
    chunking.run()

    assert chunking.answers[request].end is None
    assert chunking.vectors(LONG)[0] == alone


@pytest.mark.parametrize("model", ["demo_gguf", "q4_k_gguf", "mamba_gguf", "bert_gguf"])
def test_an_aborted_piece_is_computed_again(request, model):
    switch = AbortSwitch()
    spec = LoadSpec(str(request.getfixturevalue(model)), num_ctx=2048, num_parallel=1)
    with Engine(spec, NativeLog(), switch) as engine:
        vectors = []
        for aborted in ((), (0, 1, 3, 4)):
            job, step = engine.embedder.begin(Embed(1, (LONG, *SHORT))), 0
            while job.pieces:
                if step in aborted:
                    switch.set()
                    engine.embedder.step(job)
                    switch.clear()
                engine.embedder.step(job)
                step += 1
            vectors.append(job.vectors)

    assert vectors[0] == vectors[1]


# --- a published model ----------------------------------------------------------------------------


def test_vectors_of_a_published_model_do_not_depend_on_companions(qwen_coder):
    serving = Serving(qwen_coder, num_ctx=512, num_parallel=1)
    texts = [SHORT[0], LONG[:700], *SHORT[1:]]
    try:
        beside, other = serving.embed(*texts), serving.embed(OTHER_LONG[:1000], "a cat")
        serving.run()
        together = serving.answers[beside].end.vectors

        assert together == tuple(serving.vectors(text)[0] for text in texts)
        assert serving.answers[other].end.vectors[1] == together[0]
    finally:
        serving.close()


# --- what it takes --------------------------------------------------------------------------------


@pytest.mark.parametrize("serving", ["bert_gguf"], indirect=True)
def test_the_context_of_a_model_that_only_embeds_is_counted_in_its_size(serving):
    engine = serving.engine

    assert engine.embedder.size_bytes > 0
    assert engine.loaded().size_bytes == engine.model.size_bytes + engine.embedder.size_bytes


def test_a_longer_text_takes_cells_and_no_more_rows(chunking):
    model, embedder = chunking.engine.model, chunking.engine.embedder
    chunking.vectors("a cat", LONG)
    some = embedder.size_bytes

    chunking.vectors("a cat " * 900)

    num_tokens = len(model.tokenize("a cat " * 900, add_special=True))
    assert num_tokens > 1024
    assert some < embedder.size_bytes <= some + 2 * num_tokens * model.kv_bytes_per_token
