"""Paths that no route has: 404 in Ollama's words, or a redirect to the path that was meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from http.client import responses

from ollama_nb_server.handlers.base import ApiHandler, Route
from ollama_nb_server.handlers.writing import TEXT


async def missing(routes: Sequence[Route], handler: ApiHandler) -> None:
    """Answer 404; a trailing or a doubled slash is redirected as Ollama's router does."""
    prefix = handler.prefix
    path = handler.request.path[len(prefix) :]
    cleaned = re.sub(r"/{2,}", "/", path)
    bare = cleaned.rstrip("/") or "/"
    known = any(re.fullmatch(route.path, bare) for route in routes)
    if known and cleaned != path:
        _redirect(handler, prefix + cleaned, 307)
    elif known and bare != path:
        _redirect(handler, prefix + bare, 301 if handler.request.method == "GET" else 307)
    else:
        handler.send(b"404 page not found", TEXT, 404)


def _redirect(handler: ApiHandler, path: str, status: int) -> None:
    query = f"?{handler.request.query}" if handler.request.query else ""
    handler.set_header("Location", path + query)
    if handler.request.method != "GET":
        handler.send(b"", None, status)
        return
    link = f'<a href="{escape(path + query)}">{responses[status]}</a>.\n\n'
    handler.send(link.encode(), "text/html; charset=utf-8", status)
