"""What an administrator gives each user of a model's time: weights by group, and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ollama_nb_server.scheduling.context import RequestContext
from ollama_nb_server.scheduling.fairness import Turn


@dataclass(frozen=True, slots=True)
class Shares:
    """How users are weighed and limited.

    Where a server is not `shared`, all who call are one user. `weights` are by group, the largest
    of a user's groups counts. `num_express` slots of a model are for users with nothing running.
    The limits are for one user's requests at one model (None: no limit).
    """

    shared: bool = False
    weights: Mapping[str, float] = field(default_factory=dict)
    num_express: int = 0
    max_running: int | None = None
    max_waiting: int | None = None

    def turn(self, number: int, context: RequestContext) -> Turn:
        """A request for a turn."""
        return Turn(number, self.user(context), self._weight(context), context.priority)

    def user(self, context: RequestContext) -> str:
        """Whose turns a request counts among."""
        return context.user if self.shared else ""

    def _weight(self, context: RequestContext) -> float:
        weights = [self.weights[g] for g in context.caller.groups if g in self.weights]
        return max(weights, default=1.0)


ALONE = Shares()  # a server that is one person's
