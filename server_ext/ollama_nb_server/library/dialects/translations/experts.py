"""Models of experts: gpt-oss, Laguna, DeepSeek-OCR, Nemotron 3 and Llama 4."""

from __future__ import annotations

from dataclasses import replace

from ollama_nb_server.library.dialects.changes import Changes, f32, text, u32
from ollama_nb_server.library.dialects.errors import OldDialect
from ollama_nb_server.library.dialects.marks import find, num_rows
from ollama_nb_server.library.dialects.translations.parts import SENSES, moved
from ollama_nb_server.library.gguf import GGUFMetadata

RAW_MXFP4 = 4  # the tensor type of Ollama's first gpt-oss, its nibbles in another order


def gptoss(metadata: GGUFMetadata) -> Changes:
    """Other names of the architecture and of four tensors a block."""
    if any(t.kind == RAW_MXFP4 for t in metadata.tensors):
        raise OldDialect("gpt-oss", "its weights are in a form that only Ollama 0.11 could read")
    experts = num_rows(metadata, "blk.0.ffn_gate_exps.weight")
    if not experts:
        raise OldDialect("gpt-oss", "the gate and up weights of its experts are in one tensor")
    values = {
        "gpt-oss.expert_feed_forward_length": u32(experts),
        "gpt-oss.rope.scaling.type": text("yarn"),
        "tokenizer.ggml.pre": text("gpt-4o"),
    }
    return Changes(
        architecture="gpt-oss",
        values=values,
        renamed=(
            (r"\.attn_out\.", ".attn_output."),
            (r"\.ffn_norm\.", ".post_attention_norm."),
            (r"\.attn_sinks$", ".attn_sinks.weight"),
        ),
    )


def laguna(metadata: GGUFMetadata) -> Changes:
    """Keys of the sliding layers and the attention's gate by other names."""
    size = metadata.of_architecture("rope.swa.dimension_count")
    values = moved(metadata, {"rope.swa.freq_base": "rope.freq_base_swa"})
    values |= {"laguna.rope.dimension_count_swa": u32(size)} if isinstance(size, int) else {}
    return Changes(values=values, renamed=((r"\.attn_g\.weight$", ".attn_gate.weight"),))


def deepseekocr(metadata: GGUFMetadata) -> Changes:
    """DeepSeek-OCR's text part: another name, and sizes that the shapes tell."""
    each, shared = (find(metadata, f"blk.1.ffn_down_{part}.weight") for part in ("exps", "shexp"))
    if each is None or shared is None:
        raise OldDialect("DeepSeek-OCR", "its second block has no experts")
    values = {
        "attention.layer_norm_rms_epsilon": f32(1e-6),
        "expert_feed_forward_length": u32(each.shape[0]),
        "expert_shared_count": u32(shared.shape[0] // each.shape[0]),
    }
    return Changes(
        architecture="deepseek2-ocr",
        values={
            f"deepseek2-ocr.{k}": v
            for k, v in values.items()
            if metadata.of_architecture(k) is None
        },
        dropped=("s.", *SENSES),
    )


def nemotron_h_moe(metadata: GGUFMetadata) -> Changes:
    """Its latent layers by other names, and a draft head that llama.cpp names otherwise."""
    return _nemotron(metadata, metadata.architecture, ("mtp.",))


def nemotron_h_omni(metadata: GGUFMetadata) -> Changes:
    """The text part of what also sees and hears."""
    experts = metadata.of_architecture("expert_count")
    architecture = "nemotron_h_moe" if experts else "nemotron_h"
    changes = _nemotron(metadata, architecture, ("a.", *SENSES, "mtp."))
    return replace(changes, architecture=architecture)


def _nemotron(metadata: GGUFMetadata, architecture: str, dropped: tuple[str, ...]) -> Changes:
    latent = next((t for t in metadata.tensors if t.name.endswith(".ffn_latent_in.weight")), None)
    told = metadata.of_architecture("moe_latent_size") is not None
    wanted = {f"{architecture}.moe_latent_size": u32(latent.shape[1])} if latent else {}
    return Changes(
        values={} if told else wanted,
        renamed=(
            (r"\.ffn_latent_in\.", ".ffn_latent_down."),
            (r"\.ffn_latent_out\.", ".ffn_latent_up."),
        ),
        dropped=dropped,
    )


def llama4(_: GGUFMetadata) -> Changes:
    """A vision tower in the same file."""
    return Changes(dropped=SENSES)
