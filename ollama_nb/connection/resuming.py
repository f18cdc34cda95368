"""A stream whose connection was lost is gone on with, where the server has kept it for us.

Any other server ignores what we ask for, and a cut is an error there.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from ollama_nb.connection.calling import raise_error
from ollama_nb.connection.lines import ACCEPT, documents
from ollama_nb.connection.patience import PAUSES_S, TOTAL_S

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    import httpx

RESUME = {"X-Ollama-Nb-Resume": "1"}
STREAM_HEADER = "X-Ollama-Nb-Stream"
CANCEL_TIMEOUT_S = 3.0


def whole_stream(http: httpx.Client, call: Mapping[str, Any]) -> Generator[Any, None, None]:
    """Yield the documents of a stream, over as many connections as it takes.

    Closing this stops the server.

    Raises
    ------
    ollama.ResponseError, httpx.TransportError, ValueError
        Meant for `translated`.
    """
    import httpx

    stream, count, is_done, since_s = "", 0, False, 0.0
    try:
        while not is_done:
            try:
                with http.stream(**call) as response:
                    if response.is_error:
                        response.read()
                    raise_error(response)
                    stream = stream or response.headers.get(STREAM_HEADER, "")
                    for document in documents(response):
                        count, since_s = count + 1, 0.0
                        is_done = is_last(document)
                        yield document
                if is_done or not stream:
                    return
            except httpx.TransportError:
                if not stream or is_done:
                    raise
                since_s = since_s or time.monotonic()
                if time.monotonic() - since_s > TOTAL_S:
                    raise
                time.sleep(PAUSES_S[0])
            call = {
                "method": "GET",
                "url": f"/api/stream/{stream}?from={count}",
                "headers": ACCEPT,
                "timeout": None,
            }
    finally:
        if stream and not is_done:
            with contextlib.suppress(httpx.HTTPError):
                http.post(f"/api/cancel/{stream}", timeout=CANCEL_TIMEOUT_S)


def is_last(document: Any) -> bool:
    """Whether nothing comes behind it."""
    return isinstance(document, dict) and bool(document.get("done") or "error" in document)
