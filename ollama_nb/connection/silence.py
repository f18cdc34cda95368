"""Streams whose server has died behind a proxy that does not tell.

The Hub's proxy leaves a client's connection open when the server behind it ends in mid-answer.
Our server says how long it is silent at most, heartbeats included; no other server is timed.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

HEARTBEAT_HEADER = "X-Ollama-Nb-Heartbeat"  # seconds
MISSED = 6  # heartbeats
SHORTEST_S = 20.0  # a server on a busy machine is late


@contextlib.contextmanager
def ending_in_silence(response: httpx.Response) -> Iterator[None]:
    """Have reading the response fail where its server has not said anything for too long.

    Raises
    ------
    httpx.ReadTimeout
        Which says for how long.
    """
    import httpx

    longest_s = _longest_s(response.headers.get(HEARTBEAT_HEADER, ""))
    if longest_s is None:
        yield
        return
    # httpx has one time limit for the head of a response and for each piece of its body; the body's
    # reader looks it up when it begins.
    response.request.extensions["timeout"]["read"] = longest_s
    try:
        yield
    except httpx.ReadTimeout:
        sentence = f"nothing has come for {longest_s:g} s"
        raise httpx.ReadTimeout(sentence, request=response.request) from None


def _longest_s(told: str) -> float | None:
    try:
        return max(SHORTEST_S, MISSED * float(told))
    except ValueError:
        return None
