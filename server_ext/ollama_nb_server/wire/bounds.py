"""How much a request may ask for: beyond it one user's request would harm all others.

`BOUNDS` is the table that docs/http-api.md shows. What Ollama itself refuses or cuts is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ollama_nb_server.engine.images.header import (
    MAX_ASPECT_RATIO,
    MAX_IMAGE_PIXELS,
    MAX_IMAGE_SIDE,
)
from ollama_nb_server.environment import MAX_DURATION_S
from ollama_nb_server.sharing import Sharing

MAX_BODY_BYTES = 256 << 20  # of anything but a blob
MAX_VALUES = 2_000_000  # reading so many takes a tenth of a second, for which everybody waits
MAX_DEPTH = 200  # orjson writes no more than 254
MAX_DIGITS = 308  # before the point of a number: Go's float64 ends there
MAX_MESSAGES = 10_000
MAX_TOOLS = 1000
MAX_TEXT_CHARS = 16 << 20  # about 4 million tokens, which take ten seconds to find
MAX_TEXTS = 50_000
MAX_PROMPTS, MAX_CHOICES, MAX_CHOICE_CHARS = 10_000, 1000, 65_536
MAX_SCORED_CHARS = 2_000_000  # of all choices behind all prompts: an answer of 100 MB at most
MAX_IMAGE_CHARS = 64 << 20
MAX_STOPS, MAX_STOP_CHARS = 1000, 65_536  # every token's text is held against each of them
MAX_DURATION_CHARS = 100
MAX_INT64 = 2**63 - 1
MAX_INT, MAX_FLOAT = 2**31 - 1, 3.4e38  # llama.cpp's int32 and float32
MAX_SENTENCE_CHARS = 4000


@dataclass(frozen=True, slots=True)
class Bound:
    """One row: what is bounded, where it ends, and what happens beyond."""

    what: str
    most: str
    beyond: str


BOUNDS = (
    Bound("a body, but for a blob's", f"{MAX_BODY_BYTES >> 20} MiB", "413"),
    Bound(
        "bodies of all requests under way, together",
        f"{Sharing().max_bodies_mb:,} MB (`max_bodies_mb`)",
        "503",
    ),
    Bound("commas and brackets in a body", f"{MAX_VALUES:,}", "400"),
    Bound("depth of a body", f"{MAX_DEPTH} brackets", "400"),
    Bound("digits of a number", f"{MAX_DIGITS}", "400"),
    Bound("whole numbers (`context`, `dimensions`, ...)", "64 bits", "400"),
    Bound("`messages`", f"{MAX_MESSAGES:,}", "400"),
    Bound("a text to be read by a model", f"{MAX_TEXT_CHARS:,} letters", "400"),
    Bound("`tools`", f"{MAX_TOOLS:,}", "400"),
    Bound("one of `images`", f"{MAX_IMAGE_CHARS >> 20} MiB in base64", "400"),
    Bound(
        "pixels of an image",
        f"{MAX_IMAGE_PIXELS:,}, {MAX_IMAGE_SIDE:,} a side, "
        f"one side {MAX_ASPECT_RATIO} times the other",
        "400",
    ),
    Bound("`input`", f"{MAX_TEXTS:,} texts", "400"),
    Bound("`texts`", f"{MAX_TEXTS:,} texts, {MAX_TEXT_CHARS:,} letters together", "400"),
    Bound("`prompts`", f"{MAX_PROMPTS:,} texts, {MAX_TEXT_CHARS:,} letters together", "400"),
    Bound("`choices`", f"{MAX_CHOICES:,} texts, {MAX_CHOICE_CHARS:,} letters together", "400"),
    Bound("prompts times the letters of `choices`", f"{MAX_SCORED_CHARS:,}", "400"),
    Bound("`context`", "tokens that the model has", "400"),
    Bound("`keep_alive` as a number", f"{MAX_DURATION_S:.0f} s", "for good"),
    Bound("`keep_alive` as text", f"{MAX_DURATION_S:.0f} s, {MAX_DURATION_CHARS} letters", "400"),
    Bound("`options.stop`", f"{MAX_STOPS:,} texts, {MAX_STOP_CHARS:,} letters together", "400"),
    Bound("`options.repeat_last_n`", "the context", "the context"),
    Bound("`options.seed`", "64 bits, of which 32 count", "the nearest"),
    Bound("other whole numbers in `options`", f"±{MAX_INT:,}", "the nearest"),
    Bound("other numbers in `options`", f"±{MAX_FLOAT:g}", "the nearest"),
    Bound("an error's sentence", f"{MAX_SENTENCE_CHARS:,} letters", "cut"),
)
