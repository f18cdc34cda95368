"""Which local files FROM, ADAPTER and DRAFT mean: a file, the parts of a split one, a folder's.

Only names and first bytes are looked at here; reading and sending them is `uploading`'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ollama_nb.errors import NoSuchModelFile, UnfitModelFile

if TYPE_CHECKING:
    from collections.abc import Iterable

GGUF_MAGIC = b"GGUF"
LFS_MAGIC = b"version https://git-lfs"
PICKLES = {".bin", ".pth", ".pt", ".pkl", ".pickle", ".ckpt"}
# Of a folder, the first pattern that matches gives the weights; the rest comes along with them.
SAFETENSORS = (
    ("model*.safetensors", "*/model*.safetensors"),
    ("consolidated*.safetensors",),
    ("adapter_model*.safetensors", "adapters.safetensors"),
)
BESIDE_SAFETENSORS = (
    "*.json", "*/*.json", "chat_template.jinja", "tokenizer.model", "*/tokenizer.model",
)  # fmt: skip
_SPLIT = re.compile(r"(?P<stem>.*)-(?P<part>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_BLOB = re.compile(r"(?:.*[/\\]|@)?sha256[-:](?P<hex>[0-9a-f]{64})")
_LIKE_A_PATH = re.compile(r"[/~.\\]|[A-Za-z]:[/\\]|[^:]*\.(gguf|safetensors|bin|pth|pt)$", re.I)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that a model is to be made of.

    Attributes
    ----------
    name
        What the request calls it.
    path
        Where it is here; None if only the server can have it.
    digest
        Of its bytes, where that is known without reading them.
    """

    name: str
    path: Path | None
    digest: str | None = None


def blob(text: str, folder: Path) -> ModelFile | None:
    """Return the blob that the text names, if it names one.

    Either as `@sha256:...`, or with its path in a store, as `show` prints it. The server may have
    it wherever this notebook runs; if not, and the path is one here, it can be sent.
    """
    found = _BLOB.fullmatch(text)
    if found is None:
        return None
    path = folder / Path(text).expanduser()
    digest = f"sha256:{found['hex']}"
    return ModelFile(f"sha256-{found['hex']}.gguf", path if path.is_file() else None, digest)


def local_files(text: str, folder: Path) -> list[ModelFile] | None:
    """Return the local files that a FROM means; None if it is the name of a model.

    Parameters
    ----------
    text
        The value. A path, absolute, from the home (`~`) or relative to `folder`. A folder beside
        the notebook that happens to be called like a model is one only if it holds one.
    folder
        Where relative paths begin.

    Raises
    ------
    NoSuchModelFile
        If it looks like a path and nothing is there.
    UnfitModelFile
        If no model can be made of what is there.
    """
    path = folder / Path(text).expanduser()
    if not path.exists():
        if _LIKE_A_PATH.match(text):
            raise NoSuchModelFile(text, folder)
        return None
    if path.is_file():
        return _of_file(path)
    if found := _of_folder(path):
        return found
    if _LIKE_A_PATH.match(text):
        raise UnfitModelFile(path, _what_is_missing(path))
    return None


def must_be_local(text: str, folder: Path) -> list[ModelFile]:
    """Return the local files that an ADAPTER or a DRAFT means.

    Raises
    ------
    NoSuchModelFile, UnfitModelFile
    """
    found = local_files(text, folder)
    if found is None:
        raise NoSuchModelFile(text, folder)
    return found


def _of_file(path: Path) -> list[ModelFile]:
    """Return a GGUF file, or all parts of a split one."""
    _check(path)
    if path.suffix == ".safetensors":
        raise UnfitModelFile(path, "safetensors need the json files beside them; name the folder")
    split = _SPLIT.fullmatch(path.name)
    if split is None or split["count"] == "00001":
        return [ModelFile(path.name, path)]
    count = int(split["count"])
    names = [f"{split['stem']}-{part:05}-of-{count:05}.gguf" for part in range(1, count + 1)]
    if missing := [name for name in names if not (path.parent / name).is_file()]:
        raise UnfitModelFile(path, f"it is a part of {count}, and {', '.join(missing)} is missing")
    return [ModelFile(name, path.parent / name) for name in names]


def _of_folder(folder: Path) -> list[ModelFile]:
    """Return the weights of a folder, and what describes them; empty if it holds none."""
    for patterns in SAFETENSORS:
        if weights := _matching(folder, patterns):
            return _named(folder, [*weights, *_matching(folder, BESIDE_SAFETENSORS)])
    return _named(folder, _matching(folder, ("*.gguf",)))


def _matching(folder: Path, patterns: Iterable[str]) -> list[Path]:
    found = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    return [path for path in dict.fromkeys(found) if path.is_file()]


def _named(folder: Path, paths: list[Path]) -> list[ModelFile]:
    for path in paths:
        _check_inside(path, folder)
        _check(path)
    return [ModelFile(path.relative_to(folder).as_posix(), path) for path in paths]


def _check_inside(path: Path, folder: Path) -> None:
    """Refuse a link out of the folder: whoever made it could have any file sent to the server.

    A snapshot of Hugging Face's cache is a folder of links into the blobs beside it.
    """
    inside = folder.resolve()
    if inside.parent.name == "snapshots":
        inside = inside.parent.parent
    if not path.resolve().is_relative_to(inside):
        raise UnfitModelFile(path, "it is a link that leads out of its folder")


def _check(path: Path) -> None:
    """Refuse what is surely no model: a pointer of Git LFS, pickled tensors."""
    with path.open("rb") as file:
        first = file.read(len(LFS_MAGIC))
    if first == LFS_MAGIC:
        raise UnfitModelFile(path, "it is a pointer of Git LFS; `git lfs pull` brings the file")
    if path.suffix in PICKLES and not first.startswith(GGUF_MAGIC):
        raise UnfitModelFile(path, NO_PICKLES)


NO_PICKLES = (
    "pickled tensors can run any program when they are read, so they are never taken; "
    "convert them to safetensors"
)


def _what_is_missing(folder: Path) -> str:
    if any(path.suffix in PICKLES for path in folder.iterdir()):
        return NO_PICKLES
    return "the folder has neither a model*.safetensors nor a GGUF file"
