"""The architectures as llama.cpp's converter writes them: a tiny model each."""

from __future__ import annotations

from typing import Any

from tiny_models import Tiny, made, weighted

WIDTH, HEADS, LENGTH = 64, 4, 256


def keys(num_blocks: int = 2, **more: Any) -> dict[str, Any]:
    """What nearly every architecture wants to be told."""
    common = {
        "context_length": LENGTH,
        "embedding_length": WIDTH,
        "block_count": num_blocks,
        "feed_forward_length": 96,
        "attention.head_count": HEADS,
        "attention.head_count_kv": 2,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.freq_base": 10_000.0,
    }
    return common | {key.replace("__", "."): value for key, value in more.items()}


def heads(length: int = 16) -> dict[str, Any]:
    return {"attention__key_length": length, "attention__value_length": length}


def experts(**more: Any) -> dict[str, Any]:
    return {
        "expert_count": 4,
        "expert_used_count": 2,
        "expert_feed_forward_length": 32,
        **more,
    }


LINEAR = {
    "ssm__conv_kernel": 4,
    "ssm__inner_size": 64,
    "ssm__state_size": 16,
    "ssm__time_step_rank": 4,
    "ssm__group_count": 2,
    "full_attention_interval": 2,
}
SECTIONS = [2, 3, 3, 0]
LETTERS = ["<pad>", "<eos>", "<bos>", "<unk>", *(chr(i) for i in range(33, 127))]
# How many bytes follow (four bytes), a tree that replaces nothing, no replacements.
CHARSMAP = (2048).to_bytes(4, "little") + bytes(2048) + b"\0\0\0\0"
UNIGRAMS = {
    "tokenizer.ggml.model": "t5",
    "tokenizer.ggml.tokens": ["<s>", "<pad>", "</s>", "<unk>", "\u2581", *"helowrd"],
    "tokenizer.ggml.token_type": [3, 3, 3, 2, *[1] * 8],
    "tokenizer.ggml.scores": [0.0] * 4 + [-float(i) for i in range(8)],
    "tokenizer.ggml.precompiled_charsmap": CHARSMAP,
    "tokenizer.ggml.bos_token_id": 0,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.unknown_token_id": 3,
    "tokenizer.ggml.seperator_token_id": 2,
    "tokenizer.ggml.padding_token_id": 1,
    "tokenizer.ggml.token_type_count": 1,
}
OCTETS = [f"<0x{i:02X}>" for i in range(256)]
PIECES = {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": [*LETTERS[:4], *OCTETS, *LETTERS[4:], "he", "ll", "hell"],
    "tokenizer.ggml.token_type": [3] * 4 + [6] * 256 + [1] * (len(LETTERS) - 1),
    "tokenizer.ggml.scores": [0.0] * 260 + [-float(i) for i in range(len(LETTERS) - 1)],
}
BYTE_PAIRS = {
    **PIECES,
    "tokenizer.ggml.merges": ["h e", "l l", "he ll"],
    "tokenizer.ggml.bos_token_id": 2,
}


def gemma3() -> Tiny:
    return made(
        "gemma3",
        keys(
            6, rope__freq_base=1e6, rope__freq_base_swa=5e3, attention__sliding_window=16, **heads()
        ),
        without="^output\\.weight|dense",
    )


def gemma3_of_long_texts() -> Tiny:
    scaling = {"rope__scaling__type": "linear", "rope__scaling__factor": 8.0}
    return gemma3().keyed(context_length=131_072, **scaling)


def xlm_roberta() -> Tiny:
    """Snowflake Arctic Embed 2: a BERT whose tokenizer is T5's."""
    return made(
        "bert",
        keys(
            attention__layer_norm_epsilon=1e-5,
            attention__causal=False,
            pooling_type=2,
        )
        | {**UNIGRAMS, "attention.head_count_kv": HEADS},
        without="attn_[qk]_norm|cls|ffn_gate|attn_norm_2|layer_out_norm",
        only="(attn_[qkv]|attn_output|norm|ffn_up|ffn_down)\\.bias",
    )


def embeddinggemma() -> Tiny:
    dense = {"dense_2_feat_in": WIDTH, "dense_2_feat_out": 96, "dense_3_feat_in": 96}
    more = {"rope__freq_base": 1e6, "rope__freq_base_swa": 1e4, "attention__sliding_window": 16}
    return made(
        "gemma-embedding",
        keys(6, **more, **dense, dense_3_feat_out=WIDTH, pooling_type=1, **heads()),
        without="^output\\.weight",
    )


def gemma4() -> Tiny:
    """Dense, with embeddings per layer."""
    more = {"embedding_length_per_layer_input": 32}
    left_out = "^output\\.weight|exps|gate_inp\\.|norm_1|norm_2|layer_output_scale"
    return made("gemma4", _gemma4(**more), without=left_out, only="rope_freqs")


def gemma4moe() -> Tiny:
    return made(
        "gemma4",
        _gemma4(embedding_length_per_layer_input=0, **experts()),
        without="^output\\.weight|layer_output_scale",
        only="rope_freqs|gate_inp\\.scale|down_exps\\.scale",
    ).halved("ffn_gate_up_exps", "ffn_gate_exps", "ffn_up_exps")


def _gemma4(**more: Any) -> dict[str, Any]:
    facts = keys(
        5,
        rope__freq_base=1e6,
        rope__freq_base_swa=1e4,
        attention__sliding_window=16,
        attention__sliding_window_pattern=[True, True, True, True, False],
        attention__shared_kv_layers=0,
        attention__key_length_swa=16,
        attention__value_length_swa=16,
        **heads(),
        **more,
    )
    return facts | {**BYTE_PAIRS, "tokenizer.ggml.model": "gemma4"}


def gemma3n() -> Tiny:
    more = {"embedding_length_per_layer_input": 16, "altup__num_inputs": 4, "altup__active_idx": 0}
    window = {"attention__sliding_window": 16, "attention__shared_kv_layers": 0}
    pattern = {"attention__sliding_window_pattern": [i % 5 != 4 for i in range(22)]}
    facts = keys(22, **more, **window, **pattern, **heads()) | PIECES
    return made("gemma3n", facts, without="^output\\.weight", only="altup_.*scale")


def gptoss() -> Tiny:
    scaling = {"rope__scaling__type": "yarn", "rope__scaling__factor": 32.0}
    return made(
        "gpt-oss",
        keys(
            attention__sliding_window=16,
            rope__scaling__original_context_length=64,
            **scaling,
            **experts(),
            **heads(),
        ),
        only="\\.bias$",
    )


def lfm2() -> Tiny:
    return made(
        "lfm2",
        keys(shortconv__l_cache=3, attention__head_count_kv=[0, 2], **heads()),
        without="^output\\.weight",
    )


def olmo2() -> Tiny:
    pattern = [True, False]
    window = {"attention__sliding_window": 16, "attention__sliding_window_pattern": pattern}
    return made("olmo2", keys(**window))


def mistral3() -> Tiny:
    return made(
        "mistral3",
        keys(
            rope__scaling__type="yarn",
            rope__scaling__factor=16.0,
            rope__scaling__original_context_length=64,
            rope__scaling__yarn_beta_fast=32.0,
            rope__scaling__yarn_beta_slow=1.0,
            rope__scaling__yarn_log_multiplier=1.0,
            attention__temperature_scale=0.1,
            rope__dimension_count=16,
            **heads(),
        ),
        without="^output\\.weight|exps|gate_inp|ffn_.*shexp",
    )


def mistral3_without_scaling() -> Tiny:
    scaling = ["type", "factor", "original_context_length", "yarn_beta_fast", "yarn_beta_slow"]
    keys_of_it = [f"rope.scaling.{name}" for name in (*scaling, "yarn_log_multiplier")]
    return mistral3().keyed(*keys_of_it, "attention.temperature_scale")


def qwen2vl() -> Tiny:
    return made("qwen2vl", keys(rope__dimension_sections=SECTIONS), only="attn_[qkv]\\.bias")


def qwen3vl() -> Tiny:
    more = {"rope__dimension_sections": [24, 20, 20, 0], "n_deepstack_layers": 3}
    return made("qwen3vl", keys(4, **more, **heads(128)), without="cls")


def qwen3vlmoe() -> Tiny:
    more = {"rope__dimension_sections": [24, 20, 20, 0], "n_deepstack_layers": 3}
    return made(
        "qwen3vlmoe", keys(4, **more, **experts(), **heads(128)), without="gate_up_exps|cls"
    )


def qwen35() -> Tiny:
    more = {"rope__dimension_sections": SECTIONS, "rope__dimension_count": 16}
    return made("qwen35", keys(**more, **LINEAR, **heads()), only="ssm_dt\\.bias")


def qwen35moe() -> Tiny:
    more = {"rope__dimension_sections": SECTIONS, "rope__dimension_count": 16}
    lengths = experts(expert_shared_feed_forward_length=32)
    return made("qwen35moe", keys(**more, **LINEAR, **lengths, **heads()), only="ssm_dt\\.bias")


def qwen3next() -> Tiny:
    lengths = experts(expert_shared_feed_forward_length=32)
    more = {"rope__dimension_count": 16}
    return made("qwen3next", keys(**more, **LINEAR, **lengths, **heads()), only="ssm_dt\\.bias")


def deepseek2() -> Tiny:
    """GLM-4.7-Flash: 32 without and 16 with rotation a head, 24 of its values."""
    latent = {"attention__q_lora_rank": 32, "attention__kv_lora_rank": 48}
    lengths = {
        "attention__key_length": 64,
        "attention__value_length": 48,
        "attention__key_length_mla": 48,
        "attention__value_length_mla": 24,
    }
    groups = {"expert_group_count": 1, "expert_group_used_count": 1, "expert_gating_func": 2}
    shared = {"expert_shared_count": 1, "expert_weights_scale": 1.8, "expert_weights_norm": True}
    return made(
        "deepseek2",
        keys(leading_dense_block_count=1, rope__dimension_count=16, **latent, **lengths, **groups,
             **experts(**shared)) | {"attention.head_count_kv": 1},
        without="^output\\.weight",
        only="exp_probs_b\\.bias",
    )  # fmt: skip


def deepseek2ocr() -> Tiny:
    shared = {"expert_shared_count": 2, "leading_dense_block_count": 1}
    return made("deepseek2-ocr", keys(**experts(**shared)) | {"attention.head_count_kv": HEADS})


def glm4() -> Tiny:
    more = {"rope__dimension_sections": SECTIONS, "rope__dimension_count": 16}
    return made("glm4", keys(**more, **heads()), only="attn_[qkv]\\.bias")


def laguna() -> Tiny:
    window = {"attention__sliding_window": 16, "rope__freq_base_swa": 5e3}
    more = {"rope__dimension_count": 8, "rope__dimension_count_swa": 16}
    shared = {"expert_shared_feed_forward_length": 32, "expert_weights_scale": 2.5}
    first = {"leading_dense_block_count": 1, "expert_gating_func": 2}
    return made(
        "laguna",
        keys(**window, **more, **first, **experts(**shared), **heads()),
        only="exp_probs_b\\.bias",
    )


def nemotron_h_moe() -> Tiny:
    """A linear layer, one of attention, one of experts."""
    latent = {"moe_latent_size": 48, "expert_shared_feed_forward_length": 64}
    more = {"attention__layer_norm_epsilon": 1e-5, "expert_shared_count": 1}
    per_layer = {"feed_forward_length": [0, 0, 32], "attention.head_count_kv": [0, 2, 0]}
    return made(
        "nemotron_h_moe",
        keys(3, **{k: v for k, v in LINEAR.items() if k.startswith("ssm")}, **latent, **more,
             **experts(expert_weights_scale=2.5), **heads()) | per_layer,
        only="(ssm_dt|ssm_conv1d|exp_probs_b)\\.bias",
    )  # fmt: skip


def llama3() -> Tiny:
    """Its vocabulary is as large as the real one, by which older files are told."""
    return made("llama", {**keys(), **LLAMA3}, without="^output\\.weight|exps|gate_inp|shexp")


def _llama3_tokens() -> list[str]:
    letters = [*map(chr, range(33, 127)), *map(chr, range(161, 173)), *map(chr, range(174, 512))]
    words = [*letters[:256], "\u0120w", "..", "he", "ll", "hell", "hello"]
    special = {128_000: "<|begin_of_text|>", 128_001: "<|end_of_text|>", 128_009: "<|eot_id|>"}
    tokens = [*words, *(f"<|{i}|>" for i in range(len(words), 128_256))]
    for place, token in special.items():
        tokens[place] = token
    return tokens


LLAMA3 = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "llama-bpe",
    "tokenizer.ggml.tokens": _llama3_tokens(),
    "tokenizer.ggml.token_type": [1] * 128_000 + [3] * 256,
    "tokenizer.ggml.scores": [0.0] * 128_256,
    "tokenizer.ggml.merges": ["\u0120 w", ". .", "h e", "l l", "he ll", "hell o"],
    "tokenizer.ggml.bos_token_id": 128_000,
    "tokenizer.ggml.eos_token_id": 128_009,
    "tokenizer.ggml.eot_token_id": 128_009,
}


def llama4() -> Tiny:
    return made("llama4", keys(4, interleave_moe_layer_step=2, **experts(), **heads()))


def projector() -> Tiny:
    """LLaVA's: a vision tower of two blocks, and two layers to the text model's width."""
    sizes = {"image_size": 28, "patch_size": 14, "embedding_length": 32, "block_count": 2}
    lengths = {"feed_forward_length": 64, "projection_dim": WIDTH, "attention.head_count": 2}
    vision = {**sizes, **lengths, "attention.layer_norm_epsilon": 1e-5}
    vision |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    facts = {f"clip.vision.{key}": value for key, value in vision.items()}
    facts |= {"clip.has_vision_encoder": True, "clip.projector_type": "mlp", "clip.use_gelu": False}
    return weighted("clip", facts, _projector_shapes(32, 64))


def _projector_shapes(width: int, inner: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "v.class_embd": (width,),
        "v.patch_embd.weight": (width, 3, 14, 14),
        "v.position_embd.weight": (5, width),
        "v.pre_ln.weight": (width,),
        "v.pre_ln.bias": (width,),
    }
    squares = ["attn_q", "attn_k", "attn_v", "attn_out"]
    layers = {"mm.0": (WIDTH, width), "mm.2": (WIDTH, WIDTH)}
    for block in ("v.blk.0", "v.blk.1"):
        layers |= {f"{block}.{name}": (width, width) for name in squares}
        layers |= {f"{block}.ffn_down": (inner, width), f"{block}.ffn_up": (width, inner)}
        norms = [f"{block}.{norm}.{part}" for norm in ("ln1", "ln2") for part in ("weight", "bias")]
        shapes |= dict.fromkeys(norms, (width,))
    shapes |= {f"{name}.weight": shape for name, shape in layers.items()}
    return shapes | {f"{name}.bias": shape[:1] for name, shape in layers.items()}
