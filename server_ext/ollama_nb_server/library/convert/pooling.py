"""sentence-transformers' modules: how an embedding is made of a model's vectors."""

from __future__ import annotations

from typing import Any

from gguf import PoolingType

from ollama_nb_server.library.convert.errors import BadFolder
from ollama_nb_server.library.convert.folder import Folder
from ollama_nb_server.library.convert.metadata import Metadata, u32

MODES = {"mean": PoolingType.MEAN, "cls": PoolingType.CLS, "lasttoken": PoolingType.LAST}
FLAGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}
# Embeddings are normalised by the server; the first module is the model itself.
FREE = ("Transformer", "Normalize")


def modules(folder: Folder) -> list[tuple[str, str]]:
    """The modules in order: kind and sub-folder; none without a modules.json.

    Raises
    ------
    BadFolder
        If it is not a list of modules.
    """
    if not folder.has("modules.json"):
        return []
    found = folder.json("modules.json")
    if not isinstance(found, list) or not all(isinstance(module, dict) for module in found):
        raise BadFolder("modules.json is no list of modules")
    for path in (str(module.get("path", "")) for module in found):
        if path.startswith(("/", "\\")) or ".." in path or ":" in path:
            raise BadFolder(f"modules.json names a folder outside its own: {path!r}")
    return [(_kind(module), str(module.get("path", ""))) for module in found]


def _kind(module: dict[str, Any]) -> str:
    return str(module.get("type", "")).rpartition(".")[2]


def metadata(folder: Folder, also: tuple[str, ...] = ()) -> Metadata:
    """The pooling key.

    Parameters
    ----------
    folder
        The model's.
    also
        Kinds of modules that the caller takes care of.

    Raises
    ------
    BadFolder
        If a module does what the engine does not.
    """
    found: Metadata = {}
    for kind, path in modules(folder):
        if kind == "Pooling":
            found["pooling_type"] = u32(_mode(folder, path))
        elif kind not in (*FREE, *also):
            raise BadFolder(f"modules.json: a module {kind!r} cannot be converted")
    return found


def _mode(folder: Folder, path: str) -> PoolingType:
    name = f"{path}/config.json"
    if not folder.has(name):
        raise BadFolder(f"{name} is missing, but modules.json names it")
    config = folder.object(name)
    flagged = [mode for flag, mode in FLAGS.items() if config.get(flag)]
    asked = flagged or [str(config.get("pooling_mode"))]
    if len(asked) != 1 or asked[0] not in MODES:
        modes = " and ".join(asked)
        raise BadFolder(f"{name}: pooling by {modes}; only {', '.join(MODES)} can be converted")
    return MODES[asked[0]]
