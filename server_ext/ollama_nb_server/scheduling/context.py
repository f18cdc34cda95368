"""Who asks, and how urgently: what a request carries from its handler to the engine."""

from __future__ import annotations

from dataclasses import dataclass, field

from ollama_nb_server.engine.messages import Priority


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `name` is who logged in, "" where nobody has to.

    Who `manages` may change what all share: the models, and what is loaded. `groups` are those that
    a Hub or an administrator has put the caller into. Who `is_alone` has a server of their own.
    """

    name: str = ""
    manages: bool = True
    groups: frozenset[str] = frozenset()
    is_alone: bool = False

    @property
    def salt(self) -> str:
        """Who else may use what was computed for this caller: those with the same."""
        return "" if self.is_alone else self.name


OWNER = Caller()  # whoever may call a server that is one person's


@dataclass(slots=True)
class Receipt:
    """What the accounts know a request by; None: they have not heard of it."""

    number: int | None = None


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Who asks; the more urgent is served first.

    At its `deadline` (seconds of the event loop's clock) a request ends, wherever it is. `verb` is
    what is asked for, as the accounts have it, and `receipt` tells whether they do. Who
    `may_resume` comes again where the connection is lost on the way. By the number `live` it is
    known to who looks at the server; 0: it is not.
    """

    caller: Caller = OWNER
    priority: Priority = Priority.INTERACTIVE
    deadline: float | None = None
    verb: str = ""
    may_resume: bool = False
    receipt: Receipt = field(default_factory=Receipt, compare=False)
    live: int = 0

    @property
    def user(self) -> str:
        """The caller's name."""
        return self.caller.name


NOBODY = RequestContext()  # who asks from within
