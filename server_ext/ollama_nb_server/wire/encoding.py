"""JSON as it goes out: one line, whatever a reader takes for the end of a line.

The only place that encodes what clients read; fields and their order are each message's own.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

# Python's `splitlines`, and so every NDJSON reader built on it, ends a line at these as well. JSON
# lets them stand in a text as they are; the others that end a line, it escapes anyway.
LINE_ENDS = (
    (b"\xc2\x85", b"\\u0085"),
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
)


def encoded(document: Any) -> bytes:
    """A document in UTF-8; NumPy's arrays are lists, 32-bit floats in their shortest form."""
    try:
        text = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError:
        text = _slowly(document)
    for letter, escape in LINE_ENDS:
        text = text.replace(letter, escape)
    return text


def _slowly(document: Any) -> bytes:
    """With what orjson refuses: long numbers, and lone surrogates (undecodable file names)."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
