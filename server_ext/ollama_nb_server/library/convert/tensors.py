"""Tensors as they will be written: where their values come from, and what is done to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, quants

from ollama_nb_server.library.convert.errors import BadWeights
from ollama_nb_server.library.convert.weights import Floats, Stored

F32, F16, BF16 = GGMLQuantizationType.F32, GGMLQuantizationType.F16, GGMLQuantizationType.BF16
KINDS = {"F32": F32, "F16": F16, "BF16": BF16}
NUMPY: dict[GGMLQuantizationType, np.dtype[Any]] = {
    F32: np.dtype(np.float32),
    F16: np.dtype(np.float16),
    BF16: np.dtype(np.uint16),
}
# llama.cpp computes with these in F32, whatever the rest is.
ALWAYS_F32 = ("position_embd.weight", "token_types.weight", "ffn_gate_inp.weight")


@dataclass(frozen=True, slots=True)
class Planned:
    """One tensor of the file to come; `shape` in the order of numpy.

    The parts follow one another in the first dimension. `shift` is added to every value; with
    `heads`, the rows are put in the order that llama.cpp's rotary embedding wants.
    """

    name: str
    shape: tuple[int, ...]
    kind: GGMLQuantizationType
    parts: tuple[Stored | Floats, ...]
    shift: float = 0.0
    heads: int = 0

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """What numpy holds it as (BF16 as whole numbers of 16 bits)."""
        return NUMPY[self.kind]

    def data(self) -> npt.NDArray[np.generic]:
        """The values, in memory now: one whole tensor as written, the source in small pieces.

        Raises
        ------
        BadWeights
            If a value is too large for F16.
        """
        out = np.empty(np.prod(self.shape, dtype=np.int64), self.numpy)
        place = 0
        for part in self.parts:
            for chunk in [part.ravel()] if isinstance(part, np.ndarray) else part.chunks():
                out[place : place + len(chunk)] = self._narrowed(chunk)
                place += len(chunk)
        return rotary(out.reshape(self.shape), self.heads) if self.heads else out

    def _narrowed(self, chunk: Floats) -> npt.NDArray[np.generic]:
        values = chunk + np.float32(self.shift) if self.shift else chunk
        if self.kind == BF16:
            return quants.quantize(values, BF16).view(np.uint16)
        try:
            with np.errstate(over="raise"):
                return values.astype(self.numpy)
        except FloatingPointError as error:
            raise BadWeights(
                f"{self.name} holds values beyond F16's range: create the model with `quantize` "
                "set to BF16 or F32"
            ) from error


def rotary(rows: npt.NDArray[np.generic], heads: int) -> npt.NDArray[np.generic]:
    """Rows of query or key weights: halves of a head (transformers) to pairs (llama.cpp).

    Raises
    ------
    BadWeights
        If a head has no halves.
    """
    if rows.shape[0] % (2 * heads):
        raise BadWeights(f"{rows.shape[0]} rows cannot be cut into the halves of {heads} heads")
    split = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(split.swapaxes(1, 2)).reshape(rows.shape)


def kind_of(name: str, num_dims: int, wanted: GGMLQuantizationType) -> GGMLQuantizationType:
    """What a tensor is stored as: vectors, norms and some small matrices stay F32."""
    keeps = num_dims <= 1 or name.endswith("_norm.weight") or name.endswith(ALWAYS_F32)
    return F32 if keeps or not name.endswith(".weight") else wanted
