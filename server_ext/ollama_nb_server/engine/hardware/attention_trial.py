"""Attention by itself, as llama.cpp's graphs have it, with flash attention and without: how long.

Only attention differs between the two, so that a model's weights need not be computed for it: that
takes milliseconds for models of any size. Contact with ggml is here alone; what follows from the
times is decided in `calibration`. Storing the new values belongs to it: without flash attention
they are stored number by number, which costs as much as is won at long contexts.
"""

from __future__ import annotations

import ctypes
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from ollama_nb_server.engine.hardware.devices import ggml_function
from ollama_nb_server.engine.kv_types import Heads

F32, F16, I64 = 0, 1, 27  # enum ggml_type, ggml.h
CELLS_PADDED = 256  # llama.cpp attends to a multiple of so many cells
COLD_BYTES = 24 << 20  # of cells; fewer would stay in the processor's cache, which no model's do
MOST_LAYERS, MOST_WORK = 12, 1 << 28  # in one computation; multiplications
GRAPH_BYTES = 4 << 20  # of tensors' and graphs' own descriptions
THREAD_BYTES = (
    1 << 19
)  # that a thread works in, of heads of up to 256; ggml takes it each time anew
pointer, size_t, i64 = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64


class _InitParams(ctypes.Structure):
    _fields_ = (("mem_size", size_t), ("mem_buffer", pointer), ("no_alloc", ctypes.c_bool))


@dataclass(frozen=True, slots=True)
class Case:
    """A step: so many sequences, each with so many new rows at the end of so many cells."""

    num_sequences: int
    num_rows: int
    num_cells: int
    num_ctx: int  # cells that each has in memory

    @property
    def num_padded(self) -> int:
        """Cells that llama.cpp attends to, of each sequence."""
        return min(-(-self.num_cells // CELLS_PADDED) * CELLS_PADDED, self.num_ctx)


@dataclass(frozen=True, slots=True)
class Layer:
    """Pointers to ggml's tensors: a layer's values, the new ones, their storing, the result."""

    value: Any
    new: Any
    stored: Any
    output: Any


class AttentionTrial:
    """The attention of some layers, ready to be computed by `threads`, `rounds` times at most."""

    def __init__(self, heads: Heads, case: Case, *, flash: bool, threads: int, rounds: int) -> None:
        self._heads, self._case, self._flash = heads, case, flash
        self._threads, self._rounds_left = threads, rounds
        layer_bytes = heads.cell_bytes * case.num_ctx * case.num_sequences
        rows = case.num_sequences * case.num_rows * heads.num
        length = heads.key_length + heads.value_length
        work = rows * case.num_padded * length
        self.num_layers = max(1, min(MOST_LAYERS, COLD_BYTES // layer_bytes, MOST_WORK // work))
        scores = 2 * 4 * rows * (case.num_padded + 2 * length)
        self._new_rows = case.num_sequences * case.num_rows
        new_bytes = (4 * self.num_layers + 8) * self._new_rows * self._value_size
        size = self.num_layers * (layer_bytes + scores) + new_bytes + GRAPH_BYTES
        work_bytes = rounds * (scores + threads * max(THREAD_BYTES, 16 * 4 * 64 * length))
        self._memory = np.empty(size + work_bytes, np.uint8)
        self._memory[:size].fill(0)  # so that each page is one of its own
        address = self._memory.ctypes.data
        self._context = _ggml("ggml_init", _InitParams(size + work_bytes, address, False))
        self._graph = _ggml("ggml_new_graph", self._context)
        mask, places = self._mask(), self._places()
        self.layers = [self._layer(mask, places) for _ in range(self.num_layers)]
        for layer in self.layers:
            _ggml("ggml_build_forward_expand", self._graph, layer.stored)
            _ggml("ggml_build_forward_expand", self._graph, layer.output)

    def close(self) -> None:
        """Free the graph."""
        _ggml("ggml_free", self._context)

    def seconds(self) -> float:
        """Compute it; seconds of one layer."""
        if not self._rounds_left:  # ggml would end the process for want of memory
            raise RuntimeError("an attention trial has no memory for another round")
        self._rounds_left -= 1
        began = time.perf_counter()
        _ggml("ggml_graph_compute_with_ctx", self._context, self._graph, self._threads)
        return (time.perf_counter() - began) / self.num_layers

    @property
    def _value_size(self) -> int:
        """Numbers of a cell's value, of all heads."""
        return self._heads.num_kv * self._heads.value_length

    def _layer(self, mask: Any, places: Any) -> Layer:
        context, heads, cells = self._context, self._heads, self._case.num_padded
        query = self._rows(F32, heads.key_length, heads.num, self._case.num_rows)
        key = self._rows(F16, heads.key_length, heads.num_kv, cells)
        scale = 1 / math.sqrt(heads.key_length)
        if self._flash:
            value = self._rows(F16, heads.value_length, heads.num_kv, cells)
            attend = context, query, key, value, mask, scale, 0.0, 0.0
            stored = self._store(value, places)
            return Layer(value, *stored, _ggml("ggml_flash_attn_ext", *attend))
        value = self._columns(cells)
        stored = self._store(value, places)
        scores = _ggml("ggml_mul_mat", context, key, query)
        weights = _ggml("ggml_soft_max_ext", context, scores, mask, scale, 0.0)
        heads_first = _ggml("ggml_mul_mat", context, value, weights)
        rows_first = _ggml("ggml_permute", context, heads_first, 0, 2, 1, 3)
        return Layer(value, *stored, _ggml("ggml_cont", context, rows_first))

    def _store(self, value: Any, places: Any) -> tuple[Any, Any]:
        """New values, and the step that puts them in their places: as rows, or one by one."""
        width = self._value_size if self._flash else 1
        num_cells = self._case.num_padded if self._flash else self._case.num_ctx
        count = self._case.num_sequences * num_cells * self._value_size
        number = self._new_rows * self._value_size
        new = _ggml("ggml_new_tensor_4d", self._context, F32, width, number // width, 1, 1)
        step = 2 * width
        shape = width, count // width, 1, 1
        flat = _ggml("ggml_view_4d", self._context, value, *shape, step, 2 * count, 2 * count, 0)
        return new, _ggml("ggml_set_rows", self._context, flat, new, places)

    def _places(self) -> Any:
        """Where new values go, of every sequence: the last cells, as `_store` counts them."""
        case = self._case
        rows = np.arange(case.num_cells - case.num_rows, case.num_cells)
        sequences = np.arange(case.num_sequences)[:, None]
        if self._flash:
            at = sequences * case.num_padded + rows
        else:
            numbers = np.arange(self._value_size)
            columns = sequences[..., None] * self._value_size + numbers
            at = columns * case.num_ctx + rows[None, :, None]
        places = _ggml("ggml_new_tensor_4d", self._context, I64, at.size, 1, 1, 1)
        begin = _ggml("ggml_get_data", places) - self._memory.ctypes.data
        self._memory[begin : begin + 8 * at.size].view(np.int64)[:] = at.ravel()
        return places

    def _rows(self, kind: int, length: int, num_heads: int, count: int) -> Any:
        """Vectors of all heads, row by row in memory, seen head by head."""
        made = self._new(kind, length, num_heads, count)
        return _ggml("ggml_permute", self._context, made, 0, 2, 1, 3)

    def _columns(self, cells: int) -> Any:
        """Values as llama.cpp keeps them without flash attention: the cells of a whole context."""
        heads, num_ctx = self._heads, self._case.num_ctx
        whole = self._new(F16, num_ctx, heads.value_length, heads.num_kv)
        shape = cells, heads.value_length, heads.num_kv, self._case.num_sequences
        row = 2 * num_ctx
        strides = row, row * heads.value_length, row * heads.value_length * heads.num_kv
        return _ggml("ggml_view_4d", self._context, whole, *shape, *strides, 0)

    def _mask(self) -> Any:
        """What lets every row see the cells before it and its own, and none of those that pad."""
        case, kind = self._case, F16 if self._flash else F32
        mask = self._new(kind, case.num_padded, case.num_rows, 1)
        dtype = np.dtype(np.float16 if self._flash else np.float32)
        shape = case.num_sequences, case.num_rows, case.num_padded
        begin = _ggml("ggml_get_data", mask) - self._memory.ctypes.data
        end = begin + dtype.itemsize * math.prod(shape)
        seen = case.num_cells - case.num_rows + np.arange(case.num_rows)
        hidden = np.arange(case.num_padded) > seen[:, None]
        self._memory[begin:end].view(dtype).reshape(shape)[:, hidden] = -np.inf
        return mask

    def _new(self, kind: int, *shape: int) -> Any:
        every = (*shape, self._case.num_sequences)
        return _ggml("ggml_new_tensor_4d", self._context, kind, *every)


def _ggml(name: str, *arguments: Any) -> Any:
    """What a function of ggml returns, of the library that llama.cpp itself computes with."""
    result, kinds = FUNCTIONS[name]
    return ggml_function(name, result, *kinds)(*arguments)


FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "ggml_init": (pointer, (_InitParams,)),
    "ggml_free": (None, (pointer,)),
    "ggml_get_data": (pointer, (pointer,)),
    "ggml_new_tensor_4d": (pointer, (pointer, ctypes.c_int, i64, i64, i64, i64)),
    "ggml_view_4d": (pointer, (pointer, pointer, *[i64] * 4, *[size_t] * 4)),
    "ggml_permute": (pointer, (pointer, pointer, *[ctypes.c_int] * 4)),
    "ggml_set_rows": (pointer, (pointer, pointer, pointer, pointer)),
    "ggml_cont": (pointer, (pointer, pointer)),
    "ggml_mul_mat": (pointer, (pointer, pointer, pointer)),
    "ggml_soft_max_ext": (pointer, (*[pointer] * 3, *[ctypes.c_float] * 2)),
    "ggml_flash_attn_ext": (pointer, (*[pointer] * 5, *[ctypes.c_float] * 3)),
    "ggml_new_graph": (pointer, (pointer,)),
    "ggml_build_forward_expand": (None, (pointer, pointer)),
    "ggml_graph_compute_with_ctx": (ctypes.c_int, (pointer, pointer, ctypes.c_int)),
}
