"""The same tiny models as older versions of Ollama wrote them: a function for each dialect."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import llama_cpp_form
from tiny_models import TOKENS, Tiny

EYES = {"v__blk__0__attn_q__weight": (32, 32), "mm__0__weight": (64, 32)}
EARS = {"a__blk__0__attn_q__weight": (32, 32)}
DRAFT = {"mtp__layers__0__attn_norm__weight": (64,)}
SECTIONS = "rope.dimension_sections"


def gemma3() -> Tiny:
    """With a vision tower, and more tokens than embeddings."""
    keys = ("attention.layer_norm_rms_epsilon", "rope.freq_base", "rope.freq_base_swa")
    old = llama_cpp_form.gemma3().keyed(*keys, mm__tokens_per_image=256, **more_tokens(4))
    return old.keyed(rope__global__freq_base=1e6, rope__local__freq_base=5e3).holding(**EYES)


def gemma3_of_text() -> Tiny:
    """Gemma 3 1B: a key of another name."""
    return llama_cpp_form.gemma3().keyed("rope.freq_base_swa", rope__local__freq_base=5e3)


def gemma3_of_long_texts() -> Tiny:
    """The rotation's stretching was left to the engine."""
    keys = ("rope.freq_base_swa", "rope.scaling.type", "rope.scaling.factor")
    old = llama_cpp_form.gemma3_of_long_texts().keyed(*keys, rope__local__freq_base=5e3)
    return old.holding(**EYES)


def embeddinggemma() -> Tiny:
    dense = [f"dense_{layer}_feat_{way}" for layer in (2, 3) for way in ("in", "out")]
    old = llama_cpp_form.embeddinggemma().keyed(
        *dense, "rope.freq_base_swa", attention__causal=False
    )
    names = {"^dense_2": "dense.0", "^dense_3": "dense.1", "^output_norm": "norm"}
    return old.called("gemma3").named(names)


def gemma3n() -> Tiny:
    """With tokens of pictures and sounds, which only one of two tables has."""
    rows = len(llama_cpp_form.PIECES["tokenizer.ggml.tokens"])
    tiny = llama_cpp_form.gemma3n()
    return tiny.keyed(**more_tokens(4, llama_cpp_form.PIECES)).longer("token_embd.weight", rows + 4)


def gemma4() -> Tiny:
    old = llama_cpp_form.gemma4().holding(**EYES, **EARS)
    return old.keyed(tokenizer__ggml__model="llama")


def gemma4moe() -> Tiny:
    old = llama_cpp_form.gemma4moe().holding(**EYES)
    return old.named({r"ffn_down_exps\.scale$": "ffn_gate_inp.per_expert_scale"})


def snowflake() -> Tiny:
    letters = list(base64.b64encode(llama_cpp_form.CHARSMAP).decode())
    return llama_cpp_form.xlm_roberta().keyed(tokenizer__ggml__precompiled_charsmap=letters)


def gptoss() -> Tiny:
    old = llama_cpp_form.gptoss().keyed("expert_feed_forward_length", "rope.scaling.type")
    names = {
        r"\.attn_output\.": ".attn_out.",
        r"\.post_attention_norm\.": ".ffn_norm.",
        r"\.attn_sinks\.weight": ".attn_sinks",
    }
    return old.called("gptoss").named(names)


def lfm2() -> Tiny:
    old = llama_cpp_form.lfm2().keyed(feed_forward_length=12_288)
    return old.named({"^token_embd_norm": "output_norm"})


def olmo3() -> Tiny:
    return llama_cpp_form.olmo2().called("olmo3")


YARN = {
    "rope__scaling__beta_fast": 32.0,
    "rope__scaling__beta_slow": 1.0,
    "rope__scaling__mscale_all_dim": 1.0,
    "rope__scaling_beta": 0.1,
}


def mistral3_of_text() -> Tiny:
    names = [f"rope.scaling.yarn_{name}" for name in ("beta_fast", "beta_slow", "log_multiplier")]
    return llama_cpp_form.mistral3().keyed(*names, "attention.temperature_scale", **YARN)


def mistral3() -> Tiny:
    return mistral3_of_text().holding(**EYES)


def mistral3_without_scaling() -> Tiny:
    """As the first were written: no scaling, told by a text that llama.cpp does not know."""
    return llama_cpp_form.mistral3_without_scaling().keyed(rope__scaling__type="").holding(**EYES)


def qwen25vl() -> Tiny:
    old = llama_cpp_form.qwen2vl().keyed(SECTIONS, rope__mrope_section=[2, 3, 3])
    return old.called("qwen25vl").holding(**EYES)


def qwen3vl(tiny: Tiny) -> Tiny:
    layers = {"vision__deepstack_visual_indexes": [1, 2, 3]}
    return tiny.keyed(SECTIONS, "n_deepstack_layers", **layers).holding(**EYES)


def qwen35(tiny: Tiny) -> Tiny:
    old = linear(tiny).keyed(rope__dimension_sections=[2, 3, 3])
    return old.holding(**EYES, **DRAFT)


def linear(tiny: Tiny) -> Tiny:
    """With a bias of another name, and heads counted per layer."""
    old = tiny.keyed(attention__head_count_kv=[0, 2])
    return old.named({r"\.ssm_dt\.bias$": ".ssm_dt"})


def deepseekocr() -> Tiny:
    old = llama_cpp_form.deepseek2ocr().keyed("expert_feed_forward_length", "expert_shared_count")
    more = {"s__blk__0__attn__weight": (32, 32)}
    return old.called("deepseekocr").holding(**EYES, **more)


def glmocr() -> Tiny:
    names = {
        r"\.attn_output\.": ".attn_out.",
        r"\.post_attention_norm\.": ".post_attn_norm.",
        r"\.post_ffw_norm\.": ".post_ffn_norm.",
    }
    old = llama_cpp_form.glm4().keyed(
        SECTIONS, "rope.dimension_count", rope__mrope_section=[2, 3, 3]
    )
    halves = old.called("glmocr").halved("ffn_up", "ffn_gate", "ffn_up")
    return halves.named(names).holding(**EYES)


def glm4moelite() -> Tiny:
    """With the lengths of attention told per head, and those of the latent where these belong."""
    groups = ("expert_group_count", "expert_group_used_count")
    lengths = {"key_length": 48, "value_length": 24, "head_count_kv": 4}
    latent = {"key_length_mla": 64, "value_length_mla": 48}
    keys: dict[str, Any] = {f"attention__{k}": v for k, v in (lengths | latent).items()}
    return llama_cpp_form.deepseek2().keyed(*groups, **keys).called("glm4moelite")


def laguna() -> Tiny:
    keys = ("rope.dimension_count_swa", "rope.freq_base_swa")
    sliding = {"rope__swa__dimension_count": 16, "rope__swa__freq_base": 5e3}
    return llama_cpp_form.laguna().keyed(*keys, **sliding).named({r"\.attn_gate\.": ".attn_g."})


def nemotron_h_moe() -> Tiny:
    names = {"ffn_latent_down": "ffn_latent_in", "ffn_latent_up": "ffn_latent_out"}
    return llama_cpp_form.nemotron_h_moe().keyed("moe_latent_size").named(names).holding(**DRAFT)


def nemotron_h_omni() -> Tiny:
    return llama_cpp_form.nemotron_h_moe().called("nemotron_h_omni").holding(**EYES, **EARS)


def llama3() -> Tiny:
    """Without the rule by which texts are cut, and with the end of a text as that of a turn."""
    keys = ("tokenizer.ggml.pre", "tokenizer.ggml.eot_token_id")
    return llama_cpp_form.llama3().keyed(*keys, tokenizer__ggml__eos_token_id=128_001)


def llama4() -> Tiny:
    return llama_cpp_form.llama4().holding(**EYES)


def projector() -> Tiny:
    return llama_cpp_form.projector().keyed("clip.projector_type")


def gptoss_of_august() -> Tiny:
    """The first gpt-oss, with the gate and up weights of its experts in one tensor."""
    old = gptoss()
    up = {name: t for name, t in old.tensors.items() if "ffn_gate_exps" not in name}
    return replace(old, tensors=up).named({"ffn_up_exps": "ffn_gate_up_exps"})


def more_tokens(count: int, vocabulary: dict[str, Any] | None = None) -> dict[str, Any]:
    """A vocabulary with so many more tokens, for pictures."""
    known = vocabulary or TOKENS
    lists = {key: value for key, value in known.items() if isinstance(value, list)}
    ends = {str: [f"<picture{i}>" for i in range(count)], float: [0.0] * count, int: [1] * count}
    longer = {key: [*values, *ends[type(values[0])]] for key, values in lists.items()}
    return {key.replace(".", "__"): values for key, values in longer.items()}
