"""What answers mean: redirects, errors, bodies that are too large, and why there is none."""

from __future__ import annotations

import errno
import os
import socket
import ssl

import httpx

from ollama_nb_server.registry.errors import (
    CutShort,
    FileDoesNotExist,
    Refused,
    UnexpectedAnswer,
    Unreachable,
)

REDIRECTS = frozenset({301, 302, 303, 307, 308})


def redirect(response: httpx.Response) -> httpx.URL | None:
    """Where an answer sends the client, if it does."""
    location = response.headers.get("Location")
    if response.status_code not in REDIRECTS or not location:
        return None
    try:
        return response.url.join(location)
    except httpx.InvalidURL as error:
        raise unreachable("GET", response.url, error) from error


async def raise_for(response: httpx.Response, limit: int) -> None:
    """Raise what a status from 400 on means, with the beginning of what the server says."""
    if response.status_code == 404:
        raise FileDoesNotExist
    if response.status_code >= 400:
        body = b""
        try:
            async for piece in response.aiter_raw():
                body += bytes(piece)
                if len(body) >= limit:
                    break
        except httpx.TransportError:
            pass  # the status says enough
        raise Refused(response.status_code, body[:limit].decode("utf-8", "replace").strip())


async def bounded(response: httpx.Response, limit: int) -> bytes:
    """A body of at most so many bytes.

    Raises
    ------
    UnexpectedAnswer
        If it is larger.
    CutShort
        If the connection ends too early.
    """
    body = b""
    try:
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > limit:
                place = shown(response.url)
                raise UnexpectedAnswer(f'"{place}" answers with more than {limit} bytes')
    except httpx.TransportError as error:
        raise CutShort(str(error) or "unexpected EOF") from error
    return body


def shown(url: httpx.URL) -> str:
    """An address without what may be secret in it: its query, a user and a password."""
    return str(url.copy_with(query=None, fragment=None, userinfo=b""))


def unreachable(method: str, url: httpx.URL, error: Exception) -> Unreachable:
    """Why there was no answer, in words that help."""
    temporary = isinstance(error, httpx.TransportError) and not isinstance(
        error, httpx.ConnectError | httpx.UnsupportedProtocol | httpx.ProxyError
    )
    return Unreachable(method, shown(url), _cause(error), temporary=temporary)


def _cause(error: BaseException) -> str:
    """The innermost reason that is known."""
    text, link = str(error) or type(error).__name__, error.__cause__ or error.__context__
    while link is not None:
        if isinstance(link, ssl.SSLError):
            return _tls_cause(link)
        if isinstance(link, socket.gaierror):
            return "no such host, or no network"
        if isinstance(link, OSError) and link.errno is not None and link.errno in errno.errorcode:
            text = os.strerror(link.errno).lower()
        inner = getattr(link, "exceptions", ())
        link = inner[0] if inner else link.__cause__ or link.__context__
    return text


def _tls_cause(error: ssl.SSLError) -> str:
    if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
        return (
            'http: server gave HTTP response to HTTPS client; say "insecure": true for a registry '
            "without TLS"
        )
    return f"tls: {getattr(error, 'verify_message', '') or error.reason or error}"
