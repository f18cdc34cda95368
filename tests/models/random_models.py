"""Models of random weights that take the engine's ways for real ones; written once a checkout.

`q4_k`: a Qwen2 of 55 million weights in Q4_K_M with heads of 64, so that it gets several threads, no
flash attention, as published models do (the bundled one gets the opposite of both).
`mamba`: a tiny model whose memory is a recurrent state: it can neither be cut nor shifted.
Both write nonsense with the bundled model's vocabulary, and never end by themselves: greedy answers
depend on every token before, and are as long as a test wants them.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from gguf import GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType
from ollama_nb_server.library.bundled import DEMO

CONTEXT, LAYERS = 32_768, 2
WIDTH, HEADS, KV_HEADS, HIDDEN = 512, 8, 2, 16384  # of the Qwen2; rows are multiples of 256
ENDS = ("bos", "eos", "eot", "padding")  # tokens that are never written


class RandomWeights:
    """Adds tensors of random values to a file; which ones depends on nothing else."""

    def __init__(self, writer: GGUFWriter, kind: type) -> None:
        self._writer, self._kind = writer, kind
        self._random = np.random.default_rng(1)

    def matrix(self, name: str, shape: tuple[int, int], scale: float = 1) -> None:
        """Values that multiply the size of what goes in by `scale`."""
        data = self._random.standard_normal(shape, np.float32) * (scale / np.sqrt(shape[1]))
        self._add(name, data)

    def tensor(self, name: str, shape: tuple[int, ...]) -> None:
        """The same for more dimensions, of which the first is what comes out."""
        data = self._random.standard_normal(shape, np.float32) / np.sqrt(np.prod(shape[1:]))
        self._writer.add_tensor(name, data.astype(np.float32))

    def head(self, shape: tuple[int, int], silent: list[int]) -> None:
        """The matrix that gives the logits; those of `silent` tokens are 0, others' often more."""
        data = self._random.standard_normal(shape, np.float32)
        data[silent] = 0
        self._add("output", data / np.sqrt(shape[1]))

    def _add(self, name: str, data: npt.NDArray[np.float32]) -> None:
        self._writer.add_tensor(f"{name}.weight", data.astype(self._kind))

    def vector(self, name: str, length: int, value: float) -> None:
        self._writer.add_tensor(name, np.full(length, value, np.float32))


def written_once(folder: Path, write: Callable[[Path], None]) -> Path:
    """The file that `write` makes; a later version of its module makes it anew."""
    sources = {Path(__file__), Path(write.__code__.co_filename)}
    code = b"".join(source.read_bytes() for source in sorted(sources))
    version = hashlib.sha256(code).hexdigest()[:8]
    name = write.__name__.removeprefix("write_")
    path = folder / f"{name}-{version}.gguf"
    if not path.exists():
        with TemporaryDirectory(dir=folder) as temp:
            part = Path(temp) / "part"
            write(part)
            part.replace(path)
        for older in folder.glob(f"{name}-*"):
            if older != path:
                older.unlink(missing_ok=True)
    return path


def write_q4_k(path: Path) -> None:
    """Write a Qwen2 and have llama.cpp quantise it, as `ollama create --quantize` does."""
    whole = path.with_suffix(".f16")
    _write_qwen2(whole)
    module, kind = "ollama_nb_server.engine.requantize", str(int(LlamaFileType.MOSTLY_Q4_K_M))
    command = [sys.executable, "-m", module, str(whole), str(path), kind, "qwen2"]
    subprocess.run(command, check=True, capture_output=True)


def _write_qwen2(path: Path) -> None:
    """Few and wide layers: the threads wait for each other at every step of one."""
    writer = GGUFWriter(path, "qwen2")
    writer.add_file_type(LlamaFileType.MOSTLY_F16)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1e6)
    add = begin(writer, WIDTH, np.float16)
    kv = WIDTH // HEADS * KV_HEADS
    for block in (f"blk.{i}" for i in range(LAYERS)):
        add.vector(f"{block}.attn_norm.weight", WIDTH, 1)
        add.vector(f"{block}.ffn_norm.weight", WIDTH, 1)
        for name, size, scale in (("q", WIDTH, 2), ("k", kv, 2), ("v", kv, 1)):
            add.matrix(f"{block}.attn_{name}", (size, WIDTH), scale)  # looks at few tokens each
            add.vector(f"{block}.attn_{name}.bias", size, 0)
        add.matrix(f"{block}.attn_output", (WIDTH, WIDTH))
        add.matrix(f"{block}.ffn_gate", (HIDDEN, WIDTH))
        add.matrix(f"{block}.ffn_up", (HIDDEN, WIDTH))
        add.matrix(f"{block}.ffn_down", (WIDTH, HIDDEN))
    end(writer)


def write_mamba(path: Path) -> None:
    """Write a Mamba in F32, as small as can be."""
    width, inner, state, kernel, rank = 64, 128, 16, 4, 4
    writer = GGUFWriter(path, "mamba")
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    add = begin(writer, width, np.float32)
    decays = -np.tile(np.arange(1, state + 1, dtype=np.float32), (inner, 1))
    for block in (f"blk.{i}" for i in range(LAYERS)):
        add.vector(f"{block}.attn_norm.weight", width, 1)
        add.matrix(f"{block}.ssm_in", (2 * inner, width))
        add.matrix(f"{block}.ssm_conv1d", (inner, kernel))
        add.vector(f"{block}.ssm_conv1d.bias", inner, 0)
        add.matrix(f"{block}.ssm_x", (rank + 2 * state, inner))
        add.matrix(f"{block}.ssm_dt", (inner, rank))
        add.vector(f"{block}.ssm_dt.bias", inner, -2)  # small steps: it remembers
        writer.add_tensor(f"{block}.ssm_a", decays)
        add.vector(f"{block}.ssm_d", inner, 1)
        add.matrix(f"{block}.ssm_out", (width, inner))
    end(writer)


def begin(writer: GGUFWriter, width: int, kind: type) -> RandomWeights:
    """Add what models share: the bundled one's vocabulary, the tables from and to tokens."""
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(LAYERS)
    writer.add_layer_norm_rms_eps(1e-6)
    fields = GGUFReader(DEMO).fields
    for key, value in fields.items():
        if key.startswith("tokenizer."):
            outer, *inner = value.types
            element = inner[0] if outer == GGUFValueType.ARRAY else None
            writer.add_key_value(key, value.contents(), outer, element)
    ends = (fields.get(f"tokenizer.ggml.{name}_token_id") for name in ENDS)
    shape = len(fields["tokenizer.ggml.tokens"].contents()), width
    add = RandomWeights(writer, kind)
    add.matrix("token_embd", shape)
    add.vector("output_norm.weight", width, 1)
    add.head(shape, [int(end.contents()) for end in ends if end is not None])
    return add


def end(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
