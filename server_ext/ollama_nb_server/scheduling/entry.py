"""One request's way through the accounts: it begins once and ends once, whatever happens."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType

from ollama_nb_server.engine.client import End, Ending
from ollama_nb_server.scheduling.usage import ACCOUNTED, Account, Asked, Usage, end_of


@dataclass(frozen=True, slots=True)
class TurnTimes:
    """How long a request waited for others and for its model, in nanoseconds.

    Its turn came at `came_ns` (`time.perf_counter_ns`), 0: it did not.
    """

    queue_ns: int = 0
    load_ns: int = 0
    came_ns: int = 0


NO_TURN = TurnTimes()


class Entry:
    """What is written of one request; nothing where its verb costs nothing.

    The request is over with the block at the latest, which it may be without having had a turn.
    """

    def __init__(self, asked: Asked, account: Account) -> None:
        self._began_ns = time.perf_counter_ns()
        self._asked, self._account = asked, account
        self._is_over = asked.verb not in ACCOUNTED
        if not self._is_over:
            account(asked)

    def __enter__(self) -> Entry:
        return self

    def __exit__(
        self,
        _: type[BaseException] | None,
        error: BaseException | None,
        __: TracebackType | None,
    ) -> None:
        self.end_by(error)

    def end(self, ending: Ending, times: TurnTimes = NO_TURN) -> None:
        """The request is over, unless that has been told."""
        if self._is_over:
            return
        self._is_over = True
        prompt_ns, eval_ns = computed(ending, times.came_ns, time.perf_counter_ns())
        came_ns = ending.first_text_ns
        first_token_s = (came_ns - self._began_ns) / 1e9 if came_ns else None
        waits = times.queue_ns, times.load_ns
        now = time.time()
        self._account(Usage(self._asked, ending, now, first_token_s, *waits, prompt_ns, eval_ns))

    def end_by(self, error: BaseException | None, times: TurnTimes = NO_TURN) -> None:
        """The same for one of which no worker has told the end; None: no error ended it."""
        self.end(Ending(End.FINISHED if error is None else end_of(error)), times)


def computed(ending: Ending, came_ns: int, now_ns: int) -> tuple[int, int]:
    """How long a prompt was read and an answer written, by the clock where the worker is silent."""
    if ending.prompt_ns or ending.eval_ns or not came_ns:
        return ending.prompt_ns, ending.eval_ns
    first_ns = ending.first_text_ns or now_ns
    return max(first_ns - came_ns, 0), max(now_ns - first_ns, 0)
