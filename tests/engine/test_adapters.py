from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

PROMPT = "Once upon a time"
TARGET = "blk.0.attn_q.weight"


@pytest.fixture
def adapter(demo_gguf: Path, tmp_path: Path):
    """`adapter(strength)`: a LoRA adapter of rank 4 for one matrix of the bundled model."""
    reader = gguf.GGUFReader(demo_gguf)
    num_in, num_out = next(t.shape for t in reader.tensors if t.name == TARGET)

    def write(strength: float) -> str:
        path, chance = tmp_path / f"lora-{strength}.gguf", np.random.default_rng(1)
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", 4.0)
        for name, shape in (("lora_a", (4, num_in)), ("lora_b", (num_out, 4))):
            values = strength * chance.normal(size=shape)
            writer.add_tensor(f"{TARGET}.{name}", values.astype(np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return str(path)

    return write


async def test_an_adapter_changes_the_answers(start_worker, ask, adapter):
    plain = await start_worker()
    adapted = await start_worker(adapters=(adapter(1.0),))

    assert (await ask(adapted, PROMPT))[0] != (await ask(plain, PROMPT))[0]


async def test_an_adapter_of_zeros_changes_nothing(start_worker, ask, adapter):
    plain = await start_worker()
    adapted = await start_worker(adapters=(adapter(0.0),))

    assert (await ask(adapted, PROMPT))[0] == (await ask(plain, PROMPT))[0]
