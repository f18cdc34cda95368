"""Where the API is, said to who leaves `/ollama` out inside Jupyter, in JSON instead of a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.handlers.base import ApiHandler, Route
from ollama_nb_server.handlers.body_memory import BodyMemory

BELOW = ("/api/", "/v1/")
OF_JUPYTER = frozenset({"/api/status", "/api/me"})  # both have these; Jupyter answers them
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


async def hint(handler: ApiHandler) -> None:
    """Answer 404 with the path that was meant and the address that clients want."""
    base = handler.prefix
    address = f"{handler.request.protocol}://{handler.request.host}{base}/ollama"
    path = handler.request.path[len(base) :]
    handler.refuse(
        404,
        f"Jupyter has nothing at {base}{path}: Ollama's API is below {base}/ollama here, so this "
        f"is {base}/ollama{path}, and OLLAMA_HOST (or the client's address) is {address}",
    )


def hints(
    access: type[Any], base: str, routes: Sequence[Route], app: Callable[[], Awaitable[AppContext]]
) -> list[tuple[str, type[ApiHandler], dict[str, Any]]]:
    """Tornado's list of handlers for the routes that Jupyter itself does not have."""
    kind = type("Hint", (ApiHandler, access), {})
    verbs, bodies = dict.fromkeys(METHODS, hint), BodyMemory()
    return [
        (f"{base}{route.path}", kind, {"route": told, "app": app, "bodies": bodies, "prefix": base})
        for route in routes
        if route.path.startswith(BELOW) and route.path not in OF_JUPYTER
        for told in [Route(route.path, route.name, verbs, route.style)]
    ]
