"""Tiny models with fixed random weights, one folder for each architecture that is converted.

`tools/record_conversions.py` has llama.cpp's converter read the same folders.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tiny_tokenizers as tokens

HIDDEN, INNER, HEADS, KV, DIM, BLOCKS = 32, 48, 4, 2, 8, 2
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Tiny:
    """A folder: config.json, weights by name and shape, other files."""

    config: dict[str, Any]
    shapes: Shapes
    files: tokens.Files
    stored: str = "BF16"
    shards: int = 1
    more: dict[str, Shapes] = field(default_factory=dict)  # safetensors in sub-folders


def weights(name: str, shapes: Shapes) -> dict[str, npt.NDArray[np.float32]]:
    """Values that depend on the model's name only."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    return {key: random.standard_normal(shape).astype(np.float32) for key, shape in shapes.items()}


def encoded(values: npt.NDArray[np.float32], kind: str) -> bytes:
    if kind == "BF16":  # cut, not rounded: any value will do
        return (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    return values.astype({"F16": "<f2", "F32": "<f4", "F64": "<f8"}[kind]).tobytes()


def save(path: Path, tensors: dict[str, npt.NDArray[np.float32]], kind: str = "F32") -> None:
    """Write a safetensors file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw_file({n: (kind, v.shape, encoded(v, kind)) for n, v in tensors.items()}))


def raw_file(tensors: dict[str, tuple[str, tuple[int, ...], bytes]]) -> bytes:
    """A safetensors file: length of the header, header, values."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, (kind, shape, raw) in tensors.items():
        offsets = [place, place + len(raw)]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": offsets}
        place += len(raw)
    text = json.dumps(header).encode()
    return b"".join([struct.pack("<Q", len(text)), text, *(raw for _, _, raw in tensors.values())])


def write(folder: Path, name: str) -> Path:
    """Write one of `MODELS`."""
    tiny = MODELS[name]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(tiny.config))
    for file, content in tiny.files.items():
        path = folder / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    save_shards(folder, weights(name, tiny.shapes), tiny.stored, tiny.shards)
    for below, shapes in tiny.more.items():
        save(folder / below / "model.safetensors", weights(f"{name}/{below}", shapes), tiny.stored)
    return folder


def save_shards(folder: Path, tensors: dict[str, Any], kind: str, count: int) -> None:
    if count == 1:
        save(folder / "model.safetensors", tensors, kind)
        return
    names, where = sorted(tensors), {}
    for shard in range(count):
        file = f"model-{shard + 1:05d}-of-{count:05d}.safetensors"
        part = {name: tensors[name] for name in names[shard::count]}
        save(folder / file, part, kind)
        where.update(dict.fromkeys(part, file))
    index = {"metadata": {}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


# --- decoders -------------------------------------------------------------------------------------


def decoder(
    vocab: int, dim: int = DIM, prefix: str = "model.", head: bool = True, blocks: int = BLOCKS
) -> Shapes:
    """What all of Llama's kin have in common."""
    found: Shapes = {
        f"{prefix}embed_tokens.weight": (vocab, HIDDEN),
        f"{prefix}norm.weight": (HIDDEN,),
    }
    if head:
        found["lm_head.weight"] = (vocab, HIDDEN)
    for name, shape in attention(dim).items():
        found.update({f"{prefix}layers.{block}.{name}": shape for block in range(blocks)})
    return found


def attention(dim: int) -> Shapes:
    return {
        "input_layernorm.weight": (HIDDEN,),
        "self_attn.q_proj.weight": (HEADS * dim, HIDDEN),
        "self_attn.k_proj.weight": (KV * dim, HIDDEN),
        "self_attn.v_proj.weight": (KV * dim, HIDDEN),
        "self_attn.o_proj.weight": (HIDDEN, HEADS * dim),
        "post_attention_layernorm.weight": (HIDDEN,),
        "mlp.gate_proj.weight": (INNER, HIDDEN),
        "mlp.up_proj.weight": (INNER, HIDDEN),
        "mlp.down_proj.weight": (HIDDEN, INNER),
    }


def each(prefix: str, shapes: Shapes, blocks: int = BLOCKS) -> Shapes:
    """The same tensors in each block."""
    return {
        f"{prefix}layers.{b}.{name}": shape for b in range(blocks) for name, shape in shapes.items()
    }


def without(shapes: Shapes, *parts: str) -> Shapes:
    return {
        name: shape for name, shape in shapes.items() if not any(part in name for part in parts)
    }


def config(model: str, kind: str, vocab: int, **more: Any) -> dict[str, Any]:
    return {
        "architectures": [model],
        "model_type": kind,
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": BLOCKS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5,
        "vocab_size": vocab,
        "hidden_act": "silu",
        **more,
    }


SPM, BPE = tokens.SPM_SIZE, tokens.BPE_SIZE
BEGIN, END, TURN = BPE - 4, BPE - 3, BPE - 2
WHOLE = 6  # blocks: llama.cpp's EmbeddingGemma aborts without one that attends to everything
GEMMA_NORMS: Shapes = {
    "pre_feedforward_layernorm.weight": (HIDDEN,),
    "post_feedforward_layernorm.weight": (HIDDEN,),
}
QK_NORMS: Shapes = {"self_attn.q_norm.weight": (DIM,), "self_attn.k_norm.weight": (DIM,)}
BIASES: Shapes = {
    "self_attn.q_proj.bias": (HEADS * DIM,),
    "self_attn.k_proj.bias": (KV * DIM,),
    "self_attn.v_proj.bias": (KV * DIM,),
}
GELU = {"hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh"}
FUSED: Shapes = {
    "self_attn.qkv_proj.weight": ((HEADS + 2 * KV) * DIM, HIDDEN),
    "mlp.gate_up_proj.weight": (2 * INNER, HIDDEN),
}
SPLIT = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")
MEAN = {
    "modules.json": tokens.text([
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]),
    "1_Pooling/config.json": tokens.text({"word_embedding_dimension": HIDDEN, "pooling_mode_mean_tokens": True}),
}  # fmt: skip
DENSE = {
    **MEAN,
    "modules.json": tokens.text([
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
        {"idx": 3, "name": "3", "path": "3_Dense", "type": "sentence_transformers.models.Dense"},
        {"idx": 4, "name": "4", "path": "4_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]),
    "2_Dense/config.json": tokens.text({"in_features": HIDDEN, "out_features": 64, "bias": False}),
    "3_Dense/config.json": tokens.text({"in_features": 64, "out_features": HIDDEN, "bias": False}),
}  # fmt: skip
LLAMA3_ROPE = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 32}  # fmt: skip
LONGROPE = {
    "type": "longrope",
    "long_factor": [1.0, 1.5, 2.0, 4.0],
    "short_factor": [1.0, 1.1, 1.2, 1.3],
}


# --- encoders -------------------------------------------------------------------------------------


def bert() -> Shapes:
    linear = {"attention.self.query": (HIDDEN, HIDDEN), "attention.self.key": (HIDDEN, HIDDEN),
              "attention.self.value": (HIDDEN, HIDDEN), "attention.output.dense": (HIDDEN, HIDDEN),
              "intermediate.dense": (INNER, HIDDEN), "output.dense": (HIDDEN, INNER)}  # fmt: skip
    norms = ("attention.output.LayerNorm", "output.LayerNorm")
    block: Shapes = {f"{name}.weight": shape for name, shape in linear.items()}
    block |= {f"{name}.bias": shape[:1] for name, shape in linear.items()}
    block |= {f"{name}.{part}": (HIDDEN,) for name in norms for part in ("weight", "bias")}
    return {
        "embeddings.word_embeddings.weight": (len(tokens.WORDS), HIDDEN),
        "embeddings.position_embeddings.weight": (64, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
        "embeddings.LayerNorm.weight": (HIDDEN,),
        "embeddings.LayerNorm.bias": (HIDDEN,),
        "pooler.dense.weight": (HIDDEN, HIDDEN),
        "pooler.dense.bias": (HIDDEN,),
        **{
            f"encoder.layer.{b}.{name}": shape
            for b in range(BLOCKS)
            for name, shape in block.items()
        },
    }


def nomic() -> Shapes:
    block: Shapes = {
        "attn.Wqkv.weight": (3 * HIDDEN, HIDDEN), "attn.out_proj.weight": (HIDDEN, HIDDEN),
        "mlp.fc11.weight": (INNER, HIDDEN), "mlp.fc12.weight": (INNER, HIDDEN), "mlp.fc2.weight": (HIDDEN, INNER),
        "norm1.weight": (HIDDEN,), "norm1.bias": (HIDDEN,), "norm2.weight": (HIDDEN,), "norm2.bias": (HIDDEN,),
    }  # fmt: skip
    return {
        "embeddings.word_embeddings.weight": (len(tokens.WORDS), HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
        "emb_ln.weight": (HIDDEN,),
        "emb_ln.bias": (HIDDEN,),
        **each("encoder.", block),
    }


NOMIC = {
    "architectures": ["NomicBertModel"], "model_type": "nomic_bert", "activation_function": "swiglu",
    "n_embd": HIDDEN, "n_inner": INNER, "n_layer": BLOCKS, "n_head": HEADS, "n_positions": 8192,
    "max_trained_positions": 2048, "layer_norm_epsilon": 1e-12, "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False, "rotary_emb_scale_base": None,
    "causal": False, "prenorm": False, "qkv_proj_bias": False, "mlp_fc1_bias": False,
    "mlp_fc2_bias": False, "type_vocab_size": 2, "vocab_size": len(tokens.WORDS),
}  # fmt: skip


def experts() -> Shapes:
    found: Shapes = {"block_sparse_moe.gate.weight": (4, HIDDEN)}
    for expert in range(4):
        found |= {f"block_sparse_moe.experts.{expert}.{name}.weight": shape for name, shape in
                  {"w1": (INNER, HIDDEN), "w2": (HIDDEN, INNER), "w3": (INNER, HIDDEN)}.items()}  # fmt: skip
    return found


def gemma_blocks(
    prefix: str = "model.", norms: Shapes | None = None, blocks: int = BLOCKS
) -> Shapes:
    more = each(prefix, {**GEMMA_NORMS, **(norms or {})}, blocks)
    return {**decoder(SPM + 1, prefix=prefix, head=False, blocks=blocks), **more}


GEMMA_TOKENS = tokens.of_sentencepiece("<start_of_turn>", tokenizer_class="GemmaTokenizer")
QWEN_TOKENS = tokens.of_bytes(tokens.split(tokens.QWEN2), pairs=True)
MODELS: dict[str, Tiny] = {
    "llama": Tiny(
        config("LlamaForCausalLM", "llama", BPE, rope_theta=500000.0, rope_scaling=LLAMA3_ROPE,
               bos_token_id=BEGIN, eos_token_id=END, tie_word_embeddings=False),
        decoder(BPE),
        {**tokens.of_bytes(tokens.split(tokens.LLAMA3), begins=True, ignore_merges=True,
                           chat_template="{% for m in messages %}{{ m.content }}{% endfor %}"),
         "generation_config.json": tokens.text({"eos_token_id": [END, TURN]})},
    ),
    "llama-sentencepiece": Tiny(
        config("LlamaForCausalLM", "llama", SPM + 4, bos_token_id=1, eos_token_id=2, attention_bias=True),
        {**decoder(SPM + 4, head=False), **each("model.", {**BIASES, "self_attn.o_proj.bias": (HIDDEN,)})},
        {**tokens.of_sentencepiece("<|tool|>", "spoken", add_prefix_space=False),
         "added_tokens.json": tokens.text({"<added>": SPM + 2}),
         "chat_template.jinja": "{{ messages[0].content }}"},
        stored="F16",
    ),
    "llama-byte-fallback": Tiny(
        config("LlamaForCausalLM", "llama", SPM + 2, bos_token_id=1, eos_token_id=2),
        decoder(SPM + 2),
        tokens.of_byte_fallback(),
        stored="F32",
    ),
    "mistral": Tiny(
        config("MistralForCausalLM", "mistral", SPM, head_dim=16, rope_theta=1e6, bos_token_id=1, eos_token_id=2),
        decoder(SPM, dim=16),
        tokens.of_sentencepiece(),
        shards=3,
    ),
    "mixtral": Tiny(
        config("MixtralForCausalLM", "mixtral", SPM, num_local_experts=4, num_experts_per_tok=2, rope_theta=1e6,
               bos_token_id=1, eos_token_id=2),
        {**without(decoder(SPM), ".mlp."), **each("model.", experts())},
        tokens.of_sentencepiece(),
    ),
    "qwen2": Tiny(
        config("Qwen2ForCausalLM", "qwen2", BPE, rope_theta=1e6, bos_token_id=BEGIN, eos_token_id=END,
               tie_word_embeddings=True,
               rope_scaling={"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}),
        {**decoder(BPE, head=False), **each("model.", BIASES)},
        QWEN_TOKENS,
        shards=2,
    ),
    "qwen3": Tiny(
        config("Qwen3ForCausalLM", "qwen3", BPE + 3, head_dim=16, bos_token_id=BEGIN, eos_token_id=END,
               rope_parameters={"rope_type": "default", "rope_theta": 1e6}),
        {**decoder(BPE + 3, dim=16), **each("model.", dict.fromkeys(QK_NORMS, (16,)))},
        {**QWEN_TOKENS, **MEAN},
    ),
    "gemma": Tiny(
        config("GemmaForCausalLM", "gemma", SPM + 1, head_dim=DIM, bos_token_id=1, eos_token_id=2, **GELU),
        decoder(SPM + 1, head=False),
        GEMMA_TOKENS,
    ),
    "gemma2": Tiny(
        config("Gemma2ForCausalLM", "gemma2", SPM + 1, head_dim=DIM, bos_token_id=1, eos_token_id=2,
               attn_logit_softcapping=50.0, final_logit_softcapping=30.0, sliding_window=32, **GELU),
        gemma_blocks(),
        GEMMA_TOKENS,
    ),
    "gemma3": Tiny(
        config("Gemma3ForCausalLM", "gemma3_text", SPM + 1, head_dim=DIM, rope_theta=1e6, bos_token_id=1,
               eos_token_id=2, rope_local_base_freq=10000.0, sliding_window=32,
               rope_scaling={"rope_type": "linear", "factor": 8.0}, **GELU),
        gemma_blocks(norms=QK_NORMS),
        GEMMA_TOKENS,
    ),
    "gemma-embedding": Tiny(
        config("Gemma3TextModel", "gemma3_text", SPM + 1, head_dim=DIM, rope_theta=1e6, bos_token_id=1,
               eos_token_id=2, rope_local_base_freq=10000.0, sliding_window=32, **GELU, num_hidden_layers=WHOLE),
        gemma_blocks(prefix="", norms=QK_NORMS, blocks=WHOLE),
        {**GEMMA_TOKENS, **DENSE},
        more={"2_Dense": {"linear.weight": (64, HIDDEN)}, "3_Dense": {"linear.weight": (HIDDEN, 64)}},
    ),
    "phi3": Tiny(
        config("Phi3ForCausalLM", "phi3", SPM + 2, rope_scaling=LONGROPE, original_max_position_embeddings=32,
               sliding_window=48, bos_token_id=1, eos_token_id=2, pad_token_id=2),
        {**without(decoder(SPM + 2), *SPLIT), **each("model.", FUSED)},
        tokens.of_sentencepiece("<|user|>", "<|spoken|>"),
    ),
    "phi4": Tiny(
        config("Phi3ForCausalLM", "phi3", BPE, original_max_position_embeddings=64, bos_token_id=BEGIN,
               eos_token_id=END, pad_token_id=END),
        {**without(decoder(BPE), *SPLIT), **each("model.", FUSED)},
        tokens.of_bytes(tokens.split(tokens.LLAMA3), tokenizer_class="GPT2Tokenizer"),
    ),
    "bert": Tiny(
        {"architectures": ["BertModel"], "model_type": "bert", "hidden_size": HIDDEN, "hidden_act": "gelu",
         "intermediate_size": INNER, "num_hidden_layers": BLOCKS, "num_attention_heads": HEADS,
         "max_position_embeddings": 64, "layer_norm_eps": 1e-12, "type_vocab_size": 2, "pad_token_id": 0,
         "vocab_size": len(tokens.WORDS)},
        bert(),
        {**tokens.of_words(), **MEAN},
        stored="F32",
    ),
    "nomic-bert": Tiny(NOMIC, nomic(), {**tokens.of_words(), **MEAN}, stored="F32"),
}  # fmt: skip

# Records of types other than F16: name -> model, type.
OTHER_TYPES = {"llama-f32": ("llama", "F32"), "rounded-bf16": ("llama-byte-fallback", "BF16")}


# --- LoRA adapters --------------------------------------------------------------------------------

RANK = 4
ADAPTED = {
    "self_attn.q_proj": (HEADS * DIM, HIDDEN),
    "self_attn.k_proj": (KV * DIM, HIDDEN),
    "self_attn.v_proj": (KV * DIM, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HEADS * DIM),
    "mlp.gate_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}
ADAPTERS = {"llama": "llama-sentencepiece", "gemma2": "gemma2", "qwen2": "qwen2"}  # name -> base


def lora_shapes() -> Shapes:
    found: Shapes = {}
    for name, (out, into) in ADAPTED.items():
        for block in range(BLOCKS):
            module = f"base_model.model.model.layers.{block}.{name}"
            found[f"{module}.lora_A.weight"] = (RANK, into)
            found[f"{module}.lora_B.weight"] = (out, RANK)
    return found


def write_adapter(folder: Path, name: str, **settings: Any) -> Path:
    """An adapter as the package peft saves it."""
    values = {"peft_type": "LORA", "lora_alpha": 8, "r": RANK, "bias": "none", "use_dora": False,
              "fan_in_fan_out": False, "modules_to_save": None, **settings}  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(values))
    save(folder / "adapter_model.safetensors", weights(f"{name} adapter", lora_shapes()))
    return folder
