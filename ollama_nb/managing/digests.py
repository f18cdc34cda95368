"""Which weights a name means now: what answers and vectors that are kept are kept under."""

from __future__ import annotations

from ollama_nb.connection.calling import asked
from ollama_nb.connection.current import current
from ollama_nb.connection.failures import translated
from ollama_nb.managing.catalogue import listed


def digest_of(model: str) -> str:
    """Return the digest of a model; where a server has none, the server's address and the name.

    Raises
    ------
    ModelNotFound
        If the server does not have the model.
    """
    found = _listed_digest(model)
    if found is None:
        _ask_for(model)  # which installs the bundled one
        found = _listed_digest(model)
    return found or f"{current().url} {model}"


def _listed_digest(model: str) -> str | None:
    """Return what a listing says: None if the model is not there, empty if it has no digest."""
    wanted = {model.casefold(), f"{model.casefold()}:latest"}
    for entry in listed("tags"):
        if str(entry.get("model") or entry.get("name")).casefold() in wanted:
            return str(entry.get("digest") or "")
    return None


def _ask_for(model: str) -> None:
    connection = current()
    with translated(connection, model):
        asked(connection, "/api/show", {"model": model})
