"""EmbeddingGemma's two dense layers, which sentence-transformers keeps in folders of their own."""

from __future__ import annotations

from gguf import GGMLQuantizationType

from ollama_nb_server.library.convert.errors import BadWeights
from ollama_nb_server.library.convert.folder import Folder
from ollama_nb_server.library.convert.metadata import Metadata, u32
from ollama_nb_server.library.convert.pooling import modules
from ollama_nb_server.library.convert.tensors import Planned
from ollama_nb_server.library.convert.weights import read

KIND = "Dense"
NAMES = ("dense_2", "dense_3")  # GGUF's, in the order of the modules
WEIGHT = "linear.weight"


def layers(
    folder: Folder, embedding: int, kind: GGMLQuantizationType
) -> tuple[Metadata, list[Planned]]:
    """Keys and tensors; none for a model without such layers.

    Raises
    ------
    BadWeights
        If there are not two that fit one another, or they do more than multiply.
    """
    names = [f"{path}/model.safetensors" for module, path in modules(folder) if module == KIND]
    if not names:
        return {}, []
    if missing := [name for name in names if not folder.has(name)]:
        raise BadWeights(f"{missing[0]} is missing, but modules.json names it")
    found = [read([folder.path / name]) for name in names]
    shapes = [tensors[WEIGHT].shape for tensors in found if set(tensors) == {WEIGHT}]
    if len(shapes) != len(NAMES) or not _fit(shapes[0], shapes[1], embedding):
        raise BadWeights("only two dense layers without bias, there and back, can be converted")
    keys: Metadata = {}
    for name, (out, into) in zip(NAMES, shapes, strict=True):
        keys |= {f"{name}_feat_in": u32(into), f"{name}_feat_out": u32(out)}
    planned = [
        Planned(f"{name}.weight", tensors[WEIGHT].shape, kind, (tensors[WEIGHT],))
        for name, tensors in zip(NAMES, found, strict=True)
    ]
    return keys, planned


def _fit(first: tuple[int, ...], second: tuple[int, ...], embedding: int) -> bool:
    return len(first) == 2 and first[1] == embedding and second == (embedding, first[0])
