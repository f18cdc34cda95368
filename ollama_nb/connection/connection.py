"""`Connection`: a server, the clients that reach it, and whether it answers.

Which server that is, is found in `searching` and kept in `current`.
"""

from __future__ import annotations

import weakref
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from ollama_nb.connection.phases import EXTRAS

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    import httpx
    import ollama

    from ollama_nb.connection.places import Candidate

PROBE_TIMEOUT_S = 3.0
LISTING_TIMEOUT_S = 30.0
WARNINGS_HEADER = "X-Ollama-Nb-Warnings"
FIELDS_HEADER = "X-Ollama-Nb-Fields"


def _without_key(request: httpx.Request) -> None:
    request.headers.pop("Authorization", None)


class Connection:
    """A server that has answered, and clients that reach it, which are closed with it.

    Attributes
    ----------
    url : str
        Base address; Ollama's routes are below it (`{url}/api/...`).
    headers : dict
        What every request carries: the token, if there is one.
    how : str
        The place where the server was found.
    version : str
        The version that the server names.
    extensions : frozenset of str
        The fields of requests that Ollama does not have; only ollama_nb's own server has some.
    """

    def __init__(self, candidate: Candidate, how: str) -> None:
        self.candidate = candidate
        self.url = candidate.url
        self.how = how
        self.headers = {"Authorization": f"Bearer {candidate.token}"} if candidate.token else {}
        self.version = ""
        self.extensions: frozenset[str] = frozenset()
        self.warnings: list[str] = []

    @cached_property
    def http(self) -> httpx.Client:
        """A plain HTTP client for the server, for what `client` has no method for."""
        import httpx

        hooks, transport = self._hooks(), self._transport()
        client = httpx.Client(
            base_url=self.url, headers=self.headers, event_hooks=hooks, **transport
        )
        weakref.finalize(self, client.close)
        return client

    @cached_property
    def client(self) -> ollama.Client:
        """The `ollama` package's client, ready to use."""
        import ollama

        hooks, transport = self._hooks(), self._transport()
        if not self.headers:  # the package would send OLLAMA_API_KEY, which is another server's
            hooks["request"] = [_without_key]
        client = ollama.Client(self.url, headers=self.headers, event_hooks=hooks, **transport)
        weakref.finalize(self, client.close)
        return client

    def async_http(self) -> httpx.AsyncClient:
        """Return a new asynchronous client, for one event loop."""
        import httpx

        transport = self._transport("Async")
        return httpx.AsyncClient(base_url=self.url, headers=self.headers, **transport)

    def _transport(self, kind: str = "") -> dict[str, Any]:
        """Return the httpx arguments that the way to this server needs."""
        import httpx

        arguments: dict[str, Any] = {"trust_env": not self.candidate.is_local}
        arguments["verify"] = False if self.candidate.self_signed else _certificates()
        if self.candidate.socket:
            transport = httpx.AsyncHTTPTransport if kind else httpx.HTTPTransport
            arguments["transport"] = transport(uds=self.candidate.socket)
        return arguments

    def _hooks(self) -> dict[str, list[Callable[[Any], None]]]:
        """What a client does with each answer; it keeps no connection alive that nobody holds."""
        noting = weakref.WeakMethod(self._note_warnings)

        def note(response: httpx.Response) -> None:
            if (noted := noting()) is not None:
                noted(response)

        return {"response": [note]}

    def _note_warnings(self, response: httpx.Response) -> None:
        self.warnings = [
            warning.strip()
            for warning in response.headers.get(WARNINGS_HEADER, "").split(";")
            if warning.strip()
        ]

    def probe(self) -> str | None:
        """Ask for the version; return None if the server answers, else the reason in words."""
        import httpx

        try:
            answer = self.http.get("/api/version", headers=EXTRAS, timeout=PROBE_TIMEOUT_S)
            fields = answer.headers.get(FIELDS_HEADER, "").split(",")
            self.extensions = frozenset(name.strip() for name in fields)
            self.version = str(answer.json()["version"]) if answer.is_success else ""
        except httpx.TransportError as error:
            return str(error) or type(error).__name__
        except (ValueError, KeyError, TypeError):
            return "something else than Ollama's API answers there"
        said = f"HTTP {answer.status_code}{_said(answer)}"
        if answer.status_code in (401, 403):
            return f"it refuses the token ({said})"
        if answer.status_code in (502, 503):
            return f"it is not ready; wait a few seconds and try again ({said})"
        return None if answer.is_success else f"no Ollama API there ({said})"

    def listed(self, route: str) -> list[dict[str, Any]]:
        """Return the models of `tags` (all) or `ps` (loaded ones), as the server lists them."""
        answer = self.http.get(f"/api/{route}", headers=EXTRAS, timeout=LISTING_TIMEOUT_S)
        return list(answer.json().get("models") or []) if answer.is_success else []

    def close(self) -> None:
        """Close the clients that were made."""
        for name in ("http", "client"):
            if client := self.__dict__.pop(name, None):
                client.close()

    def __repr__(self) -> str:
        return f"<Connection to {self.url} (version {self.version}), found by: {self.how}>"


def _said(answer: httpx.Response) -> str:
    """Return the server's own sentence after a colon; nothing where it is a proxy's page."""
    try:
        return f": {answer.json()['error']}"
    except (ValueError, KeyError, TypeError):
        return ""


@cache
def _certificates() -> ssl.SSLContext:
    """Load the trusted certificates once: it takes longer than a whole search without."""
    import httpx

    return httpx.create_ssl_context()
