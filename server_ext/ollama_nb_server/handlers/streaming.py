"""How the documents of a stream follow one another: as lines, or as server-sent events.

Proxies hold lines back until the answer is over (jupyter-server-proxy does), but not events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UNBUFFERED = {"X-Accel-Buffering": "no"}  # nginx's word for "pass it on at once"


@dataclass(frozen=True, slots=True)
class Streaming:
    """What stands around each document, and the headers that say so."""

    media_type: str
    before: bytes
    after: bytes
    more: Mapping[str, str]

    @property
    def headers(self) -> dict[str, str]:
        """Of the response."""
        return {"Content-Type": self.media_type, **UNBUFFERED, **self.more}

    def framed(self, document: bytes) -> bytes:
        """A document, which has no line feed in it, as it is written."""
        return self.before + document + self.after


NDJSON = Streaming("application/x-ndjson", b"", b"\n", {})
EVENTS = Streaming("text/event-stream", b"data: ", b"\n\n", {"Cache-Control": "no-cache"})


def streaming_for(accept: str) -> Streaming:
    """Events for a client that asks for them and not for lines (RFC 9110, 12.5.1); else lines."""
    wanted = {kind for kind, quality in _media_types(accept) if quality > 0}
    return EVENTS if EVENTS.media_type in wanted and NDJSON.media_type not in wanted else NDJSON


def _media_types(accept: str) -> list[tuple[str, float]]:
    """Each media type of an `Accept` with its quality, 1 where that is not said or not readable."""
    found = []
    for item in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in item.split(";"))
        qualities = [text[2:].strip() for text in parameters if text.startswith("q=")]
        found.append((kind, _number(qualities[0]) if qualities else 1.0))
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0
