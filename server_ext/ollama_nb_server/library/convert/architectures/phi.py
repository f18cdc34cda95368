"""Phi 3 and 4: queries, keys and values in one matrix, gate and up in another."""

from __future__ import annotations

from collections.abc import Mapping

from ollama_nb_server.library.convert.architectures.llama import TENSORS
from ollama_nb_server.library.convert.architectures.table import DECODER, Architecture
from ollama_nb_server.library.convert.config import Config
from ollama_nb_server.library.convert.metadata import Metadata, f32, u32
from ollama_nb_server.library.convert.rope import Rope
from ollama_nb_server.library.convert.weights import Floats


def _long(config: Config, rope: Rope) -> tuple[Metadata, Mapping[str, Floats]]:
    """LongRoPE's factors, and the sliding window (0: none, as Phi 4)."""
    keys = {
        "attention.sliding_window": u32(config.count("sliding_window", default=0)),
        "rope.freq_base": f32(rope.theta),
        "rope.dimension_count": u32(rope.rotated),
        "rope.scaling.original_context_length": u32(rope.original_context),
    }
    factors = rope.long_factors()
    if factors is None:
        return keys, {}
    keys["rope.scaling.attn_factor"] = f32(rope.long_attention())
    long, short = factors
    return keys, {"rope_factors_long.weight": long, "rope_factors_short.weight": short}


PHI3 = Architecture(
    "phi3",
    ("Phi3ForCausalLM",),
    DECODER,
    TENSORS,
    {
        "attn_norm.weight": "E",
        "attn_qkv.weight": "W E",
        "attn_output.weight": "E Q",
        "ffn_norm.weight": "E",
        "ffn_up.weight": "G E",
        "ffn_down.weight": "E F",
    },
    extra=_long,
    rope_keys=False,
)
ALL = (PHI3,)
