"""Qwen 2 (with its biases) and Qwen 3 (with norms of queries and keys)."""

from __future__ import annotations

from ollama_nb_server.library.convert.architectures.llama import (
    ATTENTION,
    FEED_FORWARD,
    TENSORS,
)
from ollama_nb_server.library.convert.architectures.table import DECODER, HEADS, Architecture

QWEN2 = Architecture(
    "qwen2",
    ("Qwen2ForCausalLM",),
    DECODER,
    TENSORS,
    {
        **ATTENTION,
        **FEED_FORWARD,
        "attn_q.bias": "Q",
        "attn_k.bias": "K",
        "attn_v.bias": "K",
    },
)
QWEN3 = Architecture(
    "qwen3",
    ("Qwen3ForCausalLM",),
    (*DECODER, *HEADS),
    TENSORS,
    {**ATTENTION, **FEED_FORWARD, "attn_q_norm.weight": "H", "attn_k_norm.weight": "H"},
    defaults={"head_dim": 128},
)
ALL = (QWEN2, QWEN3)
