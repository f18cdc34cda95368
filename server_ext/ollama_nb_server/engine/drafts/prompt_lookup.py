"""Drafts without a model: what stood behind the same tokens when they came before.

What a model repeats (a quotation, a name, a file with one line changed) it has read or written
already. Whether a draft is worth its rows is decided in `speculation`; nothing native is known.
"""

from __future__ import annotations

from collections.abc import Sequence

NGRAM = 3  # tokens that must have come before for the ones behind them to be expected
MAX_INDEXED = 16_384  # of a prompt's last tokens: half a microsecond and 200 bytes each
NUM_KINDS = 5  # of predictions, by how many before them came true: 0, 1, 2-3, 4-7, more
PRIOR_HITS, PRIOR = 1.0, 2.0  # what is taken for known before there is anything to go by
MEMORY = 0.95  # weight of a kind's earlier predictions when one more is judged


class PromptLookup:
    """Follows one sequence and predicts its next tokens; learns how often it is right.

    Every token is a test of what was predicted for it, whether or not the prediction was used.
    """

    def __init__(self) -> None:
        self._behind: dict[tuple[int, ...], int] = {}  # n-gram -> where its latest continuation is
        self._known = 0  # tokens of the sequence that have been seen
        self._at: int | None = None  # where the token stands that is predicted to come next
        self._run = 0  # predictions that came true one after another
        self._hits, self._tries = [PRIOR_HITS] * NUM_KINDS, [PRIOR] * NUM_KINDS

    def follow(self, tokens: Sequence[int]) -> None:
        """Take in what is new at the end of the sequence."""
        if not self._known:
            self._known = max(len(tokens) - MAX_INDEXED, 0)
            self._index(tokens, len(tokens))
        for place in range(self._known, len(tokens)):
            self._judge(tokens, place)
            self._index(tokens, place + 1)
        if self._at is None:
            self._at = self._behind.get(tuple(tokens[-NGRAM:]))

    @property
    def expects(self) -> bool:
        """Whether anything is predicted to come next."""
        return self._at is not None

    def draft(self, tokens: Sequence[int], count: int) -> list[int]:
        """The next `count` tokens as they are expected; none where nothing like it came before.

        What repeats itself is continued beyond the end of what there is.
        """
        if self._at is None:
            return []
        period = len(tokens) - self._at
        return [tokens[self._at + ahead % period] for ahead in range(count)]

    def chances(self, count: int) -> list[float]:
        """How likely each of the next tokens is as expected, if those before it are."""
        if self._at is None:
            return []
        kinds = [_kind(self._run + ahead) for ahead in range(count)]
        return [self._hits[kind] / self._tries[kind] for kind in kinds]

    def _judge(self, tokens: Sequence[int], place: int) -> None:
        """Hold a new token against what was predicted for it."""
        if self._at is None:
            self._at = self._behind.get(tuple(tokens[place - NGRAM : place]))
        if self._at is None:
            return
        kind, hit = _kind(self._run), tokens[self._at] == tokens[place]
        self._hits[kind] = MEMORY * self._hits[kind] + hit
        self._tries[kind] = MEMORY * self._tries[kind] + 1
        self._run = self._run + 1 if hit else 0
        self._at = self._at + 1 if hit else None

    def _index(self, tokens: Sequence[int], end: int) -> None:
        """Take note of what stands behind each n-gram before `end`."""
        for place in range(max(self._known, NGRAM), end):
            self._behind[tuple(tokens[place - NGRAM : place])] = place
        self._known = end


def _kind(run: int) -> int:
    return min(run.bit_length(), NUM_KINDS - 1)
