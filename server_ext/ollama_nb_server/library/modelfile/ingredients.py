"""What FROM, ADAPTER and DRAFT name, as the server may read it: models of the store and its blobs.

A file elsewhere on the server is refused: on a shared server anybody could read any file that way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import InvalidDigest, ServerPath
from ollama_nb_server.library.modelfile.commands import Modelfile
from ollama_nb_server.library.names import ModelRef, parse_ref

LOOKS_LIKE_A_PATH = re.compile(r"[/~.\\]|[A-Za-z]:\\|.*\.(gguf|bin|safetensors)$|.*\\", re.I)


@dataclass(slots=True)
class Ingredients:
    """A model to begin with, or files (name -> digest), adapters, and a draft model."""

    source: ModelRef | None = None
    files: dict[str, str] = field(default_factory=dict)
    adapters: dict[str, str] = field(default_factory=dict)
    drafts: dict[str, str] = field(default_factory=dict)


def ingredients(modelfile: Modelfile, blobs: Path, uploaded: Mapping[str, str]) -> Ingredients:
    """Read the values; `uploaded` are the files that the request brings along.

    Raises
    ------
    ServerPath
        For a path that is neither a blob's nor an uploaded file's.
    InvalidDigest, InvalidName
    """
    found = Ingredients()
    for text in modelfile.sources:
        files = _files(text, blobs, uploaded)
        if files is None:
            found.source = parse_ref(text)
        else:
            found.files |= files
    for texts, target in (modelfile.adapters, found.adapters), (modelfile.drafts, found.drafts):
        for text in texts:
            files = _files(text, blobs, uploaded)
            if files is None:
                raise ServerPath(text)
            target |= files
    return found


def _files(text: str, blobs: Path, uploaded: Mapping[str, str]) -> dict[str, str] | None:
    """Names and digests that a value stands for; None if it is a model's name."""
    if text.startswith("@"):
        digest = Digest.parse(text[1:])
        return {f"{digest.filename}.gguf": digest.colon}
    if known := _uploaded(text, uploaded):
        return known
    if LOOKS_LIKE_A_PATH.match(text) is None:
        return None
    if Path(text).parent == blobs:  # as `show` prints it
        try:
            digest = Digest.parse(Path(text).name)
        except InvalidDigest:
            raise ServerPath(text) from None
        return {f"{digest.filename}.gguf": digest.colon}
    raise ServerPath(text)


def _uploaded(text: str, uploaded: Mapping[str, str]) -> dict[str, str]:
    """The uploaded file of that name, or all below a folder of that name."""
    path = PurePosixPath(text).as_posix()
    if path == ".":
        return dict(uploaded)
    return {n: d for n, d in uploaded.items() if n == path or n.startswith(f"{path}/")}
