"""HTTP clients that ask again where a server is away for a moment, whatever it is asked for.

When that is, and for how long, is said in `patience`. Imported where a client is made: httpx takes
its time.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from ollama_nb.connection.patience import CROWDED_S, Patience, crowded_s, pause, return_s

if TYPE_CHECKING:
    from collections.abc import Mapping

# Extensions of a request, as httpx calls what is said about one and not sent.
TELL = "ollama_nb.tell"  # a function that is called before each pause
AT_ONCE = "ollama_nb.at_once"  # true: do not wait
IMPATIENT: Mapping[str, Any] = {AT_ONCE: True}


class PatientClient(httpx.Client):
    """Waits where a server is away; Ctrl-C ends that."""

    def send(self, request: httpx.Request, **how: Any) -> httpx.Response:
        """Send a request, again and again as long as its answer says that it is worth it."""
        waits = _waits_of(request)
        while True:
            response = super().send(request, **how)
            length_s = None if waits is None else waits.length_s(response)
            if length_s is None:
                return response
            response.close()
            _tell(request)
            pause.get()(length_s)


class PatientAsyncClient(httpx.AsyncClient):
    """Waits on an event loop; cancelling the task ends that."""

    async def send(self, request: httpx.Request, **how: Any) -> httpx.Response:
        """Send a request, again and again as long as its answer says that it is worth it."""
        waits = _waits_of(request)
        while True:
            response = await super().send(request, **how)
            length_s = None if waits is None else waits.length_s(response)
            if length_s is None:
                return response
            await response.aclose()
            _tell(request)
            await asyncio.sleep(length_s)


@dataclass(slots=True)
class _Waits:
    """How long a request still waits for a server that is away, or until it is let in."""

    away: Patience = field(default_factory=Patience)
    outside: Patience = field(default_factory=lambda: Patience(total_s=CROWDED_S))

    def length_s(self, response: httpx.Response) -> float | None:
        """Seconds until the next try; None if there is none."""
        if (named_s := crowded_s(response)) is not None:
            return self.outside.pause_s(named_s)
        return self.away.pause_s(return_s(response))


def _waits_of(request: httpx.Request) -> _Waits | None:
    """None for one that cannot be sent twice, because its body is made as it goes."""
    if request.extensions.get(AT_ONCE) or not isinstance(request.stream, httpx.ByteStream):
        return None
    return _Waits()


def _tell(request: httpx.Request) -> None:
    if tell := request.extensions.get(TELL):
        tell()
