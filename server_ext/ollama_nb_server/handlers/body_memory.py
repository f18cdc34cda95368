"""How much memory the bodies of requests under way may take: of all together, and of one user."""

from __future__ import annotations

from dataclasses import dataclass, field

from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.sharing import Sharing
from ollama_nb_server.wire.bounds import MAX_BODY_BYTES
from ollama_nb_server.wire.errors import BodiesTooLarge, BodyTooLarge, OwnBodiesTooLarge

MB = 1_000_000
SHARES = 4  # one user has a fourth of it


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """In bytes: what one request may have, all of one user, and all."""

    one: int
    own: int
    all: int
    contact: str = ""

    @classmethod
    def of(cls, sharing: Sharing, caller: Caller) -> BodyLimits:
        """The limits of a caller; who manages is held to those of the server."""
        most = sharing.max_bodies_mb * MB
        if caller.manages:
            return cls(MAX_BODY_BYTES, most, most)
        one = min(sharing.max_request_mb * MB, MAX_BODY_BYTES)
        return cls(one, max(most // SHARES, one), most, sharing.contact)


@dataclass(slots=True)
class BodyMemory:
    """The bodies that are held, by request."""

    _held: dict[object, tuple[str, int]] = field(default_factory=dict)

    def hold(self, request: object, caller: Caller, num_bytes: int, limits: BodyLimits) -> None:
        """Let the body of a request be `num_bytes` long, which may be more than it was.

        Raises
        ------
        BodyTooLarge
            If nobody's, or not this caller's, may be so long.
        OwnBodiesTooLarge, BodiesTooLarge
            If it is too much beside the others.
        """
        if num_bytes > limits.one:
            raise BodyTooLarge(limits.one, limits.contact)
        others = [held for key, held in self._held.items() if key is not request]
        own = sum(size for user, size in others if user == caller.name)
        if own and own + num_bytes > limits.own:
            raise OwnBodiesTooLarge(own, limits.own)
        if num_bytes + sum(size for _, size in others) > limits.all:
            raise BodiesTooLarge(limits.all)
        self._held[request] = caller.name, num_bytes

    def free(self, request: object) -> None:
        """A request is over; to say so twice does no harm."""
        self._held.pop(request, None)

    @property
    def num_bytes(self) -> int:
        """What is held."""
        return sum(size for _, size in self._held.values())
