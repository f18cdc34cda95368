"""GLM-4.7-Flash and GLM-OCR."""

from __future__ import annotations

from ollama_nb_server.library.dialects.changes import Changes, Value, text, u32
from ollama_nb_server.library.dialects.errors import OldDialect
from ollama_nb_server.library.dialects.marks import find
from ollama_nb_server.library.dialects.translations.parts import SENSES, sections_of
from ollama_nb_server.library.gguf import GGUFMetadata

HALVES = (".ffn_gate.weight", ".ffn_up.weight")


def glm4moelite(metadata: GGUFMetadata) -> Changes:
    """GLM-4.7-Flash: a DeepSeek 2 by another name, its lengths of attention told per head."""
    rank = metadata.of_architecture("attention.kv_lora_rank", 0)
    rope = metadata.of_architecture("rope.dimension_count", 0)
    values = {
        f"deepseek2.{k}": v
        for k, v in {
            "expert_group_count": u32(1),
            "expert_group_used_count": u32(1),
            "expert_gating_func": u32(2),  # sigmoid
        }.items()
        if metadata.of_architecture(k) is None
    } | {"tokenizer.ggml.pre": text("glm4")}
    keys, heads = find(metadata, "blk.0.attn_k_b.weight"), find(metadata, "blk.0.attn_v_b.weight")
    if keys is not None and heads is not None:  # absorbed; the oldest files are not, and need less
        values |= {
            "deepseek2.attention.head_count_kv": u32(1),
            "deepseek2.attention.key_length": u32(rank + rope),
            "deepseek2.attention.value_length": u32(rank),
            "deepseek2.attention.key_length_mla": u32(keys.shape[0] + rope),
            "deepseek2.attention.value_length_mla": u32(heads.shape[1]),
        }
    return Changes(architecture="deepseek2", values=values | _more_ends(metadata))


def _more_ends(metadata: GGUFMetadata) -> dict[str, Value]:
    """The second and third token that end an answer, which llama.cpp knows by other names."""
    ends = metadata.get("tokenizer.ggml.eos_token_ids")
    tokens = [int(end) for end in ends] if ends is not None else []
    names = ("tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id")
    pairs = zip(names, tokens[1:], strict=False)
    return {name: u32(token) for name, token in pairs if name not in metadata.values}


def glmocr(metadata: GGUFMetadata) -> Changes:
    """GLM-OCR: a GLM 4 by another name, the halves of its feed-forward part in two tensors."""
    if _types(metadata, HALVES[0]) != _types(metadata, HALVES[1]):
        raise OldDialect("GLM-OCR", "two tensors that belong in one are quantised differently")
    length = metadata.of_architecture("attention.key_length")
    values = {"tokenizer.ggml.pre": text("chatglm-bpe")}
    if (sections := metadata.of_architecture("rope.mrope_section")) is not None:
        values["glm4.rope.dimension_sections"] = sections_of(sections)
    if metadata.of_architecture("rope.dimension_count") is None and isinstance(length, int):
        values["glm4.rope.dimension_count"] = u32(length)
    return Changes(
        architecture="glm4",
        values=values,
        renamed=(
            (r"\.attn_out\.", ".attn_output."),
            (r"\.post_attn_norm\.", ".post_attention_norm."),
            (r"\.post_ffn_norm\.", ".post_ffw_norm."),
        ),
        dropped=SENSES,
        joined=HALVES,
    )


def _types(metadata: GGUFMetadata, ending: str) -> dict[str, int]:
    """The types of a block's tensor, by block."""
    named = [t for t in metadata.tensors if t.name.startswith("blk.") and t.name.endswith(ending)]
    return {tensor.name.removesuffix(ending): tensor.kind for tensor in named}
