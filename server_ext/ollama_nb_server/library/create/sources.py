"""The files that a model is made of: what each is, which belong together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from jupyter_core.paths import jupyter_runtime_dir

from ollama_nb_server.library import gguf
from ollama_nb_server.library.blobs import Blobs
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import NamedTwice, SplitIncomplete, UnknownFileType

SPLIT = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf", re.I)
EMBEDDED = ("a.", "mm.", "mtp.", "s.", "v.")  # tensors that llama.cpp's copy would drop


@dataclass(frozen=True, slots=True)
class Source:
    """A GGUF file, or the parts of one in order; the name is that of the first."""

    name: str
    parts: tuple[Path, ...]
    digest: Digest
    metadata: gguf.GGUFMetadata

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.stat().st_size for part in self.parts)

    @property
    def must_stay(self) -> bool:
        """Whether it holds more than the text model, so that it is stored as it is."""
        return any(tensor.name.startswith(EMBEDDED) for tensor in self.metadata.tensors)

    @contextmanager
    def readable(self) -> Iterator[Path]:
        """A path that llama.cpp can open: it finds the parts of one file by their names."""
        if len(self.parts) == 1:
            yield self.parts[0]
            return
        with TemporaryDirectory(prefix="ollama-nb-", dir=_runtime()) as folder:
            links = [Path(folder) / part_name(i, len(self.parts)) for i in range(len(self.parts))]
            for link, part in zip(links, self.parts, strict=True):
                link.symlink_to(part)
            yield links[0]


def part_name(index: int, count: int) -> str:
    """How llama.cpp names a part, counted from 0."""
    return f"model-{index + 1:05d}-of-{count:05d}.gguf"


def _runtime() -> str:
    folder = Path(jupyter_runtime_dir())
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return str(folder)


@contextmanager
def folder_of(blobs: Blobs, files: Mapping[str, str]) -> Iterator[Path]:
    """A folder in which blobs have the names that they were sent with.

    Raises
    ------
    InvalidDigest, BlobNotFound, NamedTwice
    """
    with TemporaryDirectory(prefix="ollama-nb-", dir=_runtime()) as folder:
        for name, digest in files.items():
            link = Path(folder, *PurePosixPath(name.replace("\\", "/")).parts)
            blob = blobs.existing(Digest.parse(digest)).resolve()
            try:
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(blob)
            except (FileExistsError, NotADirectoryError) as error:
                raise NamedTwice(name) from error
        yield Path(folder)


def kind_of_files(blobs: Blobs, files: Mapping[str, str]) -> str:
    """`safetensors` or `gguf`, by the names, else by the first bytes.

    Raises
    ------
    UnknownFileType
        If they are neither.
    """
    for kind in ("safetensors", "gguf"):
        if any(name.endswith(f".{kind}") for name in files):
            return kind
    if any(_is_gguf(blobs.existing(Digest.parse(digest))) for digest in files.values()):
        return "gguf"
    raise UnknownFileType


def _is_gguf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(gguf.MAGIC)) == gguf.MAGIC


def source_of(blobs: Blobs, files: Mapping[str, str], names: list[str]) -> Source:
    """A GGUF file, or the parts of one put together; `names` are those of a group.

    Raises
    ------
    InvalidDigest, BlobNotFound, NotGGUF, SplitIncomplete
    """
    digests = [Digest.parse(files[name]) for name in names]
    paths = [blobs.existing(digest) for digest in digests]
    headers = [gguf.read(path) for path in paths]
    _check_parts(names, headers)
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    metadata = gguf.GGUFMetadata(paths[0], headers[0].values, tensors)
    return Source(names[0], tuple(paths), digests[0], metadata)


def groups(files: Mapping[str, str]) -> list[list[str]]:
    """Names of files that belong together, each group in order."""
    found: dict[str, list[str]] = {}
    for name in files:
        split = SPLIT.fullmatch(name)
        found.setdefault(f"{split[1]}/{split[3]}" if split else name, []).append(name)
    return [sorted(names) for names in found.values()]


def _check_parts(names: list[str], headers: list[gguf.GGUFMetadata]) -> None:
    split = SPLIT.fullmatch(names[0])
    if split is None or (len(names) == 1 and "split.count" not in headers[0].values):
        return
    count = int(split[3])
    if len(names) != count:
        raise SplitIncomplete(f"{names[0]} is one of {count} files, {len(names)} are here")
    for index, (name, header) in enumerate(zip(names, headers, strict=True)):
        told = (header.values.get("split.no"), header.values.get("split.count"))
        if told != (index, count):
            raise SplitIncomplete(f"{name} says that it is part {told[0]} (from 0) of {told[1]}")


def layer_kind(metadata: gguf.GGUFMetadata) -> str:
    """Which layer a GGUF file is: model, adapter or projector."""
    if metadata.kind == "adapter":
        return "adapter"
    architecture = metadata.architecture
    sees = f"{architecture}.vision.block_count" in metadata.values
    reads = f"{architecture}.block_count" in metadata.values
    clip = architecture == "clip" and not reads
    projects = metadata.kind in ("projector", "mmproj") or clip or (sees and not reads)
    return "projector" if projects else "model"


def same_vocabulary(one: gguf.GGUFMetadata, other: gguf.GGUFMetadata) -> bool:
    """Whether the same numbers stand for the same tokens in both."""
    keys = "tokenizer.ggml.model", "tokenizer.ggml.tokens"
    return all(one.get(key) == other.get(key) for key in keys)
