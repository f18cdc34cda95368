"""A process that writes one GGUF file of its parts: `python -m ...create.merging TARGET PART...`.

For models whose tensors llama.cpp's own copy would drop. Tells bytes written and bytes in all.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gguf import GGUFReader, GGUFValueType, GGUFWriter

OF_SPLIT = "split."  # keys that describe the parts
OF_HEADER = ("GGUF.", "general.architecture")  # keys that the writer writes by itself


def merge(target: Path, parts: list[Path]) -> None:
    """Write the first part's metadata and the tensors of all."""
    readers = [GGUFReader(part) for part in parts]
    writer = GGUFWriter(target, readers[0].fields["general.architecture"].contents())
    for key, field in readers[0].fields.items():
        if not key.startswith((OF_SPLIT, *OF_HEADER)):
            outer, *inner = field.types
            element = inner[-1] if outer == GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), outer, element)
    tensors = [tensor for reader in readers for tensor in reader.tensors]
    for tensor in tensors:
        writer.add_tensor_info(
            tensor.name, tensor.data.shape, tensor.data.dtype, tensor.n_bytes, tensor.tensor_type
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    done, total = 0, sum(tensor.n_bytes for tensor in tensors)
    for tensor in tensors:
        writer.write_tensor_data(tensor.data)
        done += tensor.n_bytes
        sys.stdout.write(f"{done} {total}\n")
        sys.stdout.flush()
    writer.close()


if __name__ == "__main__":
    merge(Path(sys.argv[1]), [Path(part) for part in sys.argv[2:]])
