"""A model's folder, read and written: the steps of a conversion in their order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gguf import GGML_QUANT_VERSION, LlamaFileType

from ollama_nb_server.library.convert import dense, pooling, tokenizers, weights
from ollama_nb_server.library.convert.architectures import of_model
from ollama_nb_server.library.convert.architectures.table import KEYS, Architecture
from ollama_nb_server.library.convert.config import Config
from ollama_nb_server.library.convert.errors import BadConfig
from ollama_nb_server.library.convert.folder import Folder
from ollama_nb_server.library.convert.metadata import Metadata, text, u32
from ollama_nb_server.library.convert.plan import Plan
from ollama_nb_server.library.convert.rope import Rope
from ollama_nb_server.library.convert.tensors import KINDS, Planned
from ollama_nb_server.library.convert.writing import write

FILE_TYPES = {
    "F32": LlamaFileType.ALL_F32,
    "F16": LlamaFileType.MOSTLY_F16,
    "BF16": LlamaFileType.MOSTLY_BF16,
}


def convert_model(folder: Folder, target: Path, kind: str) -> Iterator[tuple[int, int]]:
    """Write the GGUF file, telling bytes done and bytes in all.

    Raises
    ------
    CannotConvert
        If the folder does not hold a model that can be converted.
    """
    values = folder.object("config.json")
    architecture = of_model(Config(values).architecture)
    config = Config(values, architecture.defaults)
    _check(config, architecture)
    rope = Rope(config)
    extra, computed = architecture.extra(config, rope)
    keys = {name: KEYS[name](config) for name in architecture.keys}
    keys |= rope.metadata() if architecture.rope_keys else {}
    keys |= {**pooling.metadata(folder, (dense.KIND,) if _has_dense(architecture) else ()), **extra}
    paths, promised = folder.weights()
    stored = weights.read(paths)
    weights.check_all_there(stored, promised)
    planned = Plan(architecture, config, KINDS[kind]).of(stored, computed)
    keys, planned = _with_dense(folder, architecture, config, kind, keys, planned)
    metadata = {f"{architecture.name}.{key}": value for key, value in keys.items()}
    metadata |= tokenizers.metadata(folder, config, architecture.keeps_spaces)
    metadata |= _general(config, architecture, kind)
    yield from write(target, architecture.name, metadata, planned)


def _check(config: Config, architecture: Architecture) -> None:
    """Refuse what would be converted into another model than it is."""
    if config.get("quantization_config"):
        raise BadConfig("the weights are quantised: take the model's F16, BF16 or F32 weights")
    activation = config.get("hidden_activation", "hidden_act", "activation_function")
    if activation is not None and not str(activation).startswith(architecture.activation):
        raise BadConfig(
            f"the activation {activation!r} is not the one of {architecture.name} "
            f"({architecture.activation})"
        )


def _has_dense(architecture: Architecture) -> bool:
    return architecture.name == "gemma-embedding"


def _with_dense(
    folder: Folder,
    architecture: Architecture,
    config: Config,
    kind: str,
    keys: Metadata,
    planned: list[Planned],
) -> tuple[Metadata, list[Planned]]:
    if not _has_dense(architecture):
        return keys, planned
    more, tensors = dense.layers(folder, config.embedding, KINDS[kind])
    return {**keys, **more}, planned + tensors


def _general(config: Config, architecture: Architecture, kind: str) -> Metadata:
    found = {
        "general.type": text("model"),
        "general.file_type": u32(int(FILE_TYPES[kind])),
        "general.quantization_version": u32(GGML_QUANT_VERSION),
    }
    if architecture.name in ("bert", "nomic-bert"):
        types = u32(config.count("type_vocab_size", default=1))
        found["tokenizer.ggml.token_type_count"] = types
    return found
