"""A LoRA adapter in the form of the package `peft`: two small matrices for each it changes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf import GGML_QUANT_VERSION

from ollama_nb_server.library import gguf
from ollama_nb_server.library.convert import weights
from ollama_nb_server.library.convert.architectures import of_base
from ollama_nb_server.library.convert.config import Config, number
from ollama_nb_server.library.convert.errors import BadAdapter
from ollama_nb_server.library.convert.folder import Folder
from ollama_nb_server.library.convert.metadata import Metadata, f32, text, u32
from ollama_nb_server.library.convert.plan import Names, Plan
from ollama_nb_server.library.convert.tensors import F32, Planned
from ollama_nb_server.library.convert.weights import Stored
from ollama_nb_server.library.convert.writing import write

CONFIG = "adapter_config.json"
MATRIX = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.default)?\.weight")
# config.json's names -> the keys of the base model.
OF_BASE = {
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
}
# Settings of peft that change what the two matrices mean, and the values that do not.
PLAIN: dict[str, tuple[Any, ...]] = {
    "use_dora": (None, False),
    "fan_in_fan_out": (None, False),
    "alpha_pattern": (None, {}),
    "rank_pattern": (None, {}),
    "bias": (None, "none"),
    "lora_bias": (None, False),
    "modules_to_save": (None, []),
    "peft_type": (None, "LORA"),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """What one matrix is changed by: B x A, scaled."""

    a: Stored
    b: Stored


def convert_adapter(folder: Folder, target: Path, base: Path) -> Iterator[tuple[int, int]]:
    """Write the adapter as GGUF; `base` is the file of the model that it is for.

    Raises
    ------
    CannotConvert
        If it is of another kind, or for another model.
    """
    settings = folder.object(CONFIG)
    for name, plain in PLAIN.items():
        if settings.get(name) not in plain:
            raise BadAdapter(f"{CONFIG}: `{name}` is {settings[name]!r}, which cannot be converted")
    model = gguf.read(base)
    paths, _ = folder.weights()
    pairs = _pairs(weights.read(paths))
    planned = list(_planned(pairs, model))
    yield from write(target, model.architecture, _metadata(settings, pairs), planned)


def _pairs(stored: dict[str, Stored]) -> dict[str, Pair]:
    """Module -> its two matrices."""
    found: dict[str, dict[str, Stored]] = {}
    for name, tensor in stored.items():
        if (match := MATRIX.fullmatch(name)) is None:
            raise BadAdapter(
                f"{name} is not one of LoRA's two matrices, only these can be converted"
            )
        found.setdefault(match[1], {})[match[2]] = tensor
    for module, halves in found.items():
        if set(halves) != {"A", "B"}:
            raise BadAdapter(f"{module} has only one of LoRA's two matrices")
    if not found:
        raise BadAdapter("the adapter has no matrices")
    return {module: Pair(halves["A"], halves["B"]) for module, halves in found.items()}


def _planned(pairs: dict[str, Pair], model: gguf.GGUFMetadata) -> Iterator[Planned]:
    """The tensors to write; each pair must fit the model's matrix."""
    architecture = of_base(model.architecture)
    config = Config({name: model.of_architecture(key) for name, key in OF_BASE.items()})
    names, plan = Names(architecture, config.blocks), Plan(architecture, config, F32)
    shapes = {tensor.name: tensor.shape[::-1] for tensor in model.tensors}
    for module, pair in pairs.items():
        name = names.of(f"{module}.weight")
        if name is None or name not in shapes:
            raise BadAdapter(f"{module} is not in the model that the adapter is for")
        _check_shapes(pair, shapes[name])
        yield Planned(f"{name}.lora_a", pair.a.shape, F32, (pair.a,))
        # B has the matrix's rows, so it is B whose rows are put in order.
        heads = plan.rotary_heads(name)
        yield Planned(f"{name}.lora_b", pair.b.shape, F32, (pair.b,), heads=heads)


def _check_shapes(pair: Pair, shape: tuple[int, ...]) -> None:
    a, b = pair.a.shape, pair.b.shape
    if len(a) != 2 or len(b) != 2 or a[0] != b[1] or (b[0], a[1]) != shape:
        raise BadAdapter(
            f"{pair.a.name} and {pair.b.name} have the shapes {list(a)} and {list(b)}: they do not "
            f"change a matrix of the shape {list(shape)}, as the model's is"
        )


def _metadata(settings: dict[str, Any], pairs: dict[str, Pair]) -> Metadata:
    alpha = number(settings.get("lora_alpha"), "lora_alpha")
    if settings.get("use_rslora"):
        # The engine divides by the rank, rank-stabilised LoRA by its root.
        alpha *= math.sqrt(next(iter(pairs.values())).a.shape[0])
    return {
        "general.type": text("adapter"),
        "general.quantization_version": u32(GGML_QUANT_VERSION),
        "adapter.type": text("lora"),
        "adapter.lora.alpha": f32(alpha),
    }
