"""Search for a server that answers: place after place, and why each was none.

A place that somebody has named, and that is away for a moment, is waited for. The places are in
`places`; a server is started in `starting`.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ollama_nb.connection import places
from ollama_nb.connection.connection import Connection, Unready
from ollama_nb.connection.patience import Patience, pause
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
    is_named: bool = False  # on purpose: it is meant, also while it is away for a moment


# The order of design.md; an address given to `connect()` goes before all of them.
SEARCH = (
    Step("the variable JUPYTER_OLLAMA_URL", places.named_by_jupyter, is_named=True),
    Step("the variable OLLAMA_HOST", places.named_by_ollama_host, is_named=True),
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
    found = running(environ, runtime, reasons, Patience())
    return _start(environ, runtime, reasons) if found is None else found


def running(
    environ: Mapping[str, str],
    runtime: Path,
    reasons: list[str],
    patience: Patience | None = None,
) -> Connection | None:
    """Return the first server that answers; starts none, and collects the reasons instead.

    Where a Hub has named one, it is that one or none: what else answers is not the Hub's. Without
    `patience` no place is waited for.

    Raises
    ------
    NoServer
        For a place that somebody has named and that is still away for a moment.
    """
    at_once = Patience(total_s=0.0)
    patience = patience or at_once
    by_hub = places.is_set_by_hub(environ)
    for step in SEARCH[:1] if by_hub else SEARCH:
        found = list(step.candidates(environ, runtime))
        title = f"{step.title}, which your Hub has set" if by_hub else step.title
        reasons += [] if found else [f"{step.title}: there is none"]
        for candidate in found:
            answer = reached(candidate, step.title, patience if step.is_named else at_once)
            if isinstance(answer, Connection):
                return answer
            reason = f"{title}: {candidate.url}: {answer.reason}"
            if step.is_named and answer.return_s is not None:  # it is meant, and will be back
                raise NoServer([reason])
            reasons.append(reason)
    return None


def reached(candidate: Candidate, how: str, patience: Patience) -> Connection | Unready:
    """Return a connection to a place, or why there is none; it may be away for a moment."""
    connection = Connection(candidate, how)
    has_waited = False
    try:
        while (failure := connection.probe()) is not None:
            length_s = patience.pause_s(failure.return_s)
            if length_s is None:
                connection.close()
                asked = f"; it was asked for {patience.total_s:.0f} s" if has_waited else ""
                return Unready(f"{failure.reason}{asked}", failure.return_s)
            if not has_waited:
                _tell(
                    f"{candidate.url} is not ready yet: asking again for {patience.total_s:.0f} s"
                )
            has_waited = True
            pause.get()(length_s)
    except BaseException:  # Ctrl-C, or a Stop
        connection.close()
        raise
    return connection


def _tell(sentence: str) -> None:
    """Say why nothing happens; where a thread of ours asks, its own display is there."""
    if threading.current_thread() is threading.main_thread():
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()


def _start(environ: Mapping[str, str], runtime: Path, reasons: list[str]) -> Connection:
    from ollama_nb.connection import starting

    if places.is_set_by_hub(environ):
        raise NoServer(reasons)
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
    if environ.get("OLLAMA_HOST") and not places.is_set_by_jupyter(environ):
        return "OLLAMA_HOST"
    by_hub = environ.get("JUPYTER_OLLAMA_URL") and not environ.get("JUPYTER_OLLAMA_TOKEN")
    return "JUPYTER_OLLAMA_URL" if by_hub else None
