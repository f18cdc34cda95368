"""Search for a server that answers: place after place, and why each was none.

The places are in `places`; a server is started in `starting`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ollama_nb.connection import places
from ollama_nb.connection.connection import Connection
from ollama_nb.errors import NoServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ollama_nb.connection.places import Candidate


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
    found = running(environ, runtime, reasons)
    return _start(environ, runtime, reasons) if found is None else found


def running(environ: Mapping[str, str], runtime: Path, reasons: list[str]) -> Connection | None:
    """Return the first server that answers; starts none, and collects the reasons instead.

    Where a Hub has named one, it is that one or none: what else answers is not the Hub's.
    """
    for step in SEARCH[:1] if places.is_set_by_hub(environ) else SEARCH:
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
    from ollama_nb.connection import starting

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
    if places.is_set_by_hub(environ):
        return "JUPYTER_OLLAMA_URL, which your Hub has set,"
    if environ.get("OLLAMA_HOST") and not places.is_set_by_jupyter(environ):
        return "OLLAMA_HOST"
    by_hub = environ.get("JUPYTER_OLLAMA_URL") and not environ.get("JUPYTER_OLLAMA_TOKEN")
    return "JUPYTER_OLLAMA_URL" if by_hub else None
