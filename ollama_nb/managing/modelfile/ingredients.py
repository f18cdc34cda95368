"""What a model is made of: a model of the server, local files, blobs that the server has.

Decided before the server is asked, so that a wrong path costs no time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ollama_nb.errors import BadModelfile
from ollama_nb.managing.modelfile.files import ModelFile, blob, local_files, must_be_local

if TYPE_CHECKING:
    from pathlib import Path

    from ollama_nb.managing.modelfile.commands import Modelfile


@dataclass(slots=True)
class Ingredients:
    """All that FROM, ADAPTER and DRAFT name."""

    model: str | None = None
    files: list[ModelFile] = field(default_factory=list)
    adapters: list[ModelFile] = field(default_factory=list)
    drafts: list[ModelFile] = field(default_factory=list)


def gathered(asked: Modelfile, folder: Path) -> Ingredients:
    """Find out what the values of a Modelfile mean; relative paths begin in `folder`.

    Raises
    ------
    NoSuchModelFile, UnfitModelFile
        For paths.
    BadModelfile
        For what a request cannot hold, or of which the server would take a part only.
    """
    found = Ingredients()
    for text in asked.sources:
        files = _files(text, folder)
        if files is None:
            found.model = text  # the last one counts, as it does for Ollama
        else:
            found.files += files
    for text in asked.adapters[-1:]:
        found.adapters += _files(text, folder) or must_be_local(text, folder)
    for text in asked.drafts:
        found.drafts += _files(text, folder) or must_be_local(text, folder)
    _check(found)
    return found


def _files(text: str, folder: Path) -> list[ModelFile] | None:
    if on_the_server := blob(text, folder):
        return [on_the_server]
    return local_files(text, folder)


def _check(found: Ingredients) -> None:
    if found.model is not None and found.files:
        both = f"a model ({found.model}) and a file ({found.files[0].name})"
        raise BadModelfile(f"FROM names {both}; the server would take the model only, so keep one")
    for files in (found.files, found.adapters, found.drafts):
        _check_names(files)
    sources = {file.path for file in found.files if file.path}
    for file in found.drafts:
        if file.path in sources:
            raise BadModelfile(f"DRAFT must not name the same file as FROM: {file.path}")


def _check_names(files: list[ModelFile]) -> None:
    """Refuse two files of one name: a request could hold but one of them."""
    known: dict[str, ModelFile] = {}
    for file in files:
        if known.setdefault(file.name, file) != file:
            raise BadModelfile(
                f"{known[file.name].path} and {file.path} have the same name; rename one"
            )
