"""How many connections there may be at once: who connects and says nothing is the first to go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from tornado import httpserver, httputil, iostream
from tornado.http1connection import HTTP1ServerConnection

SILENT_S = 120.0  # without the head of a request, or of a next one; more than clients keep one idle
SENTENCE = b'{"error":"too many connections to this server: try again soon"}'
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json; charset=utf-8\r\n"
    b"Retry-After: 5\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
    % (len(SENTENCE), SENTENCE)
)


class BoundedServer(httpserver.HTTPServer):
    """Tornado's server with so many connections at most; `max_connections` 0: any number.

    Where there are as many, a new one takes the place of the one that has been silent for longest;
    it is refused where all of them have a request under way.
    """

    max_connections = 0

    def initialize(self, *arguments: Any, **more: Any) -> None:
        """Begin with no connection."""
        super().initialize(*arguments, **more)
        # Those without a request's head by now, the longest first.
        self._silent: dict[iostream.IOStream, None] = {}

    def handle_stream(self, stream: iostream.IOStream, address: Any) -> None:
        """Serve a connection, or say why not and close it."""
        if not 0 < self.max_connections <= len(self._connections) or self._made_room():
            self._silent[stream] = None
            super().handle_stream(stream, address)
            return
        with suppress(iostream.StreamClosedError):
            stream.write(REFUSAL).add_done_callback(lambda sent: sent.exception())
        stream.close()

    def _made_room(self) -> bool:
        """Close the connection that has been silent for longest, if there is one."""
        silent = next(iter(self._silent), None)
        if silent is None:
            return False
        del self._silent[silent]
        silent.close()
        return True

    def start_request(
        self, server_conn: object, request_conn: httputil.HTTPConnection
    ) -> httputil.HTTPMessageDelegate:
        """Wait for the next request of a connection, which is silent until its head is here."""
        stream = _stream(server_conn)
        self._silent[stream] = None
        delegate = super().start_request(server_conn, request_conn)
        return _Noticing(delegate, lambda: self._silent.pop(stream, None))

    def on_close(self, server_conn: object) -> None:
        """Forget a connection."""
        self._silent.pop(_stream(server_conn), None)
        super().on_close(server_conn)


def _stream(connection: object) -> iostream.IOStream:
    assert isinstance(connection, HTTP1ServerConnection)
    return connection.stream


class _Noticing(httputil.HTTPMessageDelegate):
    """Hands a request on, and tells when its head has come."""

    def __init__(
        self, delegate: httputil.HTTPMessageDelegate, has_come: Callable[[], object]
    ) -> None:
        self._delegate, self._has_come = delegate, has_come

    def headers_received(
        self,
        start_line: httputil.RequestStartLine | httputil.ResponseStartLine,
        headers: httputil.HTTPHeaders,
    ) -> Awaitable[None] | None:
        self._has_come()
        return self._delegate.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._delegate.data_received(chunk)

    def finish(self) -> None:
        self._delegate.finish()

    def on_connection_close(self) -> None:
        self._delegate.on_connection_close()
