"""Qwen2.5-VL, Qwen3-VL, Qwen3-Next and Qwen 3.5."""

from __future__ import annotations

from ollama_nb_server.library.dialects.changes import Changes, Value, i32s, u32
from ollama_nb_server.library.dialects.errors import OldDialect
from ollama_nb_server.library.dialects.translations.parts import SENSES, missing, sections_of
from ollama_nb_server.library.gguf import GGUFMetadata

HEAD_LENGTH = 128  # of every Qwen3-VL that was published, and so were its sections
STEP_BIAS = ((r"\.ssm_dt$", ".ssm_dt.bias"),)


def qwen25vl(metadata: GGUFMetadata) -> Changes:
    """Another name, three sections of rotation instead of four, a vision tower in the same file."""
    sections = sections_of(metadata.of_architecture("rope.mrope_section", [16, 24, 24]))
    values = {"qwen2vl.rope.dimension_sections": sections}
    return Changes(architecture="qwen2vl", values=values, dropped=SENSES)


def qwen3vl(metadata: GGUFMetadata) -> Changes:
    """The sections of rotation were left to the engine; a vision tower in the same file."""
    if metadata.of_architecture("attention.key_length") != HEAD_LENGTH:
        raise OldDialect("Qwen3-VL", "the sections of its rotation are not told")
    layers = metadata.of_architecture("vision.deepstack_visual_indexes") or ()
    wanted = {"rope__dimension_sections": i32s(24, 20, 20, 0)}
    values = missing(metadata, **wanted, n_deepstack_layers=u32(len(layers)))
    return Changes(values=values, dropped=SENSES)


def qwen35(metadata: GGUFMetadata) -> Changes:
    """Numbers per layer where llama.cpp has one, and a vision tower in the same file."""
    sections = metadata.of_architecture("rope.dimension_sections")
    values = _one_head_count(metadata)
    if sections is not None and len(sections) == 3:
        values[f"{metadata.architecture}.rope.dimension_sections"] = sections_of(sections)
    return Changes(values=values, renamed=STEP_BIAS, dropped=(*SENSES, "mtp."))


def qwen3next(metadata: GGUFMetadata) -> Changes:
    """A head count per layer where llama.cpp has one, and a bias by another name."""
    return Changes(values=_one_head_count(metadata), renamed=STEP_BIAS)


def _one_head_count(metadata: GGUFMetadata) -> dict[str, Value]:
    """The largest of the counts: the layers without heads are told by other means."""
    counts = metadata.of_architecture("attention.head_count_kv")
    if counts is None or isinstance(counts, int):
        return {}
    return {f"{metadata.architecture}.attention.head_count_kv": u32(max(int(n) for n in counts))}
