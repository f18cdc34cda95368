"""How many connections there may be at once: who connects and says nothing takes a place too."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from tornado import httpserver, iostream

SILENT_S = 120.0  # without the head of a request, or of a next one; more than clients keep one idle
SENTENCE = b'{"error":"too many connections to this server: try again soon"}'
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json; charset=utf-8\r\n"
    b"Retry-After: 5\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
    % (len(SENTENCE), SENTENCE)
)


class BoundedServer(httpserver.HTTPServer):
    """Tornado's server with so many connections at most; `max_connections` 0: any number."""

    max_connections = 0

    def handle_stream(self, stream: iostream.IOStream, address: Any) -> None:
        """Serve a connection, or say why not and close it."""
        if not 0 < self.max_connections <= len(self._connections):
            super().handle_stream(stream, address)
            return
        with suppress(iostream.StreamClosedError):
            stream.write(REFUSAL).add_done_callback(lambda sent: sent.exception())
        stream.close()
