from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter
from ollama_nb_server.library import gguf
from ollama_nb_server.library.errors import NotGGUF


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(7)
    writer.add_file_type(1)
    writer.add_chat_template("{{ messages }}")
    writer.add_token_list([f"t{i}" for i in range(300)])
    writer.add_array("short", [1, 2, 3])
    writer.add_tensor("a.weight", np.zeros((7, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def header(num_tensors: int, num_keys: int, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, num_tensors, num_keys) + rest


def test_what_the_header_says(tiny: Path) -> None:
    metadata = gguf.read(tiny)

    assert metadata.architecture == "llama"
    assert metadata.context_length == 128
    assert metadata.file_type == "F16"
    assert metadata.chat_template == "{{ messages }}"
    assert metadata.parameter_count == 7 * 64
    assert [(t.name, t.type_name, t.shape) for t in metadata.tensors] == [
        ("a.weight", "F32", (64, 7))
    ]


def test_long_arrays_are_read_only_when_asked_for(tiny: Path) -> None:
    metadata = gguf.read(tiny)

    assert isinstance(metadata.values["tokenizer.ggml.tokens"], gguf.LongArray)
    assert metadata.get("tokenizer.ggml.tokens")[299] == "t299"
    assert dict(metadata.items(arrays=False))["short"] is None
    assert dict(metadata.items(arrays=True))["short"] == [1, 2, 3]


@pytest.mark.parametrize("keep", [0, 3, 4, 20, 100, 0.5, 0.9, -1])
def test_a_cut_file_is_refused(tiny: Path, keep: float) -> None:
    data = tiny.read_bytes()
    end = int(len(data) * keep) if 0 < keep < 1 else int(keep)
    tiny.write_bytes(data[:end])

    with pytest.raises(NotGGUF):
        gguf.read(tiny)


@pytest.mark.parametrize(
    "data",
    [
        b"ggml" + bytes(100),
        header(0, 1 << 60),
        header(1 << 60, 0),
        header(0, 1, struct.pack("<Q", 1 << 62)),
        header(0, 1, struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 4, 1 << 40)),
        header(0, 1, struct.pack("<Q", 1) + b"k" + struct.pack("<I", 99)),
        header(
            0, 1, struct.pack("<Q", 1) + b"k" + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 50
        ),
        header(0, 0, version=1),
        header(1, 0, struct.pack("<Q", 1) + b"t" + struct.pack("<I", 200)),
    ],
)
def test_hostile_headers_are_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "hostile.gguf"
    path.write_bytes(data)

    with pytest.raises(NotGGUF):
        gguf.read(path)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (915_000, "915K"), (22_570_000, "22.57M"), (8_000_000_000, "8B"), (8_030_000_000, "8.0B")],
)  # fmt: skip
def test_numbers_for_people(count: int, text: str) -> None:
    assert gguf.human_number(count) == text
