"""`pull()` and `push()`: bring a model from its registry, or put one there, with progress bars.

The server does the work; here its steps are followed, shown, and stopped by Ctrl-C.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from ollama_nb.connection.calling import reachable, steps
from ollama_nb.connection.failures import translated
from ollama_nb.display.bars import board
from ollama_nb.display.progress import Progress
from ollama_nb.errors import ServerNotReady, ServerWentAway, TransferStopped
from ollama_nb.managing.catalogue import checked_name

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping


def pull(name: str, *, insecure: bool = False, show: bool = True) -> None:
    """Bring a model from its registry to the server (`%ollama pull`).

    Parameters
    ----------
    name
        As in the registry: `llama3.2`, `llama3.2:1b`, `hf.co/user/repository:Q4_K_M`,
        `host/namespace/model:tag`.
    insecure
        Let the server speak plain HTTP to the registry, or accept its certificate unseen.
    show
        Show a bar a layer; a text line a layer stays.

    Raises
    ------
    TransferStopped
        On Ctrl-C. The server stops too; pulling again goes on from there.
    NotDone
        When the server reports that it could not.
    ServerWentAway
        When the connection broke and, asked again, the server came no further.

    Examples
    --------
    >>> pull("llama3.2:1b")  # doctest: +SKIP
    """
    progress = Progress("pulling", "pulled", checked_name(name))
    _transfer("/api/pull", progress, insecure, show, "pulling it again goes on from there")


def push(name: str, *, insecure: bool = False, show: bool = True) -> None:
    """Put a model of the server into its registry (`%ollama push`).

    Parameters
    ----------
    name
        With the namespace, and the registry's host if it is not the usual one; `copy()` gives a
        model such a name.
    insecure
        Let the server speak plain HTTP to the registry, or accept its certificate unseen.
    show
        Show a bar a layer; a text line a layer stays.

    Raises
    ------
    TransferStopped
        On Ctrl-C. Layers that the registry has by then are not sent again.
    ModelNotFound
        If the server does not have the model.
    NotDone
        When the server reports that it could not.
    """
    progress = Progress("pushing", "pushed", checked_name(name))
    _transfer("/api/push", progress, insecure, show, "layers that are there are not sent again")


def _transfer(route: str, progress: Progress, insecure: bool, show: bool, next_time: str) -> None:
    body = {"model": progress.name, "insecure": insecure, "stream": True}
    with following(progress, show=show, next_time=next_time) as tell:
        before = -1
        while True:
            try:
                connection = reachable()
                with translated(connection, progress.name, progress.doing):
                    return taken(steps(connection, route, body), tell)
            except ServerNotReady:
                raise
            except ServerWentAway:  # it goes on where it was
                if progress.completed <= before:
                    raise
                before = progress.completed


def taken(stream: Generator[Mapping[str, Any]], tell: Callable[[Mapping[str, Any]], None]) -> None:
    """Take the steps of a stream as they come; leaving it early closes it."""
    with contextlib.closing(stream):
        for step in stream:
            tell(step)


@contextlib.contextmanager
def following(
    progress: Progress, *, show: bool, next_time: str
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Show a work while it runs; what is yielded takes its steps.

    Raises
    ------
    TransferStopped
        On Ctrl-C; `next_time` ends its sentence.
    """
    shown = board(progress, visible=show)

    def tell(step: Mapping[str, Any]) -> None:
        progress.take(step)
        shown.update()

    try:
        shown.open()
        yield tell
        progress.succeed()
    except KeyboardInterrupt:
        raise TransferStopped(progress, next_time) from None
    finally:
        shown.close()
