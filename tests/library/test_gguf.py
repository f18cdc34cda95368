from __future__ import annotations

import random
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter
from ollama_nb_server.library import gguf
from ollama_nb_server.library.errors import NotGGUF
from ollama_nb_server.library.gguf import cursor

U8, U32, I32, F32, STRING, ARRAY, U64 = 0, 4, 5, 6, 8, 9, 10
MIB = 1 << 20


def text(value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def array(kind: int, length: int, items: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, length) + items


def number(key: str, value: int) -> bytes:
    return pair(key, U32, struct.pack("<I", value))


def tensor(
    name: str = "t", shape: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0
) -> bytes:
    dims = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + dims + struct.pack("<IQ", kind, offset)


def head(num_tensors: int, num_keys: int, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, num_tensors, num_keys) + rest


def keys(*pairs: bytes) -> bytes:
    return head(0, len(pairs), b"".join(pairs))


def tensors(*entries: bytes, data: int = 4096) -> bytes:
    return head(len(entries), 0, b"".join(entries)) + bytes(data)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(7)
    writer.add_file_type(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_chat_template("{{ messages }}")
    writer.add_token_list([f"t{i}" for i in range(80)])
    writer.add_token_scores([-float(i) / 10 for i in range(80)])
    writer.add_array("short", [1, 2, 3])
    writer.add_tensor("a.weight", np.zeros((7, 64), np.float32))
    writer.add_tensor("b.weight", np.zeros((8, 8), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def written(tmp_path: Path):
    def write(data: bytes, size: int = 0) -> Path:
        path = tmp_path / "file.gguf"
        path.write_bytes(data)
        with path.open("r+b") as file:
            file.truncate(max(size, len(data)))
        return path

    return write


def everything(path: Path) -> None:
    """Read all there is to read."""
    metadata = gguf.read(path)
    dict(metadata.items(arrays=True))
    list(metadata.tensors)
    assert metadata.parameter_count >= 0
    assert metadata.context_length >= 0
    assert metadata.architecture
    assert metadata.file_type


def test_what_the_header_says(tiny: Path) -> None:
    metadata = gguf.read(tiny)

    assert metadata.architecture == "llama"
    assert metadata.context_length == 128
    assert metadata.file_type == "F16"
    assert metadata.chat_template == "{{ messages }}"
    assert metadata.parameter_count == 7 * 64 + 64
    assert [(t.name, t.type_name, t.shape) for t in metadata.tensors] == [
        ("a.weight", "F32", (64, 7)),
        ("b.weight", "F32", (8, 8)),
    ]


def test_long_arrays_are_read_only_when_asked_for(tiny: Path) -> None:
    metadata = gguf.read(tiny)

    assert isinstance(metadata.values["tokenizer.ggml.tokens"], gguf.LongArray)
    assert metadata.get("tokenizer.ggml.tokens") == [f"t{i}" for i in range(80)]
    assert metadata.get("tokenizer.ggml.scores")[:2].tolist() == [0, np.float32(-0.1)]
    assert dict(metadata.items(arrays=False))["short"] is None
    assert dict(metadata.items(arrays=True))["short"] == [1, 2, 3]


def test_floats_of_32_bits_have_their_shortest_form(tiny: Path) -> None:
    assert gguf.read(tiny).values["llama.attention.layer_norm_rms_epsilon"] == 1e-5


def test_values_of_another_type_than_they_should_be_are_none(written) -> None:
    values = [
        number("general.architecture", 3),
        pair("unknown.context_length", STRING, text("many")),
        pair("general.file_type", F32, struct.pack("<f", 7.5)),
        pair("tokenizer.chat_template", ARRAY, array(U8, 1, b"x")),
    ]
    metadata = gguf.read(written(keys(*values)))

    assert metadata.architecture == "unknown"
    assert (metadata.context_length, metadata.file_type) == (0, "unknown")
    assert metadata.chat_template == ""


NASTY = [b"", b"a", b"\0", b"\0" * 7, b"\1" + b"\0" * 7, b"x" * 255, b"x" * 256, b"x" * 5000, "Ġé€😀".encode(), b"\xff\xc3", b"\xe2\x82"]  # fmt: skip


@pytest.mark.parametrize("window", [8, 24, 300, 4096, cursor.WINDOW_BYTES])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_texts_are_found_wherever_the_window_ends(
    window: int, seed: int, written, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    plain = [bytes(rng.randrange(97, 123) for _ in range(rng.randrange(12))) for _ in range(2000)]
    words = plain[:900] + rng.choices(NASTY, k=200) + plain[900:] + NASTY
    data = keys(pair("w", ARRAY, array(STRING, len(words), b"".join(map(text, words)))), number("after", 7))  # fmt: skip
    monkeypatch.setattr(cursor, "WINDOW_BYTES", window)

    metadata = gguf.read(written(data))

    assert metadata.get("w") == [word.decode("utf-8", "replace") for word in words]
    assert metadata.values["after"] == 7


def test_nested_arrays_are_read_whole(written) -> None:
    inner = array(U8, 70, bytes(range(70)))
    metadata = gguf.read(written(keys(pair("n", ARRAY, array(ARRAY, 66, inner * 66)))))

    found = metadata.get("n")
    assert [row.tolist() for row in found] == [list(range(70))] * 66


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"ggml" + bytes(100), "not in GGUF format"),
        (b"", "not in GGUF format"),
        (head(0, 0, version=1), "version 1 is not known here, only 2 and 3 are"),
        (head(0, 0, version=4), "version 4"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (head(0, 1 << 60), "too many"),
        (head(1 << 60, 0), "too many"),
        (head(0, 1, struct.pack("<Q", 1 << 62)), "too long"),
        (keys(pair("k", 99, b"")), "type 99"),
        (keys(pair("k", STRING, struct.pack("<Q", 1 << 63))), "ends too early"),
        (keys(pair("k", ARRAY, array(99, 1))), "type 99"),
        (keys(pair("k", ARRAY, array(U32, 1 << 40))), "more than"),
        (keys(pair("k", ARRAY, array(STRING, 1 << 20))), "ends too early"),
        (keys(pair("k", ARRAY, array(STRING, 100, text("x") * 99 + struct.pack("<Q", 1 << 50)))), "ends too early"),
        (keys(pair("k", ARRAY, array(ARRAY, 1) * 50)), "nested"),
        (keys(pair("k", ARRAY, array(ARRAY, 99) * 50)), "nested"),
        (keys(number("k", 1), number("k", 2)), "'k' appears twice"),
        (keys(number("general.alignment", 0)), "no power of two"),
        (keys(number("general.alignment", 48)), "no power of two"),
        (keys(pair("general.alignment", STRING, text("32"))), "no number"),
        (tensors(tensor(kind=200)), "type 200"),
        (tensors(tensor(kind=36)), "type 36"),
        (tensors(tensor(shape=(1, 1, 1, 1, 1))), "5 dimensions"),
        (tensors(tensor(shape=(32, 0))), "cannot have the shape"),
        (tensors(tensor(shape=(1 << 62, 1 << 62))), "cannot have the shape"),
        (tensors(tensor(shape=(33,), kind=2)), "multiple of 32"),
        (tensors(tensor(shape=(1 << 40,))), "bytes before its tensors do"),
        (tensors(tensor(offset=1 << 62)), "bytes before its tensors do"),
        (tensors(tensor(offset=4)), "not aligned"),
        (tensors(tensor("a"), tensor("b", offset=64)), "lies over"),
        (tensors(tensor("a", shape=(64,)), tensor("b", offset=128)), "lies over"),
        (tensors(tensor("a"), tensor("a", offset=128)), "same name"),
        (tensors(tensor("n" * 300)), "too long"),
    ],
)  # fmt: skip
def test_hostile_headers_are_refused_with_a_reason(data: bytes, sentence: str, written) -> None:
    path = written(data)

    with pytest.raises(NotGGUF, match=sentence):
        gguf.read(path)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (keys(pair("k", STRING, struct.pack("<Q", 65 * MIB))), "metadata is larger than 64 MiB"),
        (keys(pair("k", STRING, struct.pack("<Q", 300 * MIB))), "header is larger than 256 MiB"),
        (keys(pair("k", ARRAY, array(STRING, 100, struct.pack("<Q", 300 * MIB)))), "header is larger than 256 MiB"),
        (keys(pair("k", ARRAY, array(U8, 5_000_000))), "more than 4000000 values"),
        (keys(pair("k", ARRAY, array(STRING, 5_000_000))), "more than 4000000 values"),
        (keys(pair("k", ARRAY, array(ARRAY, 4_000_000 - 1))), "more than 4000000 values"),
    ],
)  # fmt: skip
def test_a_large_file_cannot_eat_memory(data: bytes, sentence: str, written) -> None:
    path = written(data, size=400 * MIB)
    tracemalloc.start()

    with pytest.raises(NotGGUF, match=sentence):
        gguf.read(path)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MIB


def test_every_cut_file_is_refused(tiny: Path) -> None:
    with tiny.open("r+b") as file:
        for end in reversed(range(tiny.stat().st_size)):
            file.truncate(end)
            with pytest.raises(NotGGUF):
                gguf.read(tiny)


@pytest.mark.parametrize("seed", range(4))
def test_a_file_with_wrong_bytes_is_read_or_refused(tiny: Path, seed: int) -> None:
    data, rng = tiny.read_bytes(), random.Random(seed)
    header = len(data) - 7 * 64 * 4 - 64 * 4
    outcomes = [outcome(tiny, broken(data, header, rng)) for _ in range(600)]

    assert 100 < outcomes.count("refused") < 600
    assert outcomes.count("read") > 20


def broken(data: bytes, header: int, rng: random.Random) -> bytes:
    """A file with one to eight wrong bytes in its header."""
    mutated = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        mutated[rng.randrange(4, header)] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
    return bytes(mutated)


def outcome(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    try:
        everything(path)
    except NotGGUF:
        return "refused"
    return "read"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (915_000, "915K"), (22_570_000, "22.57M"), (8_000_000_000, "8B"), (8_030_000_000, "8.0B")],
)  # fmt: skip
def test_numbers_for_people(count: int, text: str) -> None:
    assert gguf.human_number(count) == text
