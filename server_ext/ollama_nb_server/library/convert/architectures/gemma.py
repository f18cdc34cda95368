"""Gemma 1 to 3 and EmbeddingGemma: the head is the embedding, norms are stored less 1."""

from __future__ import annotations

from collections.abc import Mapping

from ollama_nb_server.library.convert.architectures.llama import ATTENTION, FEED_FORWARD
from ollama_nb_server.library.convert.architectures.table import (
    BUFFERS,
    DECODER,
    HEADS,
    Architecture,
)
from ollama_nb_server.library.convert.config import Config
from ollama_nb_server.library.convert.metadata import Metadata, f32
from ollama_nb_server.library.convert.rope import Rope
from ollama_nb_server.library.convert.weights import Floats

KEYS = (*DECODER, *HEADS)
TENSORS = {"token_embd.weight": "V E", "output_norm.weight": "E"}
BLOCK = {**ATTENTION, **FEED_FORWARD}
POST_NORMS = {"post_attention_norm.weight": "E", "post_ffw_norm.weight": "E"}
QK_NORMS = {"attn_q_norm.weight": "H", "attn_k_norm.weight": "H"}
IGNORED = rf"lm_head\.weight|{BUFFERS}"  # the head is tied: this is a second copy
GEMMA3_DEFAULTS = {
    "max_position_embeddings": 131_072,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "rope_theta": 1_000_000.0,
    "rope_local_base_freq": 10_000.0,
    "sliding_window": 4096,
}


def _final_softcap(config: Config, rope: Rope) -> tuple[Metadata, Mapping[str, Floats]]:
    """A cap of the logits, where there is one."""
    del rope
    cap = config.get("final_logit_softcapping")
    if not cap:
        return {}, {}
    return {"final_logit_softcapping": f32(config.number("final_logit_softcapping"))}, {}


GEMMA = Architecture(
    "gemma",
    ("GemmaForCausalLM",),
    KEYS,
    TENSORS,
    BLOCK,
    activation="gelu",
    defaults={"head_dim": 256},
    ignored=IGNORED,
    shifted_norms=True,
    keeps_spaces=True,
)
GEMMA2 = Architecture(
    "gemma2",
    ("Gemma2ForCausalLM",),
    (*KEYS, "attn_logit_softcapping", "final_logit_softcapping", "attention.sliding_window"),
    TENSORS,
    {**BLOCK, **POST_NORMS},
    activation="gelu",
    defaults={"head_dim": 256, "sliding_window": 4096},
    ignored=IGNORED,
    shifted_norms=True,
    keeps_spaces=True,
)
GEMMA3 = Architecture(
    "gemma3",
    ("Gemma3ForCausalLM",),
    (*KEYS, "attention.sliding_window"),
    TENSORS,
    {**BLOCK, **POST_NORMS, **QK_NORMS},
    activation="gelu",
    defaults=GEMMA3_DEFAULTS,
    ignored=IGNORED,
    extra=_final_softcap,
    shifted_norms=True,
    keeps_spaces=True,
)
EMBEDDING = Architecture(
    "gemma-embedding",
    ("Gemma3TextModel",),
    GEMMA3.keys,
    TENSORS,
    GEMMA3.block,
    activation="gelu",
    defaults=GEMMA3_DEFAULTS,
    ignored=IGNORED,
    shifted_norms=True,
    adapts=False,
    keeps_spaces=True,
)
ALL = (GEMMA, GEMMA2, GEMMA3, EMBEDDING)
