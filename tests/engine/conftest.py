"""Workers of the bundled model. Each test's worker is stopped, and gone, when the test is over."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import gguf
import numpy as np
import psutil
import pytest

with pytest.MonkeyPatch.context() as patch:  # read once, by OpenMP, when llama.cpp brings it in
    patch.setenv("GOMP_SPINCOUNT", "1000")  # as in workers: beside busy processes it must not spin
    import llama_cpp  # noqa: F401

from gguf import GGUFReader, TokenType
from ollama_nb_server.engine.grammars.compiling import Compiler
from ollama_nb_server.engine.messages import (
    Delta,
    Finished,
    Generate,
    LoadSpec,
    SamplingParams,
    Segment,
    TextSegment,
    TokenSegment,
)
from ollama_nb_server.engine.native import Model, NativeLog
from ollama_nb_server.engine.process import Worker

sys.path.insert(0, str(Path(__file__).parent))  # the modules that tests here share

from altered import write_altered

StartWorker = Callable[..., Awaitable[Worker]]
Ask = Callable[..., Awaitable[tuple[str, Finished]]]


@pytest.fixture
async def start_worker(demo_gguf: Path) -> AsyncIterator[StartWorker]:
    """`await start_worker(num_ctx=..., ...)`; the keywords are those of LoadSpec."""
    workers: list[Worker] = []

    async def start(model_path: Path = demo_gguf, **wishes: object) -> Worker:
        facts = {"num_ctx": 512, "num_parallel": 4, **wishes}
        workers.append(await Worker.start(LoadSpec(str(model_path), **facts)))
        return workers[-1]

    yield start

    for worker in workers:
        await worker.stop()
    assert not [w.pid for w in workers if psutil.pid_exists(w.pid)]


@pytest.fixture
async def worker(start_worker: StartWorker) -> Worker:
    return await start_worker()


@pytest.fixture(scope="session")
def demo_model(demo_gguf: Path) -> Iterator[Model]:
    """The bundled model's weights and vocabulary in this process."""
    model = Model(LoadSpec(str(demo_gguf)), NativeLog())
    yield model
    model.close()


@pytest.fixture(scope="session")
def compiler(demo_model: Model) -> Compiler:
    return Compiler(demo_model)


TAGS = {  # control tokens, and what the bundled model writes them instead of
    "[TOOL_CALLS]": "\u0120the",
    "<|python_tag|>": ".",
    "<tool_call>": "",
    "</tool_call>": "",
    "<think>": "",
    "</think>": "",
    "funny robot": "",  # which it writes by its letters
}


@pytest.fixture(scope="session")
def tagged_gguf(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model with control tokens, of which it writes some instead of usual words."""
    path = tmp_path_factory.mktemp("tagged") / "tagged.gguf"
    words = GGUFReader(demo_gguf).fields["tokenizer.ggml.tokens"].contents()
    likened = [words.index(word) if word else 0 for word in TAGS.values()]
    scales = np.array([1.1 if word else 0 for word in TAGS.values()])[:, None]
    changes = {
        "llama.vocab_size": lambda count: count + len(TAGS),
        "tokenizer.ggml.tokens": lambda tokens: [*tokens, *TAGS],
        "tokenizer.ggml.token_type": lambda kinds: [*kinds, *[TokenType.CONTROL] * len(TAGS)],
        "token_embd.weight": lambda rows: np.vstack([rows, rows[likened] * scales]),
    }
    write_altered(demo_gguf, path, changes)
    return path


@pytest.fixture(scope="session")
def bert_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that only embeds: BERT of one layer and random weights."""
    path = tmp_path_factory.mktemp("bert") / "bert.gguf"
    write_bert(path)
    return path


@pytest.fixture
def ask() -> Ask:
    """`text, finished = await ask(worker, prompt, num_predict=...)`; greedy by default."""

    async def told(worker: Worker, prompt: object, **wishes: object) -> tuple[str, Finished]:
        wishes = {"sampling": SamplingParams(seed=1, temperature=0), "num_predict": 24, **wishes}
        request = Generate(worker.new_id(), segments(prompt), **wishes)
        events = [event async for event in worker.generate(request)]
        return "".join(e.text for e in events if isinstance(e, Delta)), events[-1]

    return told


@pytest.fixture
def events() -> Callable[..., Awaitable[list[object]]]:
    """`told = await events(worker, prompt, num_predict=...)`: every message of a generation."""

    async def told(worker: Worker, prompt: object, **wishes: object) -> list[object]:
        wishes = {"sampling": SamplingParams(seed=1, temperature=0), "num_predict": 60, **wishes}
        request = Generate(worker.new_id(), segments(prompt), **wishes)
        return [event async for event in worker.generate(request)]

    return told


@pytest.fixture(scope="session")
def bert_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The same BERT with another kind of pooling: `bert_of(PoolingType.CLS)`."""
    folder = tmp_path_factory.mktemp("berts")

    def written(pooling: int) -> Path:
        path = folder / f"{pooling:d}.gguf"
        if not path.exists():
            write_bert(path, pooling=pooling)
        return path

    return written


def segments(prompt: str | tuple[int, ...] | tuple[Segment, ...]) -> tuple[Segment, ...]:
    """A prompt of one piece, or of the pieces that it is."""
    if isinstance(prompt, str):
        return (TextSegment(prompt),)
    ids = tuple(token for token in prompt if isinstance(token, int))
    return (TokenSegment(ids),) if ids else prompt


def write_bert(
    path: Path, num_embd: int = 32, num_ctx: int = 64, pooling: int = gguf.PoolingType.MEAN
) -> None:
    """Write the smallest BERT that llama.cpp loads."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "\u2581hello", "\u2581world", "\u2581a"]
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_context_length(num_ctx)
    writer.add_embedding_length(num_embd)
    writer.add_feed_forward_length(2 * num_embd)
    writer.add_block_count(1)
    writer.add_head_count(2)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_uint32("bert.pooling_type", pooling)
    writer.add_tokenizer_model("bert")
    writer.add_token_list(words)
    writer.add_token_type_count(2)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_sep_token_id(3)
    writer.add_eos_token_id(3)
    for name, shape in bert_shapes(len(words), num_embd, num_ctx).items():
        values = np.random.default_rng(len(name)).normal(0, 0.3, shape)
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def bert_shapes(num_vocab: int, width: int, num_ctx: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a BERT's tensors."""
    tables = {"token_embd": num_vocab, "position_embd": num_ctx, "token_types": 2}
    norms = ["token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"]
    square = [f"blk.0.attn_{part}" for part in ("q", "k", "v", "output")]
    shapes = {f"{name}.weight": (rows, width) for name, rows in tables.items()}
    shapes |= {f"{name}.{part}": (width,) for name in norms for part in ("weight", "bias")}
    shapes |= {f"{name}.weight": (width, width) for name in square}
    shapes |= {f"{name}.bias": (width,) for name in square}
    shapes |= {"blk.0.ffn_up.weight": (2 * width, width), "blk.0.ffn_up.bias": (2 * width,)}
    shapes |= {"blk.0.ffn_down.weight": (width, 2 * width), "blk.0.ffn_down.bias": (width,)}
    return shapes
