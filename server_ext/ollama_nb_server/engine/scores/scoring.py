"""How likely texts are behind prompts: read off the logits of ordinary prefills.

A prompt takes a slot as any other does. Its last token's logits tell of the choices' first tokens;
what is longer is appended, piece by piece, as more prompt, and forgotten again up to where the next
choice branches off. Where slots are free, other sequences take over some of the choices: they
begin with a copy of the prompt.
"""

from __future__ import annotations

from collections import abc

import numpy as np
import numpy.typing as npt

from ollama_nb_server.engine.errors import ScoreNotFinite
from ollama_nb_server.engine.prefixes.kv_cache import KVCache
from ollama_nb_server.engine.scores.choice_tree import ROOT, ChoiceTree
from ollama_nb_server.engine.sequence import Sequence

MAX_RUN = 16  # tokens of choices that are computed together: each costs a row of logits
Floats = npt.NDArray[np.float32]


class PromptScores:
    """The log-probabilities of a tree's nodes behind one prompt, as far as they are known.

    `path` are the nodes whose tokens stand behind the prompt now, the prompt itself first;
    `num_read` of their rows have been read. At most `most_at_once` are computed together.
    """

    def __init__(self, tree: ChoiceTree, most_at_once: int = MAX_RUN) -> None:
        self._tree, self._most_at_once = tree, most_at_once
        self.logprobs = np.full(len(tree), np.nan)
        self.path, self.num_read = [ROOT], 0
        # of the inner nodes, the first that has not been in the path, and where others' begin
        self._next, self._end = 0, len(tree.inner)

    @property
    def complete(self) -> bool:
        """Whether those of every node are known that nobody else has taken over."""
        return self._next == self._end and self.num_read == len(self.path)

    def branch(self) -> PromptScores | None:
        """Hand over choices that have not been begun, the last ones that begin alike, if any."""
        depths, inner = self._tree.depths, self._tree.inner
        places = range(self._next, self._end)
        place = next((at for at in reversed(places) if depths[inner[at]] == 1), None)
        if place is None or self.path == [ROOT]:  # the prompt itself is still to be read
            return None
        other = PromptScores(self._tree, self._most_at_once)
        other.logprobs, other.num_read = self.logprobs, 1
        other._next, other._end, self._end = place, self._end, place
        return other

    def read(self, logits: Floats) -> None:
        """Take the row of the next node in the path."""
        children = self._tree.children[self.path[self.num_read]]
        tokens = [self._tree.tokens[child] for child in children]
        self.logprobs[children] = log_probabilities(logits, tokens)
        self.num_read += 1

    def go_on(self) -> tuple[int, list[int]]:
        """What is to stand behind the prompt next: so many of the tokens there, and these."""
        run = self._tree.run(self._next, self._most_at_once)
        kept = self._tree.depths[run[0]] - 1
        self._next += len(run)
        self.path = [*self.path[: kept + 1], *run]
        self.num_read = kept + 1
        return kept, [self._tree.tokens[node] for node in run]

    def row(self) -> bytes:
        """Those of all choices' tokens, one choice behind the other.

        Raises
        ------
        ScoreNotFinite
        """
        nodes = [node for path in self._tree.ends for node in path]
        values = self.logprobs[nodes]
        if not np.isfinite(values).all():
            raise ScoreNotFinite
        return values.astype("<f8").tobytes()


def log_probabilities(logits: Floats, tokens: abc.Sequence[int]) -> npt.NDArray[np.float64]:
    """Of some tokens, before any sampling: to the last bit what `logprobs.measured` has of each."""
    rest = logits - logits.max()
    total = np.log(np.exp(rest, dtype=np.float64).sum())
    found: npt.NDArray[np.float64] = rest[np.asarray(tokens)].astype(np.float64) - total
    return found


def read_scores(sequence: Sequence, rows: abc.Iterable[Floats], kv_cache: KVCache) -> None:
    """Take the rows that a step has made of a sequence, and see to what it computes next."""
    scores = sequence.scores
    assert scores is not None
    for row in rows:
        scores.read(row)
    if sequence.waiting or scores.complete:
        return
    kept, tokens = scores.go_on()
    standing = sequence.num_prompt + kept
    if standing < len(sequence.tokens):
        del sequence.tokens[standing:]
        sequence.computed = standing
        kv_cache.roll_back(sequence)  # a recurrent memory computes the prompt again
    sequence.tokens += tokens
