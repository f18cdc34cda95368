"""Find the model server and keep the connection to it: probe, remember, find again.

Where to look is in `places`, starting a server in `starting`; what is asked of it in `asking`.
"""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from ollama_nb import places
from ollama_nb.errors import NoServer
from ollama_nb.phases import EXTRAS

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import httpx
    import ollama

    from ollama_nb.places import Candidate

PROBE_TIMEOUT_S = 3.0
LISTING_TIMEOUT_S = 30.0
WARNINGS_HEADER = "X-Ollama-Nb-Warnings"
FIELDS_HEADER = "X-Ollama-Nb-Fields"


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

    def _hooks(self) -> dict[str, list[Callable[[httpx.Response], None]]]:
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
        if answer.status_code in (401, 403):
            return f"it refuses the token (HTTP {answer.status_code})"
        return None if answer.is_success else f"no Ollama API there (HTTP {answer.status_code})"

    def listed(self, route: str) -> list[dict[str, Any]]:
        """Return the models of `tags` (all) or `ps` (loaded ones), as the server lists them."""
        answer = self.http.get(f"/api/{route}", timeout=LISTING_TIMEOUT_S)
        return list(answer.json().get("models") or []) if answer.is_success else []

    def close(self) -> None:
        """Close the clients that were made."""
        for name in ("http", "client"):
            if client := self.__dict__.pop(name, None):
                client.close()

    def __repr__(self) -> str:
        return f"<Connection to {self.url} (version {self.version}), found by: {self.how}>"


@cache
def _certificates() -> ssl.SSLContext:
    """Load the trusted certificates once: it takes longer than a whole search without."""
    import httpx

    return httpx.create_ssl_context()


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of place, in the order of the search."""

    title: str
    candidates: Callable[[Mapping[str, str], Path], Iterator[Candidate]]


# The order of design.md; an address given to `connect()` goes before all of them.
SEARCH = (
    Step("the variable JUPYTER_OLLAMA_URL", places.named_by_jupyter),
    Step("the variable OLLAMA_HOST", places.named_by_ollama_host),
    Step("the Jupyter server of this kernel", places.of_this_jupyter),
    Step("a server already running on this machine", places.on_this_machine),
    Step("another Jupyter server of yours", places.of_other_jupyters),
)


def search(environ: Mapping[str, str], runtime: Path) -> Connection:
    """Go through the places in their order and return the first server that answers.

    If none does, a server is started, unless a person has named one in the environment: that one
    is not silently replaced by an empty one.

    Raises
    ------
    NoServer
        With the reason of every place.
    """
    reasons: list[str] = []
    found = _running(environ, runtime, reasons)
    return _start(environ, runtime, reasons) if found is None else found


def _running(environ: Mapping[str, str], runtime: Path, reasons: list[str]) -> Connection | None:
    """Return the first server that answers; starts none, and collects the reasons instead."""
    for step in SEARCH:
        found = list(step.candidates(environ, runtime))
        reasons += [] if found else [f"{step.title}: there is none"]
        for candidate in found:
            connection = Connection(candidate, step.title)
            if (reason := connection.probe()) is None:
                return connection
            connection.close()
            reasons.append(f"{step.title}: {candidate.url}: {reason}")
    return None


def _start(environ: Mapping[str, str], runtime: Path, reasons: list[str]) -> Connection:
    from ollama_nb import starting

    if named := _named_by_a_person(environ):
        raise NoServer([*reasons, f"starting one: not done, because {named} names a server"])
    try:
        candidate = starting.start(environ, runtime, _answers)
    except starting.CouldNotStart as error:
        raise NoServer([*reasons, f"starting one: {error}"]) from None
    connection = Connection(candidate, "started for this user's kernels")
    connection.probe()
    return connection


def _answers(candidate: Candidate) -> bool:
    connection = Connection(candidate, "")
    try:
        return connection.probe() is None
    finally:
        connection.close()


def _named_by_a_person(environ: Mapping[str, str]) -> str | None:
    """Return the variable that names a server on purpose.

    A JUPYTER_OLLAMA_TOKEN beside the address is the extension's own mark: then the address came
    with the Jupyter server, and may be stale.
    """
    if environ.get("OLLAMA_HOST"):
        return "OLLAMA_HOST"
    by_hub = environ.get("JUPYTER_OLLAMA_URL") and not environ.get("JUPYTER_OLLAMA_TOKEN")
    return "JUPYTER_OLLAMA_URL" if by_hub else None


@dataclass
class _Current:
    """The connection in use, and the address that a user insists on."""

    connection: Connection | None = None
    explicit: tuple[str, str | None] | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)


_current = _Current()


def connect(url: str | None = None, *, token: str | None = None) -> Connection:
    """Choose the server that all further calls use.

    Parameters
    ----------
    url
        Address of a server that speaks Ollama's API, or of a Jupyter server with our extension.
        Without it the places of the search are gone through again.
    token
        Secret that the server asks for.

    Returns
    -------
    Connection
        With `url`, `headers`, `version` and an `ollama.Client` as `client`.

    Raises
    ------
    NoServer
        If the address, or no place of the search, answers.

    Examples
    --------
    >>> connect("http://gpu-box:11434").client.list()  # doctest: +SKIP
    """
    with _current.lock:
        _drop()
        _current.explicit = None if url is None else (url, token)
        return current()


def current() -> Connection:
    """Return the connection in use; find a server if there is none yet or it went away."""
    with _current.lock:
        if _current.connection is None:
            _current.connection = _find()
        return _current.connection


def without_starting() -> Connection | None:
    """Return the connection in use, or to a server that runs already; starts none."""
    with _current.lock:
        if _current.connection is None and _current.explicit is None:
            _current.connection = _running(os.environ, places.runtime_dir(), [])
        return _current.connection


def forget(connection: Connection) -> None:
    """Let the next call look for a server again, because this connection is dead."""
    with _current.lock:
        if _current.connection is connection:
            _drop()


def _drop() -> None:
    if _current.connection is not None:
        _current.connection.close()
        _current.connection = None


def _find() -> Connection:
    if _current.explicit is None:
        return search(os.environ, places.runtime_dir())
    reasons = []
    for candidate in places.explicit(*_current.explicit):
        connection = Connection(candidate, "given to connect()")
        if (reason := connection.probe()) is None:
            return connection
        connection.close()
        reasons.append(f"{candidate.url}: {reason}")
    raise NoServer(reasons)
