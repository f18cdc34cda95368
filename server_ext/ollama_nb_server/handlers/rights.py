"""What a caller may do: use the models, change what all share, or watch over everybody."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.sharing import Sharing
from ollama_nb_server.wire.errors import NotAllowed


class Right(Enum):
    """What a route asks for."""

    USE = "use models"  # what everybody may who is let in
    MAKE = "make models"  # under names of their own, which a catalogue sees to
    MANAGE = "pull or push models"
    WATCH = "see what everybody does"


class Guarded(Protocol):
    """A route, as far as rights go."""

    @property
    def right(self) -> Right:
        """What it asks for."""


def check_right(route: Guarded, caller: Caller, sharing: Sharing) -> None:
    """Refuse who may not.

    Raises
    ------
    NotAllowed
        With whom to ask.
    """
    if route.right is Right.USE or caller.manages:
        return
    if route.right is not Right.MAKE or not caller.name or not sharing.max_private_mb:
        raise NotAllowed(caller.name, route.right.value, sharing.contact)
