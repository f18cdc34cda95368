"""Tiny models with control and user-defined tokens: the bundled one with four more, and a SentencePiece one.

`talker`: the bundled model, whose last four tokens are tags instead: two are user-defined, as in
Qwen's vocabularies, two are control tokens, as in others. It fills in by its three control tokens. `pieces`: a Llama of random weights whose special tokens eat the blanks behind them, as
in Phi-3's, and whose tokenizer puts a blank before every text.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter, TokenType
from ollama_nb_server.library.bundled import DEMO

TAGS = ["<tool_call>", "</tool_call>", "<think>", "</think>"]
CONTROL = ["<s>", "</s>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
WORDS = ["\u2581a", "\u2581the", "\u2581end", "th", "en", "in", "ll", "oo", "\u2581w", "\u2581in"]
LETTERS = [*map(chr, range(33, 127)), "\u2581"]
TOKENS, TYPES = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"
WIDTH = 32


def write_talker(path: Path) -> None:
    """Copy the bundled model with other texts for its last tokens."""
    reader = GGUFReader(DEMO)
    writer = GGUFWriter(path, reader.fields["general.architecture"].contents())
    for key, value in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        outer, *inner = value.types
        contents = value.contents()
        if key == TOKENS:
            contents[-len(TAGS) :] = TAGS
        elif key == TYPES:
            contents[-len(TAGS) :] = [TokenType.USER_DEFINED] * 2 + [TokenType.CONTROL] * 2
        element = inner[0] if outer == GGUFValueType.ARRAY else None
        writer.add_key_value(key, contents, outer, element)
    for token, name in enumerate(("fim_pre", "fim_suf", "fim_mid")):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    _end(writer)


def write_pieces(path: Path) -> None:
    """Write the smallest Llama with a vocabulary of SentencePiece."""
    kinds = {
        "<unk>": TokenType.UNKNOWN,
        **dict.fromkeys(CONTROL, TokenType.CONTROL),
        **dict.fromkeys([*TAGS, "<b>"], TokenType.USER_DEFINED),
        **{f"<0x{byte:02X}>": TokenType.BYTE for byte in range(256)},
        **dict.fromkeys([*LETTERS, *WORDS], TokenType.NORMAL),
    }
    writer = GGUFWriter(path, "llama")
    writer.add_name("phi-3 of random weights")
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(WIDTH)
    writer.add_block_count(1)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(list(kinds))
    writer.add_token_scores([-float(len(LETTERS) - len(text)) for text in kinds])
    writer.add_token_types(list(kinds.values()))
    writer.add_bos_token_id(list(kinds).index("<s>"))
    writer.add_eos_token_id(list(kinds).index("</s>"))
    for name, shape in _shapes(len(kinds)).items():
        values = np.random.default_rng(len(name)).normal(0, 0.3, shape)
        writer.add_tensor(f"{name}.weight", values.astype(np.float32))
    _end(writer)


def _shapes(num_vocab: int) -> dict[str, tuple[int, ...]]:
    square = [f"blk.0.attn_{part}" for part in ("q", "k", "v", "output")]
    square += [f"blk.0.ffn_{part}" for part in ("gate", "up", "down")]
    return {
        **dict.fromkeys(("token_embd", "output"), (num_vocab, WIDTH)),
        **dict.fromkeys(("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"), (WIDTH,)),
        **dict.fromkeys(square, (WIDTH, WIDTH)),
    }


def _end(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
