"""The connection in use: chosen by `connect()`, or found when it is first needed, and kept.

How one is found is in `searching`; one that broke is forgotten, and the next call finds another.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass, field

from ollama_nb.connection import places
from ollama_nb.connection.connection import Connection
from ollama_nb.connection.patience import Patience
from ollama_nb.connection.searching import reached, running, search
from ollama_nb.errors import NoServer


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
            with contextlib.suppress(NoServer):
                _current.connection = running(os.environ, places.runtime_dir(), [])
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
    reasons, patience = [], Patience()
    for candidate in places.explicit(*_current.explicit):
        answer = reached(candidate, "given to connect()", patience)
        if isinstance(answer, Connection):
            return answer
        reasons.append(f"{candidate.url}: {answer.reason}")
        if answer.return_s is not None:
            break  # it is this one, and will be back
    raise NoServer(reasons)
