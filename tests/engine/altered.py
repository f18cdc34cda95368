"""The bundled model with other metadata or weights, in float16."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import dequantize

Change = Callable[[Any], Any]


def write_altered(source: Path, target: Path, changes: Mapping[str, Change]) -> None:
    """Write a Llama's GGUF file anew; `changes` make other values of keys and of tensors."""
    reader, writer = GGUFReader(source), GGUFWriter(target, "llama")
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key in ("general.architecture", "general.file_type"):
            continue
        outer, *inner = field.types
        element = inner[0] if outer == GGUFValueType.ARRAY else None
        writer.add_key_value(key, _changed(changes, key, field.contents()), outer, element)
    writer.add_file_type(1)
    for tensor in reader.tensors:
        data = _changed(changes, tensor.name, dequantize(tensor.data, tensor.tensor_type))
        writer.add_tensor(tensor.name, data.astype(np.float16 if data.ndim > 1 else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _changed(changes: Mapping[str, Change], name: str, value: Any) -> Any:
    return changes[name](value) if name in changes else value
