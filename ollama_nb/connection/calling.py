"""Calls of the API that the `ollama` client has no method for: one answer, or a stream of steps.

Errors of the server are raised as the client raises them; `failures` turns both into ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.connection.bodies import as_json
from ollama_nb.connection.current import current, forget
from ollama_nb.connection.lines import ACCEPT, documents
from ollama_nb.connection.patience import return_s
from ollama_nb.connection.phases import EXTRAS

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    import httpx

    from ollama_nb.connection.connection import Connection

JSON = {"Content-Type": "application/json"}
SUCCESS = "success"
RETRY_AT_HEADER = "X-Ollama-Nb-Retry-At"  # of a quota that is used up
LONGEST_ERROR_BYTES = 100_000


def reachable() -> Connection:
    """Return the connection in use if its server still answers, else look for a server again.

    For calls that are too long, or too far-reaching, to be simply tried twice.
    """
    connection = current()
    if connection.probe() is not None:
        forget(connection)
        connection = current()
    return connection


def asked(connection: Connection, route: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Post a body and return the answer.

    Raises
    ------
    ollama.ResponseError, httpx.TransportError, ValueError
        Meant for `translated`.
    """
    response = connection.http.post(
        route, content=as_json(body), headers={**JSON, **EXTRAS}, timeout=None
    )
    raise_error(response)
    answer: dict[str, Any] = response.json()
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


def raise_error(response: httpx.Response) -> None:
    """Raise what the `ollama` client would raise for this response, if it is an error."""
    import ollama

    if response.is_error:
        error = ollama.ResponseError(response.text[:LONGEST_ERROR_BYTES], response.status_code)
        error.return_s = return_s(response)  # type: ignore[attr-defined]
        error.retry_at = response.headers.get(RETRY_AT_HEADER)  # type: ignore[attr-defined]
        raise error
