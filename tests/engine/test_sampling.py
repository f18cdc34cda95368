"""A short list of a large vocabulary: what is drawn is what the whole chain draws from all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import llama_cpp as ll
import numpy as np
import pytest
from altered import write_altered
from gguf import GGUFReader, TokenType
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy
from ollama_nb_server.engine.messages import Finished, LoadSpec, SamplingParams
from ollama_nb_server.engine.native import (
    AbortSwitch,
    Batch,
    Context,
    Model,
    NativeLog,
    generation_context,
)
from ollama_nb_server.engine.sampling.chain import LARGE_VOCABULARY, SamplerChain
from ollama_nb_server.engine.sampling.parallel_draws import ParallelDraws
from ollama_nb_server.engine.sampling.shortlist import GROUP, allowed, shortlist
from serving import Serving

COPIES = 17  # of the bundled model's 3,072 tokens
NUM_CTX = 512

# --- what is on the list --------------------------------------------------------------------------

LOGITS = of_numpy.arrays(
    np.float32,
    st.integers(GROUP, 12 * GROUP + 5),
    elements=st.floats(-8, 8, width=16) | st.sampled_from([-np.inf, 0.0, -0.0, 1.0, 1.5]),
)


@given(LOGITS, st.integers(1, 12), st.sets(st.integers(0, GROUP - 1), max_size=5))
def test_all_that_is_as_likely_as_the_likeliest_is_on_the_list(logits, count, more):
    ids = shortlist(logits, count, more)

    wanted = np.flatnonzero(logits >= np.sort(logits)[-count])
    assert ids is None or {*wanted, *more} <= set(ids)
    assert ids is None or (np.diff(ids) > 0).all()
    assert (ids is None) == (count > len(logits) // GROUP)


def test_logits_that_are_no_numbers_make_no_list():
    logits = np.full(4 * GROUP, np.nan, np.float32)
    logits[:8] = 1

    assert shortlist(logits, 2) is None


def test_a_list_of_distinct_logits_is_short():
    logits = np.random.default_rng(1).permutation(152_000).astype(np.float32)

    assert len(shortlist(logits, 40)) < 60


@given(st.sets(st.integers(0, 255)), st.sets(st.integers(0, 255)))
def test_a_mask_leaves_those_with_their_bits_set(ids, wanted):
    bits = np.zeros(256, np.uint8)
    bits[list(wanted)] = 1
    mask = np.packbits(bits, bitorder="little").view(np.int32)

    assert set(allowed(np.array(sorted(ids), np.int32), mask)) == ids & wanted


# --- what is drawn from it ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wide_gguf(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model with 17 times its tokens, each a little less likely; some just as likely."""
    path = tmp_path_factory.mktemp("wide") / "wide.gguf"
    words = GGUFReader(demo_gguf).fields["tokenizer.ggml.tokens"].contents()
    more = [f"{word}~{copy}" for copy in range(1, COPIES) for word in words]
    scales = np.random.default_rng(1).choice([0.97, 0.98, 0.99, 0.995, 1], len(more))
    scales *= np.random.default_rng(2).uniform(0.97, 1, len(more)) ** (scales < 1)
    changes = {
        "llama.vocab_size": lambda count: COPIES * count,
        "tokenizer.ggml.tokens": lambda tokens: [*tokens, *more],
        "tokenizer.ggml.token_type": lambda kinds: [*kinds, *[TokenType.NORMAL] * len(more)],
        "token_embd.weight": lambda rows: np.vstack(
            [rows, np.tile(rows, (COPIES - 1, 1)) * scales[:, None]]
        ),
    }
    write_altered(demo_gguf, path, changes)
    return path


class Decoded:
    """The logits behind one sequence, token by token."""

    def __init__(self, path: Path) -> None:
        self.model, abort = Model(LoadSpec(str(path)), NativeLog()), AbortSwitch()
        facts = {"num_ctx": NUM_CTX, "num_parallel": 1, "num_batch": NUM_CTX, "threads": 1}
        self.context = generation_context(self.model, **facts, flash=True, abort=abort)
        self.batch, self.place = Batch(NUM_CTX), 0

    def begin(self, prompt: list[int]) -> None:
        self.context.clear()
        self.place = 0
        self.go_on(prompt)

    def go_on(self, tokens: list[int]) -> None:
        self.batch.fill([(0, self.place, tokens, True)])
        self.context.decode(self.batch)
        self.place += len(tokens)

    @property
    def last(self) -> int:
        """The batch's token whose logits there are."""
        return self.batch.struct.n_tokens - 1

    def close(self) -> None:
        self.context.close()
        self.model.close()


@pytest.fixture(scope="module")
def wide(wide_gguf: Path) -> Iterator[Decoded]:
    decoded = Decoded(wide_gguf)
    assert decoded.model.num_vocab > LARGE_VOCABULARY
    yield decoded
    decoded.close()


def whole(chain: SamplerChain, context: Context, output: int) -> int:
    """What llama.cpp draws from all tokens; it accepts that itself."""
    return ll.llama_sampler_sample(chain.pointer, context.pointer, output)


def chains(model: Model, prompt: list[int], wishes: dict[str, object]) -> list[SamplerChain]:
    """Two alike."""
    params = SamplingParams(**{"seed": 11, **wishes})
    made = [SamplerChain(model, params, NUM_CTX) for _ in range(2)]
    for chain in made:
        chain.accept(prompt)
    return made


LISTED: dict[str, dict[str, object]] = {  # what is drawn from a short list, ties aside
    "default": {},
    "greedy": {"temperature": 0.0},
    "hot": {"temperature": 3.0, "top_p": 1.0},
    "few": {"top_k": 1},
    "many": {"top_k": 200, "temperature": 2.0},
    "all filters": {"typical_p": 0.9, "min_p": 0.01, "top_p": 0.95, "temperature": 1.5},
    "penalties": {"repeat_penalty": 1.3, "frequency_penalty": 0.2, "presence_penalty": 0.3},
    "greedy penalties": {"temperature": 0.0, "repeat_penalty": 1.2, "repeat_last_n": 100},
    "rewards": {"repeat_penalty": 0.8, "frequency_penalty": -0.5},
    "greedy rewards": {"temperature": 0.0, "presence_penalty": -1.5},
}
WHOLE: dict[str, dict[str, object]] = {  # what is drawn from all
    "no top_k": {"top_k": 0},
    "a top_k above the list": {"top_k": 900},
    "mirostat": {"mirostat": 2},
    "mirostat 1": {"mirostat": 1},
}
PROMPT = list(range(300, 340))


DRAWS = [(100, wishes) for wishes in LISTED.values()] + [(10, w) for w in WHOLE.values()]


@pytest.mark.parametrize(("num_draws", "wishes"), DRAWS, ids=[*LISTED, *WHOLE])
def test_the_tokens_drawn_are_those_of_the_whole_chain(wide: Decoded, num_draws, wishes):
    listed, other = chains(wide.model, PROMPT, wishes)
    wide.begin(PROMPT)

    drawn = []
    for _ in range(num_draws):
        expected = whole(other, wide.context, wide.last)
        drawn.append((listed.sample(wide.context, wide.last), expected))
        wide.go_on([expected])

    assert [token for token, _ in drawn] == [expected for _, expected in drawn]
    listed.close()
    other.close()


@pytest.mark.parametrize("wishes", LISTED.values(), ids=LISTED)
def test_hardly_ever_is_all_gone_through(wide: Decoded, wishes, monkeypatch):
    chain, other = chains(wide.model, PROMPT, wishes)
    other.close()
    asked: list[int] = []
    monkeypatch.setattr(ll, "llama_sampler_sample", lambda *_: asked.append(1) or 300)
    wide.begin(PROMPT)
    logits = wide.context.logits(wide.last)
    logits[:] = np.random.default_rng(3).normal(0, 4, len(logits))

    for _ in range(20):
        chain.sample(wide.context, wide.last)

    assert len(asked) <= 1
    chain.close()


@pytest.mark.parametrize("wishes", LISTED.values(), ids=LISTED)
@pytest.mark.parametrize("num_values", [3, 40, 4000])
def test_equals_are_drawn_as_the_whole_chain_does(wide: Decoded, wishes, num_values):
    listed, other = chains(wide.model, PROMPT, wishes)
    wide.begin(PROMPT)
    logits, random = wide.context.logits(wide.last), np.random.default_rng(num_values)

    drawn = []
    for _ in range(40):
        logits[:] = random.integers(-num_values, num_values, len(logits)) * np.float32(0.01)
        expected = whole(other, wide.context, wide.last)
        drawn.append((listed.sample(wide.context, wide.last), expected))

    assert [token for token, _ in drawn] == [expected for _, expected in drawn]
    listed.close()
    other.close()


@pytest.mark.parametrize("top_k", [2, 3, 6])
def test_who_of_two_equals_is_kept_is_as_in_the_whole_chain(wide: Decoded, top_k):
    flat = {"top_k": top_k, "top_p": 1.0, "temperature": 1e6}
    listed, other = chains(wide.model, PROMPT, flat)
    wide.begin(PROMPT)
    logits, random = wide.context.logits(wide.last), np.random.default_rng(1)

    drawn = []
    for _ in range(60):
        logits[:] = random.permutation(len(logits))
        logits[logits == len(logits) - top_k] -= 1  # as likely as the next one, which is left out
        expected = whole(other, wide.context, wide.last)
        drawn.append((listed.sample(wide.context, wide.last), expected))

    assert [token for token, _ in drawn] == [expected for _, expected in drawn]
    listed.close()
    other.close()


@pytest.mark.parametrize("wishes", LISTED.values(), ids=LISTED)
@pytest.mark.parametrize("share", [0.5, 0.02])
def test_what_a_mask_allows_is_drawn_as_if_all_else_were_impossible(wide: Decoded, wishes, share):
    listed, other = chains(wide.model, PROMPT, wishes)
    wide.begin(PROMPT)
    bits = np.random.default_rng(5).random(-(-wide.model.num_vocab // 32) * 32) < share
    mask = np.packbits(bits, bitorder="little").view(np.int32)
    forbidden = np.flatnonzero(~bits[: wide.model.num_vocab])

    drawn = []
    for _ in range(25):
        token = listed.likely(wide.context.logits(wide.last), mask)
        with wide.context.without(forbidden, wide.last):
            expected = whole(other, wide.context, wide.last)
            if token is None:
                token = listed.sample(wide.context, wide.last)
            else:
                listed.accept([token])
        drawn.append((token, expected))
        wide.go_on([expected])

    assert [token for token, _ in drawn] == [expected for _, expected in drawn]
    listed.close()
    other.close()


# --- several draws of a step ----------------------------------------------------------------------

ALL = SamplingParams(seed=3, temperature=1.5, top_k=0, top_p=1.0)


@pytest.fixture(scope="module")
def serving(wide_gguf: Path) -> Iterator[Serving]:
    served = Serving(wide_gguf, num_ctx=256)
    yield served
    served.close()


@pytest.fixture
def drawing_threads(monkeypatch) -> list[str]:
    """The names of the threads that draw, draw by draw."""
    names: list[str] = []
    sample = SamplerChain.sample

    def noted(chain: SamplerChain, context: Context, output: int) -> int:
        names.append(threading.current_thread().name.partition("_")[0])
        return sample(chain, context, output)

    monkeypatch.setattr(SamplerChain, "sample", noted)
    return names


def texts(serving: Serving, num_processors: int, *wishes: SamplingParams) -> list[str]:
    """What comes of equal prompts at once."""
    runner = serving.engine.runner
    runner._draws = ParallelDraws(serving.engine.context, num_processors)
    ids = [serving.ask("Once upon a time", sampling=params, num_predict=6) for params in wishes]
    serving.run()
    return [serving.answers[id].text for id in ids]


def test_long_draws_of_a_step_run_in_threads_and_draw_the_same(serving, drawing_threads):
    wishes = [replace(ALL, seed=seed) for seed in range(3)]
    alone = texts(serving, 1, *wishes)
    assert {*drawing_threads} == {"MainThread"}
    drawing_threads.clear()

    assert texts(serving, 2, *wishes) == alone
    assert "draws" in drawing_threads


def test_a_long_draw_by_itself_and_short_ones_need_no_thread(serving, drawing_threads):
    short = replace(ALL, top_k=40)

    texts(serving, 2, ALL, short, short)

    assert {*drawing_threads} == {"MainThread"}


def test_a_draw_that_fails_in_its_thread_ends_its_own_request(serving, monkeypatch):
    sample = SamplerChain.sample

    def broken(chain: SamplerChain, context: Context, output: int) -> int:
        if chain.window == 5:
            raise ValueError("no draw")
        return sample(chain, context, output)

    monkeypatch.setattr(SamplerChain, "sample", broken)

    first, second = texts(serving, 2, replace(ALL, repeat_last_n=5), ALL)

    assert not first
    assert serving.answers[-2].end.error == "InternalError"
    assert second
    assert isinstance(serving.answers[-1].end, Finished)
