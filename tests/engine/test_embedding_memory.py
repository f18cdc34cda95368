"""What the vectors of a generating model's long text cost: a row of logits a token, never all."""

import sys
from pathlib import Path

import numpy as np
import pytest
from altered import write_altered
from gguf import GGUFReader, TokenType
from ollama_nb_server.engine.messages import Embed

NUM_VOCAB, NUM_CTX = 100_000, 2048
CHUNK_BYTES = 2 * 128 * NUM_VOCAB * 4  # logits of 128 tokens, computed and copied


@pytest.fixture(scope="module")
def wordy_gguf(demo_gguf, tmp_path_factory):
    """The bundled model with as many tokens as published ones have; the new ones are never used."""
    path = tmp_path_factory.mktemp("wordy") / "wordy.gguf"
    count = len(GGUFReader(demo_gguf).fields["tokenizer.ggml.tokens"].contents())
    more = NUM_VOCAB - count
    changes = {
        "llama.vocab_size": lambda _: NUM_VOCAB,
        "tokenizer.ggml.tokens": lambda tokens: [*tokens, *(f"<more{n}>" for n in range(more))],
        "tokenizer.ggml.token_type": lambda kinds: [*kinds, *[TokenType.UNUSED] * more],
        "token_embd.weight": lambda rows: np.pad(rows, ((0, more), (0, 0))),
    }
    write_altered(demo_gguf, path, changes)
    return path


def peak_bytes(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's peak memory")
async def test_memory_is_bounded_by_a_chunk_not_by_the_text(start_worker, wordy_gguf):
    worker = await start_worker(wordy_gguf, num_ctx=NUM_CTX, num_parallel=1, num_batch=64)
    loaded = peak_bytes(worker.pid)

    embedded = await worker.embed(Embed(worker.new_id(), ("word " * 3000,)))

    assert embedded.prompt_count == NUM_CTX
    assert CHUNK_BYTES / 2 < peak_bytes(worker.pid) - loaded < 1.5 * CHUNK_BYTES
