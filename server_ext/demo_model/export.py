"""Writes the trained network as a GGUF file: Q8_0 matrices, F32 norms, the tokenizer, the template."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType
from gguf.quants import quantize
from network import Network
from tokenizers import Tokenizer
from tokens import CHATML, SPECIAL

LICENSE = "BSD-3-Clause"


def write(network: Network, tokenizer: Tokenizer, path: Path) -> None:
    """Write the file; an existing one is replaced."""
    writer = GGUFWriter(path, "llama")
    _describe(writer, network)
    _add_tokens(writer, tokenizer)
    for name, weight in network.state_dict().items():
        data = weight.float().numpy()
        if data.ndim == 1:
            writer.add_tensor(name, data)
        else:
            packed = quantize(data, GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, packed, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: GGUFWriter, network: Network) -> None:
    shape = network.shape
    writer.add_name("demo")
    writer.add_description("Demo model of ollama_nb: short stories, simple questions, reviews")
    writer.add_license(LICENSE)
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.vocabulary)


def _add_tokens(writer: GGUFWriter, tokenizer: Tokenizer) -> None:
    texts = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    kinds = [TokenType.CONTROL if text in SPECIAL else TokenType.NORMAL for text in texts]
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(texts)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) if isinstance(pair, list) else pair for pair in merges])
    end, stop = (texts.index(name) for name in ("<|endoftext|>", "<|im_end|>"))
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(stop)
    writer.add_eot_token_id(stop)
    writer.add_pad_token_id(end)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(CHATML)


def sizes(network: Network) -> str:
    """Number of parameters, for the log."""
    return f"{sum(int(np.prod(p.shape)) for p in network.parameters()):,} parameters"
