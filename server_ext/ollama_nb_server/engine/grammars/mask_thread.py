"""What may follow in bound answers, found out while the model computes their next logits.

llguidance keeps what it has found for a state, so that the draw finds it known. What is drawn by
it is `grammar`'s affair.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cached_property

from ollama_nb_server.engine.grammars.constraint import Constraint


class MaskThread:
    """One thread, used where a processor is `spare` while the model computes.

    Without, it would hold up the threads that compute: they wait for one another.
    """

    def __init__(self, *, spare: bool) -> None:
        self._spare = spare

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, "masks")

    @contextmanager
    def ahead(self, constraints: Sequence[Constraint]) -> Iterator[None]:
        """Look ahead as long as this is entered; afterwards nobody else uses the constraints."""
        if not (constraints and self._spare):
            yield
            return
        work = self._pool.submit(_look_ahead, constraints)
        try:
            yield
        finally:
            wait([work])  # what it raised is raised again by the draw


def _look_ahead(constraints: Sequence[Constraint]) -> None:
    for constraint in constraints:
        constraint.look_ahead()
