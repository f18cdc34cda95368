"""The files of a model's folder: small ones are read within bounds, the weights only named."""

from __future__ import annotations

import json
from pathlib import Path, PurePath
from typing import Any

from ollama_nb_server.library import documents
from ollama_nb_server.library.convert.errors import BadFolder

MAX_TEXT_BYTES = 256 << 20  # the largest tokenizer.json in use is about 35 MB
INDEX = ".safetensors.index.json"
PICKLES = (".bin", ".pth", ".pt", ".ckpt", ".pkl")


class Folder:
    """A folder by its path; links in it are followed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return (self.path / name).is_file()

    def bytes(self, name: str) -> bytes:
        """A whole file.

        Raises
        ------
        BadFolder
            If it is missing, or longer than any file of its kind is.
        """
        path = self.path / name
        if not path.is_file():
            raise BadFolder(f"{name} is missing")
        if (size := path.stat().st_size) > MAX_TEXT_BYTES:
            raise BadFolder(f"{name} has {size} bytes, more than the {MAX_TEXT_BYTES} allowed")
        return path.read_bytes()

    def text(self, name: str) -> str:
        """A whole file as text."""
        try:
            return self.bytes(name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadFolder(f"{name} is no UTF-8 text from byte {error.start} on") from error

    def json(self, name: str) -> Any:
        """What a JSON file holds."""
        try:
            return json.loads(self.text(name), parse_int=documents.integer)
        except (ValueError, RecursionError) as error:
            raise BadFolder(f"{name} is no JSON: {documents.why(error)}") from error

    def object(self, name: str) -> dict[str, Any]:
        """A JSON object; an empty one if the file is not there."""
        if not self.has(name):
            return {}
        value = self.json(name)
        if not isinstance(value, dict):
            raise BadFolder(f"{name} does not hold a JSON object")
        return value

    def weights(self) -> tuple[list[Path], set[str]]:
        """The safetensors files, and the tensors that an index promises.

        Raises
        ------
        BadFolder
            If there are none, or some that the index names are missing.
        """
        files = sorted(path for path in self.path.glob("*.safetensors") if path.is_file())
        if indexes := sorted(path.name for path in self.path.glob(f"*{INDEX}")):
            promised = self._promised(indexes)
            names = sorted(set(promised.values()))
            return [self._shard(name) for name in names], set(promised)
        if not files:
            raise BadFolder(self._why_none())
        named = [path for path in files if path.name.startswith("model")]
        return named or files, set()

    def _promised(self, indexes: list[str]) -> dict[str, str]:
        """Tensor -> file, as the index says; `model` wins over other indexes."""
        name = next((name for name in indexes if name == f"model{INDEX}"), indexes[0])
        promised = self.object(name).get("weight_map")
        if not isinstance(promised, dict) or not promised:
            raise BadFolder(f"{name} has no weight_map")
        for file in promised.values():
            if not isinstance(file, str) or PurePath(file).name != file or "\\" in file:
                raise BadFolder(f"{name} names a file outside its folder: {file!r}")
        return promised

    def _shard(self, name: str) -> Path:
        path = self.path / name
        if not path.is_file():
            raise BadFolder(f"{name} is missing, but the index names it")
        return path

    def _why_none(self) -> str:
        pickled = sorted(path.name for path in self.path.iterdir() if path.suffix in PICKLES)
        if not pickled:
            return "there is no .safetensors file"
        return (
            f"{pickled[0]} is a pickle, which may run code and is never read: save the model as "
            "safetensors (`model.save_pretrained(folder, safe_serialization=True)`)"
        )
