"""What a GGUF file holds, in a form that can be kept as JSON and compared."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from gguf import GGUFReader, ReaderField

SHORT = 12  # values; longer arrays are kept as the digest of their JSON text


def described(path: Path) -> dict[str, Any]:
    """All keys with their values, all tensors with type, shape and the digest of their bytes."""
    reader = GGUFReader(path)
    keys = {
        name: value(field) for name, field in reader.fields.items() if not name.startswith("GGUF.")
    }
    tensors = {
        tensor.name: [
            tensor.tensor_type.name,
            [int(size) for size in tensor.shape],
            hashlib.sha256(tensor.data.tobytes()).hexdigest(),
        ]
        for tensor in reader.tensors
    }
    return {"keys": dict(sorted(keys.items())), "tensors": dict(sorted(tensors.items()))}


def value(field: ReaderField) -> Any:
    found = field.contents()
    if isinstance(found, list) and len(found) > SHORT:
        text = json.dumps(found, ensure_ascii=False)
        return f"{len(found)} values, sha256 {hashlib.sha256(text.encode()).hexdigest()}"
    return found
