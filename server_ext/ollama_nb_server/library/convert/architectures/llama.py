"""Llama, Mistral and Mixtral: one architecture in GGUF."""

from __future__ import annotations

from collections.abc import Mapping

from ollama_nb_server.library.convert.architectures.table import DECODER, HEADS, Architecture
from ollama_nb_server.library.convert.config import Config
from ollama_nb_server.library.convert.metadata import Metadata
from ollama_nb_server.library.convert.rope import Rope
from ollama_nb_server.library.convert.weights import Floats

KEYS = (*DECODER, *HEADS, "rope.dimension_count", "vocab_size")
TENSORS = {"token_embd.weight": "V E", "output_norm.weight": "E", "output.weight": "V E?"}
ATTENTION = {
    "attn_norm.weight": "E",
    "attn_q.weight": "Q E",
    "attn_k.weight": "K E",
    "attn_v.weight": "K E",
    "attn_output.weight": "E Q",
    "ffn_norm.weight": "E",
}
FEED_FORWARD = {"ffn_gate.weight": "F E", "ffn_up.weight": "F E", "ffn_down.weight": "E F"}
BIASES = {
    "attn_q.bias": "Q?",
    "attn_k.bias": "K?",
    "attn_v.bias": "K?",
    "attn_output.bias": "E?",
    "ffn_gate.bias": "F?",
    "ffn_up.bias": "F?",
    "ffn_down.bias": "E?",
}
EXPERTS = {
    "ffn_gate_inp.weight": "X E",
    "ffn_gate_exps.weight": "X F E",
    "ffn_up_exps.weight": "X F E",
    "ffn_down_exps.weight": "X E F",
}
EXPERT = r"model\.(layers\.\d+)\.block_sparse_moe\.experts\.\d+\.(w[123])\.weight"


def _frequencies(config: Config, rope: Rope) -> tuple[Metadata, Mapping[str, Floats]]:
    """Llama 3.1's longer context."""
    del config
    factors = rope.llama3()
    return {}, {} if factors is None else {"rope_freqs.weight": factors}


LLAMA = Architecture(
    "llama",
    ("LlamaForCausalLM", "MistralForCausalLM"),
    KEYS,
    TENSORS,
    {**ATTENTION, **FEED_FORWARD, **BIASES},
    extra=_frequencies,
    permuted=True,
)
MIXTRAL = Architecture(
    "llama",
    ("MixtralForCausalLM",),
    (*KEYS, "expert_count", "expert_used_count"),
    TENSORS,
    {**ATTENTION, **EXPERTS},
    defaults={"rope_theta": 1_000_000.0, "num_local_experts": 8},
    # One tensor for each expert in the files, one for all of them in GGUF.
    renamed={EXPERT: r"\1.feed_forward.experts.\2.weight"},
    permuted=True,
)
ALL = (LLAMA, MIXTRAL)
