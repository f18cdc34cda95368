"""BERT and Nomic's BERT: encoders, which make embeddings and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from ollama_nb_server.library.convert.architectures.table import BUFFERS, COMMON, Architecture
from ollama_nb_server.library.convert.config import Config
from ollama_nb_server.library.convert.errors import BadConfig
from ollama_nb_server.library.convert.metadata import Metadata, u32
from ollama_nb_server.library.convert.rope import Rope
from ollama_nb_server.library.convert.weights import Floats

KEYS = (*COMMON, "attention.causal", "attention.layer_norm_epsilon")
EMBEDDINGS = {
    "token_embd.weight": "V E",
    "token_types.weight": "T E",
    "token_embd_norm.weight": "E",
    "token_embd_norm.bias": "E",
}
NORMS = {
    "attn_output_norm.weight": "E",
    "attn_output_norm.bias": "E",
    "layer_output_norm.weight": "E",
    "layer_output_norm.bias": "E",
}
PROJECTED = {
    "attn_q": "E E",
    "attn_k": "E E",
    "attn_v": "E E",
    "attn_output": "E E",
    "ffn_up": "F E",
    "ffn_down": "E F",
}
# What the engine computes; config.json may say otherwise, or nothing.
ABSOLUTE = {"position_embedding_type": "absolute"}
NOMIC_1 = {
    "prenorm": False,
    "causal": False,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
}


def _positions(config: Config, rope: Rope) -> tuple[Metadata, Mapping[str, Floats]]:
    """Positions have vectors of their own."""
    del rope
    _refuse_others(config, ABSOLUTE)
    return {}, {}


def _trained_context(config: Config, rope: Rope) -> tuple[Metadata, Mapping[str, Floats]]:
    """The context without the stretching that Nomic's own code does beyond it."""
    del rope
    _refuse_others(config, NOMIC_1)
    trained = config.count("max_trained_positions", default=2048)
    return {"context_length": u32(min(config.context, trained))}, {}


def _refuse_others(config: Config, computed: Mapping[str, object]) -> None:
    for name, value in computed.items():
        if (found := config.get(name)) is not None and found != value:
            raise BadConfig(f"`{name}` is {found!r}, only {value!r} can be computed")


BERT = Architecture(
    "bert",
    ("BertModel",),
    KEYS,
    {**EMBEDDINGS, "position_embd.weight": "P E"},
    {
        **NORMS,
        **{f"{name}.weight": shape for name, shape in PROJECTED.items()},
        **{f"{name}.bias": shape.split()[0] for name, shape in PROJECTED.items()},
    },
    activation="gelu",
    extra=_positions,
    # The pooler is a layer over [CLS] for next-sentence prediction: embeddings do not use it.
    ignored=rf"embeddings\.position_ids|pooler\.dense\.(weight|bias)|{BUFFERS}",
    renamed={
        r"(?:bert\.)?(.*)\.gamma": r"\1.weight",
        r"(?:bert\.)?(.*)\.beta": r"\1.bias",
        r"bert\.(.*)": r"\1",
    },
    rope_keys=False,
    adapts=False,
)
NOMIC = Architecture(
    "nomic-bert",
    ("NomicBertModel",),
    KEYS,
    EMBEDDINGS,
    {
        **NORMS,
        "attn_qkv.weight": "W E",
        "attn_output.weight": "E E",
        "ffn_up.weight": "F E",
        "ffn_gate.weight": "F E",
        "ffn_down.weight": "E F",
    },
    activation="swiglu",
    extra=_trained_context,
    adapts=False,
)
ALL = (BERT, NOMIC)
