"""The one table of routes, and the handler classes that both apps make of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.handlers import blobs, verbs
from ollama_nb_server.handlers.base import ApiHandler, Route
from ollama_nb_server.handlers.body_memory import BodyMemory
from ollama_nb_server.handlers.missing import missing
from ollama_nb_server.handlers.rights import Right
from ollama_nb_server.scheduling.usage import Account


def _get(path: str, name: str, verb: Any, *, head: bool = False, right: Right = Right.USE) -> Route:
    return Route(path, name, {"GET": verb, **({"HEAD": verb} if head else {})}, right=right)


def _post(
    path: str, name: str, verb: Any, style: str = "native", right: Right = Right.USE
) -> Route:
    return Route(path, name, {"POST": verb}, style, right)


ROUTES: tuple[Route, ...] = (
    _get("/", "root", verbs.root, head=True),
    _get("/api/version", "version", verbs.version, head=True),
    _get("/api/status", "status", verbs.status),
    _get("/metrics", "metrics", verbs.metrics, right=Right.WATCH),
    _post("/api/generate", "generate", verbs.generate),
    _post("/api/chat", "chat", verbs.chat),
    Route("/api/stream/([^/]+)", "stream", {"GET": verbs.stream}, goes_on=True),
    Route("/api/cancel/([^/]+)", "cancel", {"POST": verbs.cancel}, goes_on=True),
    _post("/api/embed", "embed", verbs.embed),
    _post("/api/embeddings", "embeddings", verbs.embeddings),
    _post("/api/score", "score", verbs.score),
    _post("/api/tokenize", "tokenize", verbs.tokenize),
    _post("/api/detokenize", "detokenize", verbs.detokenize),
    _get("/api/usage", "usage", verbs.usage),
    _get("/api/tags", "tags", verbs.tags, head=True),
    _post("/api/show", "show", verbs.show),
    _get("/api/ps", "ps", verbs.ps),
    _post("/api/copy", "copy", verbs.copy, right=Right.MAKE),
    Route("/api/delete", "delete", {"DELETE": verbs.delete}, right=Right.MAKE),
    _post("/api/create", "create", verbs.create, right=Right.MAKE),
    Route(
        "/api/blobs/([^/]+)",
        "blobs",
        {"HEAD": verbs.head_blob, "POST": blobs.upload},
        right=Right.MAKE,
    ),
    _post("/api/pull", "pull", verbs.pull, right=Right.MANAGE),
    _post("/api/push", "push", verbs.push, right=Right.MANAGE),
    _post("/api/me", "me", verbs.no_account),
    _post("/api/signout", "signout", verbs.no_account),
    Route("/api/user/keys/[^/]+", "user/keys", {"DELETE": verbs.no_account}),
    _post("/api/experimental/web_search", "web_search", verbs.web_search),
    _post("/api/experimental/web_fetch", "web_fetch", verbs.web_fetch),
    _get("/api/experimental/model-recommendations", "model-recommendations", verbs.recommendations),
    _post("/v1/chat/completions", "v1/chat/completions", verbs.compatible, "openai"),
    _post("/v1/completions", "v1/completions", verbs.compatible, "openai"),
    _post("/v1/responses", "v1/responses", verbs.compatible, "openai"),
    _post("/v1/embeddings", "v1/embeddings", verbs.compatible, "openai"),
    Route("/v1/models", "v1/models", {"GET": verbs.compatible}, "openai"),
    Route("/v1/models/[^/]+", "v1/models", {"GET": verbs.compatible}, "openai"),
    _post("/v1/audio/transcriptions", "v1/audio/transcriptions", verbs.compatible, "openai"),
    _post("/v1/messages", "v1/messages", verbs.compatible, "anthropic"),
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
MISSING = Route("/.*", "missing", dict.fromkeys(METHODS, partial(missing, ROUTES)))


def handlers(
    access: type[Any],
    prefix: str,
    app: Callable[[], Awaitable[AppContext]],
    account: Account,
) -> list[tuple[str, type[ApiHandler], dict[str, Any]]]:
    """Tornado's list of handlers below a prefix, for one way of access."""
    plain = type("Api", (ApiHandler, access), {})
    uploading = type("Upload", (blobs.Uploading, access), {})
    bodies = BodyMemory()
    made = []
    for route in (*ROUTES, MISSING):
        kind = uploading if route.name == "blobs" else plain
        path = f"{prefix}{route.path}"
        if route.path == "/" and prefix:
            path = f"{prefix}/?"
        told = {"route": route, "app": app, "bodies": bodies, "account": account}
        made.append((path, kind, told | {"prefix": prefix}))
    return made
