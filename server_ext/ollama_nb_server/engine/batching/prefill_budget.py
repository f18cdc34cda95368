"""How much of prompts a step takes beside running streams, by how long the steps before have taken.

A function of what it is told: the clock is the caller's. Whose prompts they are is decided in
`planner`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from statistics import median

LEAST, LEAST_GPU = 64, 512  # tokens; on a GPU fewer take as long as these
DECODE_STEPS = 4  # so many times a step without any prompt, the prompt's part may take
KEPT = 7  # measurements; their median counts, so that a single one that was held up does not
ENOUGH = 32  # tokens of prompt in a step that say how long one takes; fewer cost more each
ALIGNED = 16  # kernels compute rows in fours, eights and sixteens, and what is left over singly


class PrefillBudget:
    """Tokens of prompt for the next step: as many as take about four steps of decoding.

    At least `least`, or a prompt would cost all the others too many steps; at most `most`. Until
    both a step's decoding and a token of prompt have been measured, that is `least`.
    """

    def __init__(self, most: int, least: int = LEAST) -> None:
        self.least, self.most = min(least, most), most
        self._decoding_s: dict[int, deque[float]] = {}  # by the number of sequences
        self._prompt_token_s: deque[float] = deque(maxlen=KEPT)

    def note(self, num_decoding: int, num_prompt: int, seconds: float) -> None:
        """Take in how long a step took, for so many decoding sequences and tokens of prompts."""
        decoding_s = self._step_s(num_decoding)
        if not num_prompt:
            self._decoding_s.setdefault(num_decoding, deque(maxlen=KEPT)).append(seconds)
        elif num_prompt >= ENOUGH and decoding_s is not None:
            self._prompt_token_s.append(max(seconds - decoding_s, 0.0) / num_prompt)

    def room(self, num_decoding: int) -> int:
        """Tokens of prompt that the next step may take beside so many decoding sequences."""
        decoding_s, token_s = self._step_s(num_decoding), _usual(self._prompt_token_s)
        if decoding_s is None or not token_s:
            return self.least
        fitting = int(DECODE_STEPS * decoding_s / token_s)
        return max(min(fitting - fitting % ALIGNED, self.most), self.least)

    def token_times(self) -> tuple[float, float]:
        """Seconds of a prompt's token, and of one that is drawn; 0: not measured.

        The second is a step's time by its sequences, the most that have been measured together.
        """
        most = max(self._decoding_s, default=0)
        decoding_s = _usual(self._decoding_s.get(most, ())) or 0.0
        return _usual(self._prompt_token_s) or 0.0, decoding_s / max(most, 1)

    def _step_s(self, num_decoding: int) -> float | None:
        """Seconds of a step that only decodes: of as many sequences, or else of nearly as many."""
        if not num_decoding:
            return 0.0
        known = min(self._decoding_s, key=lambda n: abs(n - num_decoding), default=0)
        return _usual(self._decoding_s.get(known, ()))


def _usual(seconds: Iterable[float]) -> float | None:
    values = tuple(seconds)
    return median(values) if values else None
