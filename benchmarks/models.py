"""The models that are measured: the bundled one, and a 0.5B one of random weights, made on demand.

The big one has the shape of a 0.5B Qwen2 (24 layers of 896, vocabulary 151,936) and is quantised to
Q4_K_M by llama.cpp itself; it lies in the user's cache folder and says nothing sensible.
"""

from __future__ import annotations

import os
from pathlib import Path

import llama_cpp as ll
import numpy as np
from gguf import GGUFWriter, LlamaFileType, TokenType
from ollama_nb_server.library.bundled import DEMO

VOCABULARY, WIDTH, LAYERS, HEADS, KV_HEADS, HIDDEN = 151_936, 896, 24, 14, 2, 4864
CONTEXT = 32_768
MODELS = "demo, half-billion, or the path of a GGUF file"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ollama_nb" / "benchmarks"


def models(names: list[str]) -> dict[str, Path]:
    """The files of these models, by name: `demo`, `half-billion`, or the path of a file."""
    return dict(map(_model, names))


def _model(name: str) -> tuple[str, Path]:
    if name == "half-billion":
        return name, half_billion()
    path = DEMO if name == "demo" else Path(name)
    if not path.is_file():
        raise SystemExit(f"{name} is neither demo nor half-billion, nor a file")
    return (name if name == "demo" else path.stem), path


def half_billion() -> Path:
    """The random model; made once."""
    path = CACHE / "random-0.5b-q4_k_m.gguf"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        whole = CACHE / "random-0.5b-f16.gguf"
        write(whole)
        params = ll.llama_model_quantize_default_params()
        params.ftype = ll.LLAMA_FTYPE_MOSTLY_Q4_K_M
        part = path.with_suffix(".part")
        assert ll.llama_model_quantize(bytes(whole), bytes(part), params) == 0
        part.replace(path)
        whole.unlink()
    return path


def write(path: Path) -> None:
    """The model in F16."""
    rng = np.random.default_rng(1)
    writer = GGUFWriter(path, "qwen2")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(LlamaFileType.MOSTLY_F16)
    add_vocabulary(writer)

    def matrix(name: str, rows: int, columns: int) -> None:
        data = rng.standard_normal((rows, columns), np.float32) * 0.02
        writer.add_tensor(name, data.astype(np.float16))

    def vector(name: str, length: int, value: float) -> None:
        writer.add_tensor(name, np.full(length, value, np.float32))

    kv = WIDTH // HEADS * KV_HEADS
    matrix("token_embd.weight", VOCABULARY, WIDTH)
    vector("output_norm.weight", WIDTH, 1)
    for i in range(LAYERS):
        block = f"blk.{i}"
        vector(f"{block}.attn_norm.weight", WIDTH, 1)
        vector(f"{block}.ffn_norm.weight", WIDTH, 1)
        for name, size in (("q", WIDTH), ("k", kv), ("v", kv)):
            matrix(f"{block}.attn_{name}.weight", size, WIDTH)
            vector(f"{block}.attn_{name}.bias", size, 0)
        matrix(f"{block}.attn_output.weight", WIDTH, WIDTH)
        matrix(f"{block}.ffn_gate.weight", HIDDEN, WIDTH)
        matrix(f"{block}.ffn_up.weight", HIDDEN, WIDTH)
        matrix(f"{block}.ffn_down.weight", WIDTH, HIDDEN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_vocabulary(writer: GGUFWriter) -> None:
    """Every byte, then words of two to four letters; merges that make the first words of two."""
    letters = [chr(c) for c in range(33, 127)] + [chr(c) for c in range(161, 173)]
    letters += [chr(c) for c in range(174, 256)] + [chr(256 + i) for i in range(68)]
    small = [chr(c) for c in range(97, 123)]
    pairs = [a + b for a in small for b in small]
    words = (f"{a}{b}" for a in pairs for b in pairs)
    tokens = [*letters, *pairs]
    while len(tokens) < VOCABULARY - 1:
        tokens.append(next(words, f"<unused{len(tokens)}>"))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*tokens, "<|endoftext|>"])
    writer.add_token_types([TokenType.NORMAL] * len(tokens) + [TokenType.CONTROL])
    writer.add_token_merges([f"{a} {b}" for a in small for b in small])
    writer.add_eos_token_id(VOCABULARY - 1)
    writer.add_add_bos_token(False)
