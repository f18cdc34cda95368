"""The header of a translated file, and which bytes of the old file follow it.

Values that do not change are copied as bytes, never decoded: a vocabulary is not read for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from struct import pack

from ollama_nb_server.library.dialects.changes import Changes, octets, text
from ollama_nb_server.library.gguf import GGUFMetadata, Tensor
from ollama_nb_server.library.gguf.cursor import STRUCTS, Cursor
from ollama_nb_server.library.gguf.tables import ARRAY, MAGIC, STRING
from ollama_nb_server.library.gguf.tensors import read_tensors
from ollama_nb_server.library.gguf.values import read_value

VERSION = 3
PADDING = "ollama_nb.padding"  # a key that llama.cpp does not look at
PAGE_BYTES = 4096  # where both sides begin at such a place, file systems can share what is equal
EMBEDDINGS = "token_embd.weight"
VOCABULARY = ("tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type")


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes to be copied: from where in the old file, to where in the new one, how many."""

    source: int
    target: int
    length: int


@dataclass(frozen=True, slots=True)
class Translated:
    """A new file that is not written yet."""

    header: bytes
    runs: tuple[Run, ...]

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return max((run.target + run.length for run in self.runs), default=len(self.header))


@dataclass(frozen=True, slots=True)
class _Placed:
    """A tensor of the new file, and where its bytes lie in the old one."""

    name: str
    shape: tuple[int, ...]
    kind: int
    pieces: tuple[tuple[int, int], ...]  # offset, length

    @property
    def num_bytes(self) -> int:
        return sum(length for _, length in self.pieces)


def translate(metadata: GGUFMetadata, changes: Changes) -> Translated:
    """Plan the new file.

    Raises
    ------
    NotGGUF
        If the old one cannot be read.
    OSError
    """
    values, start = _read(metadata.path, changes, metadata.architecture)
    alignment = int(metadata.values.get("general.alignment", 32))
    tensors = list(_placed(metadata, changes, start))
    first = tensors[0].pieces[0][0] if tensors else 0
    header = _header(values, tensors, alignment, first)
    return Translated(header, tuple(_runs(tensors, len(header), alignment)))


# --- keys -----------------------------------------------------------------------------------------


def _read(path: Path, changes: Changes, old: str) -> tuple[dict[str, bytes], int]:
    """The new file's keys with their values as bytes, and where the old file's data begins."""
    values: dict[str, bytes] = {}
    with path.open("rb") as file, path.open("rb") as raw:
        cursor = Cursor(file, path.stat().st_size)
        cursor.take(len(MAGIC) + 4)
        num_tensors, num_keys = cursor.u64(), cursor.u64()
        alignment = 32
        for _ in range(num_keys):
            key, begin = cursor.text(), cursor.place
            found = read_value(cursor, cursor.u32())
            alignment = int(found) if key == "general.alignment" else alignment
            if key in changes.removed:
                continue
            raw.seek(begin)
            data = raw.read(cursor.place - begin)
            if changes.num_vocab is not None and key in VOCABULARY:
                data = _cut(data, changes.num_vocab)
            values[_moved(key, old, changes.architecture)] = data
        read_tensors(cursor, num_tensors)
        start = -(-cursor.place // alignment) * alignment
    if changes.architecture:
        values["general.architecture"] = text(changes.architecture).encode()
    return values | {key: value.encode() for key, value in changes.values.items()}, start


def _moved(key: str, old: str, new: str) -> str:
    return f"{new}.{key.removeprefix(f'{old}.')}" if new and key.startswith(f"{old}.") else key


def _cut(data: bytes, count: int) -> bytes:
    """An array's first values, as bytes."""
    if data[:4] != pack("<I", ARRAY):
        return data
    kind, length = int.from_bytes(data[4:8], "little"), int.from_bytes(data[8:16], "little")
    count, at = min(count, length), 16
    if kind == STRING:
        for _ in range(count):
            at += 8 + int.from_bytes(data[at : at + 8], "little")
    else:
        at += count * STRUCTS[kind].size
    return pack("<IIQ", ARRAY, kind, count) + data[16:at]


def _header(values: dict[str, bytes], tensors: list[_Placed], alignment: int, first: int) -> bytes:
    """All that stands before the data, as far into a page as the old file's first tensor."""
    infos = _infos(tensors, alignment)
    keys = b"".join(_named(key) + value for key, value in values.items()) + _named(PADDING)
    head = MAGIC + pack("<IQQ", VERSION, len(tensors), len(values) + 1)
    length = len(head) + len(keys) + len(octets(b"").encode()) + len(infos)
    padding = bytes((first - length) % max(PAGE_BYTES, alignment))
    return head + keys + octets(padding).encode() + infos


def _named(name: str) -> bytes:
    return pack("<Q", len(name.encode())) + name.encode()


# --- tensors --------------------------------------------------------------------------------------


def _placed(metadata: GGUFMetadata, changes: Changes, start: int) -> Iterator[_Placed]:
    """The tensors of the new file, in the old one's order."""
    kept = [t for t in metadata.tensors if not t.name.startswith(changes.dropped or ("\0",))]
    before = _partners(kept, *changes.joined) if changes.joined is not None else {}
    for tensor in kept:
        if tensor in before.values():
            continue
        parts = [before[tensor.name], tensor] if tensor.name in before else [tensor]
        if tensor.name == EMBEDDINGS and changes.num_vocab is not None:
            parts = [_first_rows(tensor, changes.num_vocab)]
        yield _Placed(
            _renamed(tensor.name, changes),
            _shape(parts),
            tensor.kind,
            tuple((start + part.offset, part.num_bytes) for part in parts),
        )


def _shape(parts: list[Tensor]) -> tuple[int, ...]:
    """Of one tensor, or of several one after another."""
    whole = parts[-1].shape
    return whole if len(parts) == 1 else (*whole[:-1], sum(part.shape[-1] for part in parts))


def _first_rows(tensor: Tensor, count: int) -> Tensor:
    if len(tensor.shape) != 2:
        return tensor
    return replace(tensor, shape=(tensor.shape[0], min(tensor.shape[1], count)))


def _partners(tensors: list[Tensor], first: str, second: str) -> dict[str, Tensor]:
    """What is put before which tensor."""
    firsts = {t.name.removesuffix(first): t for t in tensors if t.name.endswith(first)}
    seconds = {t.name.removesuffix(second): t.name for t in tensors if t.name.endswith(second)}
    return {seconds[block]: firsts[block] for block in firsts.keys() & seconds.keys()}


def _renamed(name: str, changes: Changes) -> str:
    for pattern, put in changes.renamed:
        name = re.sub(pattern, put, name)
    return name


def _infos(tensors: list[_Placed], alignment: int) -> bytes:
    """The list of tensors, each right after the one before it, as ggml demands."""
    infos, offset = [], 0
    for tensor in tensors:
        shape = pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
        infos.append(_named(tensor.name) + shape + pack("<IQ", tensor.kind, offset))
        offset += -(-tensor.num_bytes // alignment) * alignment
    return b"".join(infos)


def _runs(tensors: list[_Placed], start: int, alignment: int) -> Iterator[Run]:
    """What to copy; neighbours of the old file that stay neighbours are one run."""
    run: Run | None = None
    at = start
    for tensor in tensors:
        target = at
        for source, length in tensor.pieces:
            if run is not None and source - run.source == target - run.target > 0:
                run = Run(run.source, run.target, target - run.target + length)
            else:
                if run is not None:
                    yield run
                run = Run(source, target, length)
            target += length
        at += -(-tensor.num_bytes // alignment) * alignment
    if run is not None:
        yield run
