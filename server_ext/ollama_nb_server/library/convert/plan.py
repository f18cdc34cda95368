"""Which tensor of the files becomes which of the GGUF file; all must be there and fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, GGMLQuantizationType, get_tensor_name_map

from ollama_nb_server.library.convert.architectures.table import Architecture
from ollama_nb_server.library.convert.config import Config
from ollama_nb_server.library.convert.errors import BadWeights
from ollama_nb_server.library.convert.tensors import F32, Planned, kind_of
from ollama_nb_server.library.convert.weights import Floats, Stored

ARCHES = {name: arch for arch, name in MODEL_ARCH_NAMES.items()}
EXPERT = re.compile(r"\.experts\.(\d+)\.")
SHOWN = 5  # names in an error


class Names:
    """Names of an architecture's tensors: those in the files -> those in GGUF."""

    def __init__(self, architecture: Architecture, blocks: int) -> None:
        self._architecture = architecture
        self._map = get_tensor_name_map(MODEL_ARCH(ARCHES[architecture.name]), blocks)

    def of(self, name: str) -> str | None:
        """GGUF's name; None if it has none. Some files leave the leading `model.` out."""
        for pattern, replacement in self._architecture.renamed.items():
            if re.fullmatch(pattern, name):
                name = re.sub(pattern, replacement, name)
                break
        for spelled in (name, f"model.{name}"):
            if found := self._map.get_name(spelled, try_suffixes=(".weight", ".bias")):
                return str(found)
        return None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is made of a model's tensors."""

    architecture: Architecture
    config: Config
    kind: GGMLQuantizationType

    def of(self, stored: Mapping[str, Stored], extra: Mapping[str, Floats]) -> list[Planned]:
        """All tensors to write.

        Raises
        ------
        BadWeights
            If one is missing, not known, or of another shape than config.json says.
        """
        found = self._grouped(stored.values())
        shapes = self.architecture.shapes(self.config)
        missing = [name for name, (_, must) in shapes.items() if must and name not in found]
        if self.config.get("tie_word_embeddings") is False and "output.weight" in shapes:
            missing += [] if "output.weight" in found else ["output.weight"]
        if missing:
            raise BadWeights(
                f"{len(missing)} tensors are missing, such as {', '.join(missing[:SHOWN])}"
            )
        planned = [self._planned(name, parts, shapes[name][0]) for name, parts in found.items()]
        return planned + [Planned(n, v.shape, F32, (v,)) for n, v in extra.items()]

    def _grouped(self, stored: Iterable[Stored]) -> dict[str, list[Stored]]:
        """GGUF name -> the tensors that make it up, experts in order."""
        names = Names(self.architecture, self.config.blocks)
        known = self.architecture.shapes(self.config)
        found: dict[str, list[Stored]] = {}
        for tensor in stored:
            if self.architecture.ignores(tensor.name):
                continue
            name = names.of(tensor.name)
            if name is None or name not in known:
                raise BadWeights(
                    f"{tensor.name} is not known in a model of {self.architecture.name}"
                )
            found.setdefault(name, []).append(tensor)
        return {name: sorted(parts, key=_expert) for name, parts in found.items()}

    def _planned(self, name: str, parts: list[Stored], shape: tuple[int, ...]) -> Planned:
        stacked = (len(parts), *parts[0].shape) if _expert(parts[0]) >= 0 else parts[0].shape
        twice = len(parts) > 1 and _expert(parts[0]) < 0
        if twice or stacked != shape or any(part.shape != parts[0].shape for part in parts):
            raise BadWeights(
                f"{parts[0].name} has the shape {_text(stacked)}, config.json means {_text(shape)}"
                if not twice
                else f"{parts[0].name} and {parts[1].name} are the same tensor"
            )
        return Planned(
            name,
            shape,
            kind_of(name, len(shape), self.kind),
            tuple(parts),
            shift=float(self.architecture.shifted_norms and name.endswith("norm.weight")),
            heads=self.rotary_heads(name),
        )

    def rotary_heads(self, name: str) -> int:
        """Heads by which a tensor's rows are put in another order (0: they stay)."""
        if not self.architecture.permuted:
            return 0
        part = name.rpartition(".")[0].rpartition(".")[2]
        return {"attn_q": self.config.heads, "attn_k": self.config.heads_kv}.get(part, 0)


def _expert(tensor: Stored) -> int:
    found = EXPERT.search(tensor.name)
    return int(found[1]) if found else -1


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
