"""Writes a model down once more with another chat template."""

from __future__ import annotations

from pathlib import Path

from gguf import GGUFReader, GGUFValueType, GGUFWriter

TEMPLATE = "tokenizer.chat_template"


def write_with_template(source: Path, target: Path, template: str | None) -> Path:
    """The same model with another chat template, or none."""
    reader, writer = GGUFReader(source), GGUFWriter(target, "llama")
    for key, value in reader.fields.items():
        if key.startswith("GGUF.") or key in ("general.architecture", TEMPLATE):
            continue
        outer, *inner = value.types
        element = inner[0] if outer == GGUFValueType.ARRAY else None
        writer.add_key_value(key, value.contents(), outer, element)
    if template is not None:
        writer.add_chat_template(template)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
