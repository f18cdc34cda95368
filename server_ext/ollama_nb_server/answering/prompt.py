"""A prompt on its way to the engine: what its template wrote, and what people and tools wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ollama_nb_server.answering.images import with_images
from ollama_nb_server.answering.output import own_tags
from ollama_nb_server.engine.messages import Loaded, Segment, TextSegment
from ollama_nb_server.library.model import Model
from ollama_nb_server.prompts.image_tags import revealed
from ollama_nb_server.prompts.literals import Piece, RenderedPrompt, TextGuard
from ollama_nb_server.prompts.reserved import reserved
from ollama_nb_server.prompts.truncation import DroppedTurns


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model reads: as text to look at, in segments to compute, and the turns not in it.

    In the text, `[img-N]` stands where an image is. Of an earlier conversation that must be read as
    the ids that it is, `before` are the segments and `before_text` is the text; `rendered` is all
    that the template wrote.
    """

    rendered: RenderedPrompt
    segments: tuple[Segment, ...]
    guard: TextGuard
    before: tuple[Segment, ...] = ()
    before_text: str = ""
    dropped: DroppedTurns | None = None
    images: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def written(cls, guard: TextGuard, render: Callable[..., str], *contents: Any) -> Prompt:
        """What `render` makes of contents, which may be anybody's words."""
        rendered = guard.rendered(render, *contents)
        return cls(rendered, _segments(guard.pieces(rendered)), guard)

    @property
    def text(self) -> str:
        """All of it, as whoever asks may see it."""
        return revealed(self.before_text + self.rendered.text)

    @property
    def seen(self) -> tuple[Segment, ...]:
        """The segments with the images at their places.

        Raises
        ------
        ImageWithoutPlace
        """
        return with_images(self.segments, self.images)

    def with_answer(self, answer: str) -> tuple[Segment, ...]:
        """It and what the model said to it; images are their tags."""
        spoken = self.guard.followed_by(self.rendered, answer)
        segments = _segments(self.guard.pieces(spoken))
        return (*self.before, *(replace(part, text=revealed(part.text)) for part in segments))

    def behind(self, text: str, segments: tuple[Segment, ...]) -> Prompt:
        """It behind an earlier conversation: its text, its segments if that is not enough."""
        if segments:
            ahead = (*segments, *self.segments)
            return replace(self, segments=ahead, before=segments, before_text=text)
        rendered = self.rendered.behind(text)
        return replace(self, rendered=rendered, segments=_segments(self.guard.pieces(rendered)))


def text_guard(model: Model, info: Loaded) -> TextGuard:
    """What keeps contents from becoming special tokens of this model."""
    return TextGuard(reserved(info.control_texts, info.user_defined_texts), own_tags(model))


def literal_segments(guard: TextGuard, text: str) -> tuple[TextSegment, ...]:
    """A text in which no special tokens are, whatever it says."""
    pieces = guard.pieces(guard.literal(text))
    return tuple(TextSegment(piece.text, parse_special=False, seam=piece.seam) for piece in pieces)


def _segments(pieces: tuple[Piece, ...]) -> tuple[TextSegment, ...]:
    return tuple(TextSegment(piece.text, not piece.literal, piece.seam) for piece in pieces)
