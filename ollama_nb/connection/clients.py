"""HTTP clients that ask again where a server is away for a moment, whatever it is asked for.

When that is, and for how long, is said in `patience`. Imported where a client is made: httpx takes
its time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx

from ollama_nb.connection.patience import Patience, pause, return_s

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
        patience = _patience_for(request)
        while True:
            response = super().send(request, **how)
            length_s = None if patience is None else patience.pause_s(return_s(response))
            if length_s is None:
                return response
            response.close()
            _tell(request)
            pause.get()(length_s)


class PatientAsyncClient(httpx.AsyncClient):
    """Waits on an event loop; cancelling the task ends that."""

    async def send(self, request: httpx.Request, **how: Any) -> httpx.Response:
        """Send a request, again and again as long as its answer says that it is worth it."""
        patience = _patience_for(request)
        while True:
            response = await super().send(request, **how)
            length_s = None if patience is None else patience.pause_s(return_s(response))
            if length_s is None:
                return response
            await response.aclose()
            _tell(request)
            await asyncio.sleep(length_s)


def _patience_for(request: httpx.Request) -> Patience | None:
    """None for one that cannot be sent twice, because its body is made as it goes."""
    if request.extensions.get(AT_ONCE) or not isinstance(request.stream, httpx.ByteStream):
        return None
    return Patience()


def _tell(request: httpx.Request) -> None:
    if tell := request.extensions.get(TELL):
        tell()
