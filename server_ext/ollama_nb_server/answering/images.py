"""A request's images: whether its model may see them, and their places in the prompt.

Where they belong is written in the text (`image_tags`); reading them is the engine's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ollama_nb_server.engine.images.header import checked_header
from ollama_nb_server.engine.messages import ImageSegment, Segment, TextSegment
from ollama_nb_server.library.model import Model
from ollama_nb_server.prompts.image_tags import revealed, split_at_tags
from ollama_nb_server.wire.errors import (
    ImagesUnsupported,
    ImageWithoutPlace,
    OneImageOnly,
    ProjectorUnsupported,
    VisionTowerInside,
)

TOKENS_PER_IMAGE = 768  # as Ollama counts them where it drops old messages (reference 6.3)
SINGLE = "mllama"  # a family whose models take one image a message
# Kinds of projectors whose rows depend on what stands before the image, and from how many images
# on: on its place in blocks of four tokens, on its number. That is not computed here.
BY_PLACE = {"deepseek4v": 1, "hunyuanvl": 2}
KIND_KEYS = ("clip.projector_type", "clip.vision.projector_type")


def refuse_images(model: Model, messages: Sequence[Sequence[bytes]]) -> None:
    """Images, by message, need a model that sees, and must be such as may be decoded.

    Raises
    ------
    ImagesUnsupported, VisionTowerInside, OneImageOnly, ProjectorUnsupported, ImageRefused
    """
    images = [image for message in messages for image in message]
    if not images:
        return
    if "vision" not in model.capabilities:
        raise ImagesUnsupported(model.name.display)
    if SINGLE in (model.details.families or ()) and max(map(len, messages)) > 1:
        raise OneImageOnly
    if not model.projectors:
        raise VisionTowerInside(model.name.display)
    values = model.projector.values if model.projector else {}
    for kind in (values[key] for key in KIND_KEYS if key in values):
        if len(images) >= BY_PLACE.get(str(kind), len(images) + 1):
            raise ProjectorUnsupported(str(kind), BY_PLACE[str(kind)] - 1)
    for number, image in enumerate(images, 1):
        checked_header(image, number)


def with_images(prompt: Sequence[Segment], images: Sequence[bytes]) -> tuple[Segment, ...]:
    """A prompt with images in place of their tags.

    Raises
    ------
    ImageWithoutPlace
        If one has no tag: the request's own text or template decides where they are.
    """
    if not images:
        return tuple(prompt)
    missing = set(range(len(images)))
    placed = [part for segment in prompt for part in _placed(segment, images, missing)]
    if missing:
        raise ImageWithoutPlace(min(missing))
    return tuple(placed)


def _placed(segment: Segment, images: Sequence[bytes], missing: set[int]) -> Iterator[Segment]:
    if not isinstance(segment, TextSegment):
        yield segment
        return
    for piece in split_at_tags(segment.text, missing):
        if isinstance(piece, int):
            yield ImageSegment(images[piece])
        else:
            yield replace(segment, text=revealed(piece))
