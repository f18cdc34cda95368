"""Prompts with images: measured first, then encoded image by image, at last tokens and rows.

What libmtmd makes of an image is in `mtmd`; who waits for the thread that does this, in `core`.
"""

from __future__ import annotations

import hashlib
from collections import abc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

import numpy as np
import numpy.typing as npt

from ollama_nb_server.engine.errors import DecodeFailed, ImageRefused
from ollama_nb_server.engine.images.cache import ImageCache, Rows
from ollama_nb_server.engine.images.header import ImageHeader, checked_header
from ollama_nb_server.engine.images.mtmd import Chunk, Projector
from ollama_nb_server.engine.images.png_inflation import check_inflation
from ollama_nb_server.engine.images.webp import webp_pixels
from ollama_nb_server.engine.limits import check_length, context_limit
from ollama_nb_server.engine.messages import Generate, ImageSegment, Score, Segment, TokenSegment
from ollama_nb_server.engine.native import Model
from ollama_nb_server.engine.prefixes.index import num_shared
from ollama_nb_server.engine.prompt import prompt_tokens, public_tokens
from ollama_nb_server.engine.spans import IMAGE_ROW, EncodedPrompt, ImageSpan, Spans

PNG, WEBP = "PNG", "WebP"
TAKES_APART = "mtmd_tokenize"  # what fails where an image is of a size that a model cannot take


@dataclass(frozen=True)
class Image:
    """One image of a request, counted from 1."""

    number: int
    data: bytes = field(repr=False)
    header: ImageHeader

    @cached_property
    def digest(self) -> bytes:
        """What tells it from others."""
        return hashlib.sha256(self.data).digest()


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rows of a part of an image belong."""

    image: int
    digest: bytes
    part: int
    begin: int
    num_positions: int
    positions: npt.NDArray[np.int32]

    @property
    def key(self) -> int:
        """A number below all tokens that no other part of an image has."""
        named = hashlib.sha256(self.digest + self.part.to_bytes(4, "little")).digest()
        return IMAGE_ROW - 1 - int.from_bytes(named, "little")


@dataclass(slots=True, eq=False)
class ImagePrompt:
    """A request's prompt on its way: the images still to be encoded, and what is there."""

    request: Generate | Score
    tokens: list[int] = field(default_factory=list)
    position: int = 0  # of the next token
    places: list[Place] = field(default_factory=list)
    missing: dict[bytes, Image] = field(default_factory=dict)
    rows: dict[bytes, Rows] = field(default_factory=dict)

    def add(self, tokens: abc.Sequence[int]) -> None:
        """Go on with tokens."""
        self.tokens += tokens
        self.position += len(tokens)

    def name_of(self, digest: bytes) -> bytes:
        """What rows are kept by: who shows an image must not learn whether others have."""
        return self.request.salt.encode() + digest

    def add_rows(self, image: Image, positions: npt.NDArray[np.int32], num_positions: int) -> None:
        """Go on with the next part of an image, which has as many rows as there are positions."""
        self.missing[image.digest] = image
        part = sum(place.image == image.number for place in self.places)
        begin = len(self.tokens)
        self.places.append(Place(image.number, image.digest, part, begin, num_positions, positions))
        self.tokens += [IMAGE_ROW] * positions.shape[1]
        self.position += num_positions


class ImageEncoder:
    """Makes tokens and rows of prompts, with one projector. One thread at a time."""

    def __init__(
        self, projector: Projector, model: Model, num_ctx: int, num_batch: int, cache: ImageCache
    ) -> None:
        self.projector, self._model, self._cache = projector, model, cache
        self._num_ctx, self._num_batch = num_ctx, num_batch

    def begin(self, request: Generate | Score) -> ImagePrompt:
        """Measure a prompt: nothing is decoded that has no place in the context.

        Raises
        ------
        ImageRefused, PromptTooLong, UnknownToken
        """
        limit = context_limit(self._num_ctx, request)
        prompt, is_whole = ImagePrompt(request), not isinstance(request.prompt[0], TokenSegment)
        for number, part in enumerate(_parts(request.prompt)):
            tokens = [] if isinstance(part, Image) else prompt_tokens(self._model, part)
            if number == 0 and is_whole:
                prompt.add(self._model.before(tokens[:1]))
            prompt.add(tokens)
            if isinstance(part, Image):
                self._measure(prompt, part)
            check_length(len(prompt.tokens), limit)
        if is_whole:
            prompt.add(self._model.after)
        return prompt

    def step(self, prompt: ImagePrompt) -> EncodedPrompt | None:
        """Encode one image; the whole prompt when it was the last.

        Raises
        ------
        ImageRefused, DecodeFailed
        """
        while prompt.missing:
            digest = next(iter(prompt.missing))
            image, name = prompt.missing.pop(digest), prompt.name_of(digest)
            known = self._cache.get(name)
            prompt.rows[digest] = self._encoded(image) if known is None else known
            if known is None:
                self._cache.put(name, prompt.rows[digest])
                break
        return None if prompt.missing else self._whole(prompt)

    # --- measuring --------------------------------------------------------------------------------

    def _measure(self, prompt: ImagePrompt, image: Image) -> None:
        """Take in what an image of this size becomes."""
        width, height = image.header.width, image.header.height
        with (
            self.projector.placeholder(width, height) as bitmap,
            self._chunks(image, bitmap) as chunks,
        ):
            for chunk in chunks:
                if chunk.num_rows:
                    self._check_rows(chunk, image)
                    positions = self.projector.positions(chunk, prompt.position)
                    prompt.add_rows(image, positions, chunk.num_positions)
                else:
                    prompt.add(chunk.tokens)

    @contextmanager
    def _chunks(self, image: Image, bitmap: int) -> Iterator[list[Chunk]]:
        try:
            with self.projector.chunks(bitmap) as chunks:
                yield chunks
        except DecodeFailed as error:
            if error.function != TAKES_APART:
                raise
            reason = f"this model cannot take {image.header.width} x {image.header.height} pixels"
            raise ImageRefused(image.number, reason) from error

    def _check_rows(self, chunk: Chunk, image: Image) -> None:
        if not self.projector.is_causal and chunk.num_rows > self._num_batch:
            raise ImageRefused(
                image.number,
                f"its {chunk.num_rows} tokens must be computed at once, and a batch has "
                f"{self._num_batch}; raise num_batch, or send it smaller",
            )

    # --- encoding ---------------------------------------------------------------------------------

    def _encoded(self, image: Image) -> Rows:
        with self._bitmap(image) as bitmap, self._chunks(image, bitmap) as chunks:
            return tuple(self.projector.encoded(chunk) for chunk in chunks if chunk.num_rows)

    @contextmanager
    def _bitmap(self, image: Image) -> Iterator[int]:
        if image.header.format == WEBP:
            width, height, pixels = webp_pixels(image.data, image.number)
            with self.projector.pixels(width, height, pixels) as bitmap:
                yield bitmap
            return
        if image.header.format == PNG:
            check_inflation(image.data, image.header, image.number)
        with self.projector.decoded(image.data) as found:
            if found is None:
                raise ImageRefused(
                    image.number,
                    f"its {image.header.format} data are cut off or broken",
                )
            yield found

    def _whole(self, prompt: ImagePrompt) -> EncodedPrompt:
        spans = [self._span(place, prompt.rows[place.digest]) for place in prompt.places]
        tokens = prompt.tokens
        count = num_shared(tokens, public_tokens(self._model, prompt.request.public))
        return EncodedPrompt(tokens, Spans(spans), count)

    def _span(self, place: Place, rows: Rows) -> ImageSpan:
        """A part of an image at its place; one that is not as it was measured is a fault."""
        part = rows[place.part]
        if len(part) != place.positions.shape[1]:
            raise DecodeFailed("mtmd_encode_chunk", len(part))
        at_once, key = not self.projector.is_causal, place.key
        return ImageSpan(place.begin, part, place.positions, place.num_positions, at_once, key)


def has_images(segments: abc.Sequence[Segment]) -> bool:
    """Whether there is anything to see."""
    return any(isinstance(segment, ImageSegment) for segment in segments)


def _parts(segments: abc.Sequence[Segment]) -> Iterator[list[Segment] | Image]:
    """Images, counted and with their headers read, and what lies between two of them."""
    number = 0
    for is_image, group in groupby(segments, lambda part: isinstance(part, ImageSegment)):
        if not is_image:
            yield list(group)
            continue
        for segment in group:
            assert isinstance(segment, ImageSegment)
            number += 1
            yield Image(number, segment.data, checked_header(segment.data, number))
