"""`Connection`: a server, the clients that reach it, and whether it answers.

Which server that is, is found in `searching` and kept in `current`.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from ollama_nb.connection.patience import AWAY, return_s
from ollama_nb.connection.phases import EXTRAS
from ollama_nb.connection.responses import raise_error

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    import httpx
    import ollama

    from ollama_nb.connection.places import Candidate

NO_SUCH_ROUTE = (404, 405, 501)
PROBE_TIMEOUT_S = 3.0
LISTING_TIMEOUT_S = 30.0
WARNINGS_HEADER = "X-Ollama-Nb-Warnings"
FIELDS_HEADER = "X-Ollama-Nb-Fields"


@dataclass(frozen=True, slots=True)
class Unready:
    """Why a place holds no server, in words, and in how many seconds it may hold one.

    `return_s` is None where another try would find the same, and 0 if nobody knows.
    """

    reason: str
    return_s: float | None = None


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
        """An HTTP client for the server; it waits where that is away for a moment."""
        from ollama_nb.connection.clients import PatientClient

        hooks, transport = self._hooks(), self._transport()
        client = PatientClient(
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
        from ollama_nb.connection.clients import PatientAsyncClient

        transport = self._transport("Async")
        return PatientAsyncClient(base_url=self.url, headers=self.headers, **transport)

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

    def probe(self) -> Unready | None:
        """Ask for the version, once; return None if the server answers, else why it does not."""
        import httpx

        from ollama_nb.connection.clients import IMPATIENT

        soon_s = 0.0 if self.candidate.comes_back else None
        how: dict[str, Any] = {"timeout": PROBE_TIMEOUT_S, "extensions": IMPATIENT}
        try:
            answer = self.http.get("/api/version", headers=EXTRAS, **how)
            fields = answer.headers.get(FIELDS_HEADER, "").split(",")
            self.extensions = frozenset(name.strip() for name in fields)
            self.version = str(answer.json()["version"]) if answer.is_success else ""
        except httpx.TransportError as error:
            return Unready(str(error) or type(error).__name__, soon_s)
        except (ValueError, KeyError, TypeError):
            return Unready("something else than Ollama's API answers there")
        if answer.is_success:
            return None
        said = f"HTTP {answer.status_code}{_said(answer)}"
        if answer.status_code in (401, 403):
            return Unready(f"it refuses the token ({said})")
        if answer.status_code in AWAY:
            reason = f"it is not ready, try again in a while ({said})"
            return Unready(reason, return_s(answer))
        return Unready(f"no Ollama API there ({said})", soon_s)

    def listed(self, route: str, *, at_once: bool = False) -> list[dict[str, Any]]:
        """Return the models of `tags` (all) or `ps` (loaded ones), as the server lists them.

        A server without that route has none; `at_once` waits for none that is away for a moment.

        Raises
        ------
        ollama.ResponseError, httpx.TransportError, ValueError
            Meant for `translated`.
        """
        from ollama_nb.connection.clients import AT_ONCE

        how = {AT_ONCE: at_once}
        url = f"/api/{route}"
        answer = self.http.get(url, headers=EXTRAS, timeout=LISTING_TIMEOUT_S, extensions=how)
        if answer.status_code in NO_SUCH_ROUTE:
            return []
        raise_error(answer)
        return list(answer.json().get("models") or [])

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
