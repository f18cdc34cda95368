"""What the scheduler is told and what it orders, as values.

Times are seconds of one monotonic clock. A keep-alive is seconds, `inf` means for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ollama_nb_server.engine.messages import Loaded, LoadSpec, Priority


@dataclass(frozen=True, slots=True)
class WorkerRequest:
    """One request for a worker.

    `explicit` names the load options that somebody set: only these can make a loaded worker
    unlike it. `keep_alive` None leaves the worker's present duration. `need_bytes` is what the
    model's files take of memory at least. A worker with a context of `least_ctx` will do, though
    one would be loaded with more (0: it will not). `model` is whatever the caller wants to find
    again beside the worker; nothing is decided by it. Ids rise as time goes. `user` is whose it is.
    """

    id: int
    label: str
    spec: LoadSpec
    explicit: frozenset[str] = frozenset()
    keep_alive: float | None = None
    priority: Priority = Priority.INTERACTIVE
    need_bytes: int = 0
    least_ctx: int = 0
    model: object = field(default=None, compare=False, repr=False)
    apart: bool = False
    user: str = ""
    for_pin: bool = False

    @property
    def key(self) -> str:
        """Workers are shared by everything that uses the same weights.

        What is set `apart` shares one with what has the same files besides, too.
        """
        spec = self.spec
        more = (*spec.adapters, spec.projector, spec.draft) if self.apart else ()
        return "|".join((spec.model_path, *filter(None, more)))

    @property
    def rank(self) -> tuple[int, int]:
        """Its place among its user's own, the smallest first: the more urgent, then first come."""
        return self.priority, self.id


# --- events ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Requested:
    """Somebody wants a worker."""

    wanted: WorkerRequest


@dataclass(frozen=True, slots=True)
class Left:
    """A request is over: answered, failed, or its client is gone."""

    request: int


@dataclass(frozen=True, slots=True)
class LoadDone:
    """A runner's worker is ready."""

    runner: int
    info: Loaded


@dataclass(frozen=True, slots=True)
class LoadBroke:
    """A runner's worker did not come up."""

    runner: int
    error: BaseException


@dataclass(frozen=True, slots=True)
class Resized:
    """A runner takes so much memory by now."""

    runner: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A runner's process is gone, whether told to go or not."""

    runner: int


@dataclass(frozen=True, slots=True)
class UnloadAsked:
    """The weights `key` are to be unloaded as soon as nobody uses them."""

    key: str


@dataclass(frozen=True, slots=True)
class PinsChanged:
    """These weights are kept until a time each, needed or not; no others are any more."""

    pins: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Event = Requested | Left | LoadDone | LoadBroke | Resized | Ended | UnloadAsked | PinsChanged | Tick


# --- instructions ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Load:
    """Start a worker; answer with LoadDone or LoadBroke.

    Beside other runners the load is to be `whole`: rather than with less than was asked for, it
    fails, so that one of them may go first.
    """

    runner: int
    spec: LoadSpec


@dataclass(frozen=True, slots=True)
class Grant:
    """Let the request use the runner until it has Left.

    `unlike` names load options that the request wanted otherwise, and does not get.
    """

    request: int
    runner: int
    unlike: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refuse:
    """Tell the request that it gets no worker."""

    request: int
    error: BaseException


@dataclass(frozen=True, slots=True)
class Stop:
    """End the runner's process (also one that still loads); answer with Ended."""

    runner: int
    reason: str


Instruction = Load | Grant | Refuse | Stop
