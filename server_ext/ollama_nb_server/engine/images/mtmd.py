"""Contact with libmtmd's ctypes bindings: projectors, decoded images, what they become.

Every return code becomes an error that names the native function, and every pointer is freed by
the context manager that made it. Which image is encoded when is decided in `encoding`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import llama_cpp as ll
import llama_cpp.mtmd_cpp as mt
import numpy as np

from ollama_nb_server.engine.errors import DecodeFailed, LoadFailed
from ollama_nb_server.engine.native import Floats, Ints, Model, NativeLog, offloads

# Small images are enlarged for these models, which otherwise see too little of them (reference
# 10.2); others have their own limits in the projector's metadata.
MIN_TOKENS = {"qwen2vl": 1024, "qwen3vl": 1024, "qwen3vlmoe": 1024}
NO_FOLDER = os.fsencode(os.devnull)  # what is no image is not to be shown to ffmpeg
PROBE_SIDES = (64, 4096)  # of images that are only measured


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of what an image becomes: tokens around it, or rows of its own.

    `num_positions` is how many positions its rows take: with M-RoPE fewer than there are rows.
    """

    tokens: tuple[int, ...]
    num_rows: int
    num_positions: int
    pointer: int = field(repr=False)


class Projector:
    """The part of a model that sees: it turns images into rows that stand where tokens do.

    Measuring is safe from any thread, encoding one at a time only.

    Raises
    ------
    LoadFailed
        With libmtmd's own reason.
    """

    def __init__(
        self, path: str, model: Model, log: NativeLog, threads: int, *, num_gpu: int = -1
    ) -> None:
        mt.mtmd_helper_log_set(log.callback, ctypes.c_void_p(0))
        params = mt.mtmd_context_params_default()
        params.use_gpu = offloads() and num_gpu != 0
        params.print_timings = False
        params.n_threads = threads
        params.image_min_tokens = MIN_TOKENS.get(model.meta("general.architecture") or "", -1)
        self.size_bytes = Path(path).stat().st_size
        self.pointer = mt.mtmd_init_from_file(os.fsencode(path), model.pointer, params)
        if not self.pointer:
            raise log.failure(path)
        self._width = int(ll.llama_model_n_embd_inp(model.pointer))
        if not self.sees:
            self.close()
            raise LoadFailed(path, "it is a projector for sounds, which this server cannot hear")

    def close(self) -> None:
        """Free the projector; its model stays."""
        if self.pointer:
            mt.mtmd_free(self.pointer)
            self.pointer = None

    @cached_property
    def sees(self) -> bool:
        """Whether it is made for images."""
        return bool(mt.mtmd_support_vision(self.pointer))

    @cached_property
    def has_mrope(self) -> bool:
        """Whether a row has a place in time, height and width (M-RoPE) instead of one position."""
        return bool(mt.mtmd_decode_use_mrope(self.pointer))

    @cached_property
    def is_causal(self) -> bool:
        """Whether no row sees those after it; if not, an image's rows are computed at once."""
        return not mt.mtmd_decode_use_non_causal(self.pointer, None)

    @property
    def num_dimensions(self) -> int:
        """Numbers that make up one row's position."""
        return 4 if self.has_mrope else 1

    @cached_property
    def max_rows(self) -> int:
        """The most rows that must be computed at once: of the largest image, or 0."""
        if self.is_causal:
            return 0
        most = 0
        for side in PROBE_SIDES:
            with self.placeholder(side, side) as bitmap, self.chunks(bitmap) as chunks:
                most = max(most, *(chunk.num_rows for chunk in chunks))
        return most

    # --- images -----------------------------------------------------------------------------------

    @contextmanager
    def placeholder(self, width: int, height: int) -> Iterator[int]:
        """An image of which only the size is known: enough to be measured."""
        with self._owned(mt.mtmd_bitmap_init(width, height, None)) as bitmap:
            yield bitmap

    @contextmanager
    def pixels(self, width: int, height: int, data: bytes) -> Iterator[int]:
        """An image of these red, green and blue bytes, row by row."""
        assert len(data) == 3 * width * height
        with self._owned(mt.mtmd_bitmap_init(width, height, _bytes(data))) as bitmap:
            yield bitmap

    @contextmanager
    def decoded(self, data: bytes) -> Iterator[int | None]:
        """The image of a file that libmtmd can decode; None if it cannot."""
        options = mt.mtmd_helper_init_opt_default()
        options.video_params.ffmpeg_bin_dir = NO_FOLDER
        found = mt.mtmd_helper_bitmap_init_from_buf_wrapper(
            self.pointer, _bytes(data), len(data), False, options
        )
        if found.video_ctx:
            mt.mtmd_helper_video_free(found.video_ctx)
        with self._owned(found.bitmap) as bitmap:
            yield None if found.video_ctx else bitmap

    @staticmethod
    @contextmanager
    def _owned(bitmap: Any) -> Iterator[Any]:
        try:
            yield bitmap
        finally:
            mt.mtmd_bitmap_free(bitmap)

    # --- what they become -------------------------------------------------------------------------

    @contextmanager
    def chunks(self, bitmap: int) -> Iterator[list[Chunk]]:
        """What an image becomes: its tokens and rows, in order.

        Raises
        ------
        DecodeFailed
            If libmtmd cannot take an image of this kind apart.
        """
        marker = mt.mtmd_default_marker()
        text = mt.mtmd_input_text(marker, len(marker), False, True)
        bitmaps = (mt.mtmd_bitmap_p_ctypes * 1)(bitmap)
        found = mt.mtmd_input_chunks_init()
        try:
            code = mt.mtmd_tokenize(self.pointer, found, ctypes.byref(text), bitmaps, 1)
            if code:
                raise DecodeFailed("mtmd_tokenize", code)
            count = mt.mtmd_input_chunks_size(found)
            yield [_chunk(mt.mtmd_input_chunks_get(found, at)) for at in range(count)]
        finally:
            mt.mtmd_input_chunks_free(found)

    def positions(self, chunk: Chunk, first: int) -> Ints:
        """Where the rows of a chunk stand that begins at position `first`: a line a dimension."""
        if not self.has_mrope:
            return np.arange(first, first + chunk.num_rows, dtype=np.int32)[np.newaxis]
        places = (mt.mtmd_decoder_pos * chunk.num_rows)()
        image = mt.mtmd_input_chunk_get_tokens_image(chunk.pointer)
        mt.mtmd_helper_image_get_decoder_pos(image, first, places)
        told = np.frombuffer(memoryview(places), np.uint32).reshape(-1, 4).astype(np.int32)
        return np.ascontiguousarray(told[:, (0, 2, 1, 3)].T)  # time, height, width

    def encoded(self, chunk: Chunk) -> Floats:
        """The rows of a chunk; takes its time, and lets other threads run meanwhile.

        Raises
        ------
        DecodeFailed
        """
        code = mt.mtmd_encode_chunk(self.pointer, chunk.pointer)
        if code:
            raise DecodeFailed("mtmd_encode_chunk", code)
        told = mt.mtmd_get_output_embd(self.pointer)
        rows: Floats = np.ctypeslib.as_array(told, (chunk.num_rows, self._width)).copy()
        return rows


def _bytes(data: bytes) -> ctypes._Pointer[ctypes.c_uint8]:
    """The address of some bytes, which the caller keeps."""
    return ctypes.cast(ctypes.c_char_p(data), ctypes.POINTER(ctypes.c_uint8))


def _chunk(pointer: int) -> Chunk:
    count = mt.mtmd_input_chunk_get_n_tokens(pointer)
    if mt.mtmd_input_chunk_get_type(pointer) != mt.MTMD_INPUT_CHUNK_TYPE_TEXT:
        return Chunk((), count, mt.mtmd_input_chunk_get_n_pos(pointer), pointer)
    told = ctypes.c_size_t()
    tokens = mt.mtmd_input_chunk_get_tokens_text(pointer, ctypes.byref(told))
    return Chunk(tuple(tokens[:count]) if tokens else (), 0, count, pointer)
