"""What a table of an architecture consists of, and the keys that several of them share.

A table names every tensor that a model has, with its shape in letters (`SIZES`). Names are GGUF's;
`?` marks those that not every model has. What is not in the table is refused, but for `ignored`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ollama_nb_server.library.convert.config import Config
from ollama_nb_server.library.convert.metadata import Metadata, Value, f32, flag, u32
from ollama_nb_server.library.convert.rope import Rope
from ollama_nb_server.library.convert.weights import Floats

SIZES: dict[str, Callable[[Config], int]] = {
    "E": lambda c: c.embedding,
    "F": lambda c: c.feed_forward,
    "G": lambda c: 2 * c.feed_forward,
    "H": lambda c: c.head_dim,
    "K": lambda c: c.heads_kv * c.head_dim,
    "P": lambda c: c.context,
    "Q": lambda c: c.heads * c.head_dim,
    "T": lambda c: c.count("type_vocab_size", default=1),
    "V": lambda c: c.vocab,
    "W": lambda c: (c.heads + 2 * c.heads_kv) * c.head_dim,
    "X": lambda c: c.experts,
}

KEYS: dict[str, Callable[[Config], Value]] = {
    "attention.causal": lambda c: flag(False),
    "attention.head_count": lambda c: u32(c.heads),
    "attention.head_count_kv": lambda c: u32(c.heads_kv),
    "attention.key_length": lambda c: u32(c.head_dim),
    "attention.layer_norm_epsilon": lambda c: f32(
        c.number("layer_norm_eps", "layer_norm_epsilon", default=1e-12)
    ),
    "attention.layer_norm_rms_epsilon": lambda c: f32(c.number("rms_norm_eps", default=1e-6)),
    "attention.sliding_window": lambda c: u32(c.count("sliding_window")),
    "attention.value_length": lambda c: u32(c.head_dim),
    "attn_logit_softcapping": lambda c: f32(c.number("attn_logit_softcapping", default=50.0)),
    "block_count": lambda c: u32(c.blocks),
    "context_length": lambda c: u32(c.context),
    "embedding_length": lambda c: u32(c.embedding),
    "expert_count": lambda c: u32(c.experts),
    "expert_used_count": lambda c: u32(c.count("num_experts_per_tok", default=2)),
    "feed_forward_length": lambda c: u32(c.feed_forward),
    "final_logit_softcapping": lambda c: f32(c.number("final_logit_softcapping", default=30.0)),
    "rope.dimension_count": lambda c: u32(c.head_dim),
    "vocab_size": lambda c: u32(c.vocab),
}

COMMON = (
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
)
DECODER = (*COMMON, "attention.head_count_kv", "attention.layer_norm_rms_epsilon")
HEADS = ("attention.key_length", "attention.value_length")

# Buffers that old checkpoints carry along.
BUFFERS = r".*\.(rotary_emb\.inv_freq|attention\.masked_bias|attention\.bias)"

Extra = Callable[[Config, Rope], tuple[Metadata, Mapping[str, Floats]]]


def nothing(config: Config, rope: Rope) -> tuple[Metadata, Mapping[str, Floats]]:
    """No keys and no tensors besides the table's."""
    del config, rope
    return {}, {}


@dataclass(frozen=True)
class Architecture:
    """One table.

    Parameters
    ----------
    name
        GGUF's name of the architecture.
    models
        Names of config.json that it stands for.
    keys
        Names of `KEYS`.
    tensors
        Those of the model as a whole.
    block
        Those of each block, without `blk.N.`.
    activation
        How the name of the activation function begins: the engine computes no other.
    defaults
        What config.json may leave out.
    ignored
        Tensors, by their names in the files, that nothing is lost without.
    renamed
        Patterns of such names, and what they become before they are looked up.
    extra
        Further keys, and tensors that are computed.
    rope_keys
        Whether it has the usual keys for rotary embedding.
    permuted
        Whether query and key rows change their order.
    shifted_norms
        Whether 1 is added to the weights of norms.
    adapts
        Whether LoRA adapters can be made for it.
    keeps_spaces
        Whether no space is put before a text (SentencePiece does that by itself).
    """

    name: str
    models: tuple[str, ...]
    keys: tuple[str, ...]
    tensors: Mapping[str, str]
    block: Mapping[str, str]
    activation: str = "silu"
    defaults: Mapping[str, Any] = field(default_factory=dict)
    ignored: str = BUFFERS
    renamed: Mapping[str, str] = field(default_factory=dict)
    extra: Extra = nothing
    rope_keys: bool = True
    permuted: bool = False
    shifted_norms: bool = False
    adapts: bool = True
    keeps_spaces: bool = False

    def ignores(self, name: str) -> bool:
        """Whether a tensor of the files is left out."""
        return re.fullmatch(self.ignored, name) is not None

    def shapes(self, config: Config) -> dict[str, tuple[tuple[int, ...], bool]]:
        """Every tensor of a model: its shape, and whether it must be there."""
        named = dict(self.tensors)
        for block in range(config.blocks):
            named.update({f"blk.{block}.{name}": shape for name, shape in self.block.items()})
        return {name: _shape(text, config) for name, text in named.items()}


def _shape(text: str, config: Config) -> tuple[tuple[int, ...], bool]:
    letters = text.removesuffix("?").split()
    return tuple(SIZES[letter](config) for letter in letters), not text.endswith("?")
