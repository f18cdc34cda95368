"""Calls of the API that the `ollama` client has no method for: one answer, or a stream of steps.

Errors of the server are raised as the client raises them; `failures` turns both into ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ollama_nb.connection.bodies import as_json
from ollama_nb.connection.current import current, forget
from ollama_nb.connection.lines import ACCEPT, documents
from ollama_nb.connection.phases import EXTRAS
from ollama_nb.connection.responses import raise_error
from ollama_nb.errors import ServerNotReady, ServerWentAway

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping

    from ollama_nb.connection.connection import Connection

JSON = {"Content-Type": "application/json"}
SUCCESS = "success"

T = TypeVar("T")


def reachable() -> Connection:
    """Return the connection in use if its server still answers, else look for a server again.

    For calls that are too long, or too far-reaching, to be simply tried twice.
    """
    connection = current()
    if connection.probe() is not None:
        forget(connection)
        connection = current()
    return connection


def once_more(call: Callable[[], T]) -> T:
    """Call; where the connection turns out to be lost, look for a server and call again.

    One that was waited for in vain is not waited for twice.
    """
    try:
        return call()
    except ServerNotReady:
        raise
    except ServerWentAway:
        return call()


async def once_more_async(call: Callable[[], Awaitable[T]]) -> T:
    """Call on an event loop, otherwise as `once_more`."""
    try:
        return await call()
    except ServerNotReady:
        raise
    except ServerWentAway:
        return await call()


def asked(
    connection: Connection, route: str, body: Mapping[str, Any], *, method: str = "POST"
) -> dict[str, Any]:
    """Post a body and return the answer; where there is none, as of a copy, it is empty.

    Raises
    ------
    ollama.ResponseError, httpx.TransportError, ValueError
        Meant for `translated`.
    """
    response = connection.http.request(
        method, route, content=as_json(body), headers={**JSON, **ACCEPT, **EXTRAS}, timeout=None
    )
    raise_error(response)
    answer: dict[str, Any] = response.json() if response.content else {}
    return answer


def steps(
    connection: Connection, route: str, body: Mapping[str, Any]
) -> Generator[dict[str, Any], None, None]:
    """Post a body and yield the steps that the server reports; closing this stops the server.

    Raises
    ------
    ollama.ResponseError, httpx.TransportError, ValueError
        Meant for `translated`; the first also for a stream that ends without success.
    """
    import ollama

    step: dict[str, Any] = {}
    call: dict[str, Any] = {
        "content": as_json(body),
        "headers": {**JSON, **ACCEPT},
        "timeout": None,
    }
    with connection.http.stream("POST", route, **call) as response:
        if response.is_error:
            response.read()
            raise_error(response)
        for step in documents(response):
            if error := step.get("error"):
                raise ollama.ResponseError(str(error), response.status_code)
            yield step
    if step.get("status") != SUCCESS:
        raise ollama.ResponseError("the server ended before it had succeeded", 200)
