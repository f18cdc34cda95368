"""How likely what is told was: raw log-probabilities of tokens, in the pieces that texts come in.

What a text is, whole characters and without stop strings, is decided in `text`.
"""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ollama_nb_server.engine.messages import Logprob
from ollama_nb_server.engine.native import Floats

MOST_ALTERNATIVES = 20


def measured(logits: Floats, token: int, count: int) -> tuple[float, list[tuple[int, float]]]:
    """The log-probability of a token, and the `count` likeliest tokens with theirs."""
    rest = logits - logits.max()
    total = np.log(np.exp(rest, dtype=np.float64).sum())
    count = min(count, MOST_ALTERNATIVES, len(logits))
    best = np.argpartition(-rest, count)[:count] if 0 < count < len(rest) else np.arange(count)
    best = best[np.argsort(-rest[best], kind="stable")]
    return float(rest[token] - total), [(int(t), float(rest[t] - total)) for t in best]


@dataclass(slots=True)
class _Piece:
    """Tokens that make up whole characters, as far as they have come."""

    data: bytes = b""
    text: str = ""
    logprob: float = 0.0
    alternatives: tuple[Logprob, ...] = ()

    def told(self) -> Logprob:
        return Logprob(self.text, self.logprob, tuple(self.data), self.alternatives)


class Pieces:
    """Takes tokens in, gives pieces out along with the text that they are of.

    A piece is told as soon as all of its text is; what a stop string cuts off is not told.
    """

    def __init__(self, count: int, name: Callable[[int], bytes]) -> None:
        self._count, self._name = count, name
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._open = _Piece()
        self._whole: deque[_Piece] = deque()
        self._told_early = 0  # characters of the first piece that have been told already

    def add(self, logits: Floats, token: int, data: bytes) -> None:
        """A token that was drawn by these logits, and its bytes."""
        logprob, best = measured(logits, token, self._count)
        piece = self._open
        piece.alternatives = tuple(self._alternative(piece, *other) for other in best)
        piece.logprob += logprob
        piece.data += data
        piece.text += self._decoder.decode(data)
        if not self._decoder.getstate()[0]:
            self._close()

    def told(self, text: str, *, last: bool) -> tuple[Logprob, ...]:
        """The pieces that end in the text told now; with `last`, the one it breaks off in too."""
        if last and self._open.data:
            self._close()  # a character that never became whole: bytes without a text
        room = self._told_early + len(text)
        told: list[Logprob] = []
        while self._whole and len(self._whole[0].text) <= room:
            room -= len(self._whole[0].text)
            told.append(self._whole.popleft().told())
        if last and room and self._whole:
            cut = self._whole.popleft()
            shown = cut.text[:room]
            told.append(Logprob(shown, cut.logprob, tuple(shown.encode()), cut.alternatives))
        self._told_early = room
        return tuple(told)

    def _close(self) -> None:
        self._whole.append(self._open)
        self._open = _Piece()

    def _alternative(self, piece: _Piece, token: int, logprob: float) -> Logprob:
        data = piece.data + self._name(token)
        return Logprob(data.decode("utf-8", "replace"), piece.logprob + logprob, tuple(data))
