"""Gemma 3, Gemma 3n, Gemma 4 and EmbeddingGemma."""

from __future__ import annotations

from ollama_nb_server.library.dialects.changes import Changes, f32, text, u32
from ollama_nb_server.library.dialects.errors import OldDialect
from ollama_nb_server.library.dialects.marks import find, num_rows, num_tokens
from ollama_nb_server.library.dialects.translations.parts import cut, missing, moved, senses
from ollama_nb_server.library.gguf import GGUFMetadata


def gemma3(metadata: GGUFMetadata) -> Changes:
    """Keys of other names or left to the engine, and a vision tower in the same file."""
    values = missing(
        metadata,
        attention__layer_norm_rms_epsilon=f32(1e-6),
        rope__freq_base=f32(1_000_000.0),
        rope__freq_base_swa=f32(10_000.0),
    )
    if metadata.context_length >= 131_072:  # all but the smallest stretch 16K by 8
        scaling = {"rope__scaling__type": text("linear"), "rope__scaling__factor": f32(8.0)}
        values |= missing(metadata, **scaling)
    names = {
        "rope.global.freq_base": "rope.freq_base",
        "rope.local.freq_base": "rope.freq_base_swa",
    }
    return Changes(
        values=values | moved(metadata, names),
        dropped=senses(metadata),
        num_vocab=cut(metadata),
    )


def embeddinggemma(metadata: GGUFMetadata) -> Changes:
    """A Gemma 3 that embeds: an architecture of its own, its last two layers by other names."""
    first, last = find(metadata, "dense.0.weight"), find(metadata, "dense.1.weight")
    if first is None or last is None:
        raise OldDialect("EmbeddingGemma", "one of its two dense layers is missing")
    prefix = "gemma-embedding"
    shapes = {"dense_2_feat": first.shape, "dense_3_feat": last.shape}
    values = {f"{prefix}.{k}_in": u32(shape[0]) for k, shape in shapes.items()}
    values |= {f"{prefix}.{k}_out": u32(shape[1]) for k, shape in shapes.items()}
    for old, new, default in (
        ("rope.local.freq_base", "rope.freq_base_swa", 10_000.0),
        ("rope.global.freq_base", "rope.freq_base", 1_000_000.0),
        ("attention.layer_norm_rms_epsilon", "attention.layer_norm_rms_epsilon", 1e-6),
    ):
        known = metadata.of_architecture(new, metadata.of_architecture(old, default))
        values[f"{prefix}.{new}"] = f32(known)
    values |= {} if metadata.pools else {f"{prefix}.pooling_type": u32(1)}  # the mean
    return Changes(
        architecture=prefix,
        values=values,
        removed=("gemma3.attention.causal", "gemma3.attention.sliding_window_pattern"),
        renamed=(
            (r"^dense\.0\.", "dense_2."),
            (r"^dense\.1\.", "dense_3."),
            (r"^norm\.weight$", "output_norm.weight"),
        ),
        num_vocab=cut(metadata),
    )


def gemma3n(metadata: GGUFMetadata) -> Changes:
    """More tokens than embeddings per layer: those of pictures and sounds, which are cut off."""
    rows = num_rows(metadata, "per_layer_token_embd.weight")
    longer = rows < max(num_rows(metadata, "token_embd.weight"), num_tokens(metadata))
    spm = metadata.get("tokenizer.ggml.model") == "llama"
    return Changes(
        values={} if spm else {"tokenizer.ggml.model": text("llama")},
        dropped=senses(metadata, "a."),
        num_vocab=rows if longer else None,
    )


def gemma4(metadata: GGUFMetadata) -> Changes:
    """Eyes and ears in the same file, and a vocabulary of BPE that is called SPM."""
    spm = metadata.get("tokenizer.ggml.model") == "llama"
    scaled = any(".per_expert_scale" in t.name for t in metadata.tensors)
    renamed = ((r"\.ffn_gate_inp\.per_expert_scale$", ".ffn_down_exps.scale"),) if scaled else ()
    return Changes(
        values={"tokenizer.ggml.model": text("gemma4")} if spm else {},
        renamed=renamed,
        dropped=senses(metadata, "a.", "model.vision_tower."),
    )
