"""What the vectors of a generating model's long text cost: a row of logits a token, never all."""

import sys
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import dequantize
from ollama_nb_server.engine.hidden_states import CHUNK
from ollama_nb_server.engine.messages import Embed

NUM_VOCAB, NUM_CTX = 100_000, 2048
CHUNK_BYTES = 2 * CHUNK * NUM_VOCAB * 4  # logits, computed and copied


@pytest.fixture(scope="module")
def wordy_gguf(demo_gguf, tmp_path_factory):
    """The bundled model with as many tokens as published ones have; the new ones are never used."""
    path = tmp_path_factory.mktemp("wordy") / "wordy.gguf"
    reader, writer = GGUFReader(demo_gguf), GGUFWriter(path, "llama")
    more = NUM_VOCAB - len(reader.fields["tokenizer.ggml.tokens"].contents())
    longer = {
        "llama.vocab_size": lambda _: NUM_VOCAB,
        "tokenizer.ggml.tokens": lambda tokens: [*tokens, *(f"<more{n}>" for n in range(more))],
        "tokenizer.ggml.token_type": lambda kinds: [*kinds, *[5] * more],
    }
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key not in ("general.architecture", "general.file_type"):
            outer, *inner = field.types
            element = inner[0] if outer == GGUFValueType.ARRAY else None
            writer.add_key_value(
                key, longer.get(key, lambda same: same)(field.contents()), outer, element
            )
    writer.add_file_type(1)
    for tensor in reader.tensors:
        data = dequantize(tensor.data, tensor.tensor_type)
        if tensor.name == "token_embd.weight":
            data = np.pad(data, ((0, more), (0, 0)))
        writer.add_tensor(tensor.name, data.astype(np.float16 if data.ndim > 1 else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
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
