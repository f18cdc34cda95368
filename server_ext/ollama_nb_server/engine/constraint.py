"""When an answer is bound by its grammar: at once, or behind a thought; and what then follows.

What may follow is decided in `grammar` (Matcher); drawing is the sampler's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from ollama_nb_server.engine.grammar import Matcher
from ollama_nb_server.engine.messages import Grammar
from ollama_nb_server.engine.native import Context, Model
from ollama_nb_server.engine.sampling import SamplerChain


class Constraint:
    """The grammar of one request. Its answer ends only where the grammar allows it.

    A thought, up to and including `after`, is free. One that the model would end without that text
    gets it written, and one whose last token reaches beyond gets it cut there, so that the answer
    begins in any case. `head` decides whether there is a thought at all (`opens`).
    """

    def __init__(
        self, model: Model, grammar: Grammar, answer: Matcher, head: Matcher | None = None
    ) -> None:
        self._model, self._answer, self._head = model, answer, head
        self._opens, self._after = grammar.opens.encode(), grammar.after.encode()
        self._thinking = bool(grammar.after) and head is None
        self._seen = b""  # the latest text of a head or a thought
        self._owed: deque[int] = deque()  # tokens of `after` that are still to be written

    @property
    def complete(self) -> bool:
        """Whether nothing may follow."""
        return not (self._thinking or self._owed or self._head) and self._answer.complete

    def following(self, sampler: SamplerChain, context: Context, output: int) -> Iterator[int]:
        """The next token, drawn after the batch's token `output`, and those that it entails.

        Each counts as written only when it is fetched.
        """
        if self._owed:
            yield from self._written(sampler)
        elif self._thinking:
            yield from self._thought(sampler, sampler.sample(context, output))
        else:
            rules = self._head or self._answer
            yield from self._bound(rules, sampler, rules.draw(sampler, context, output))

    def _bound(self, rules: Matcher, sampler: SamplerChain, token: int) -> Iterator[int]:
        self._note(token)
        yield token
        for token in rules.forced():
            rules.take(token)
            sampler.accept([token])
            self._note(token)
            yield token

    def _note(self, token: int) -> None:
        """Find out what the head is: a thought has begun, or the answer has."""
        if self._head is None:
            return
        self._seen += self._model.piece(token, special=True)
        begun = self._seen.lstrip()
        if begun.startswith(self._opens):
            self._head, self._thinking, self._seen = None, True, b""
        elif not self._opens.startswith(begun):
            self._answer, self._head = self._head, None

    def _thought(self, sampler: SamplerChain, token: int) -> Iterator[int]:
        piece = self._model.piece(token, special=True)
        self._seen += piece
        _, found, behind = self._seen.partition(self._after)
        if self._model.is_end(token):
            self._end_thought(self._after)
            yield from self._written(sampler)
        elif not found:
            self._seen = self._seen[-len(self._after) :]
            yield token
        elif behind.strip():
            self._end_thought(piece[: len(piece) - len(behind)])
            yield from self._written(sampler)
        else:
            self._end_thought(b"")
            yield token

    def _end_thought(self, owed: bytes) -> None:
        self._thinking, self._seen = False, b""
        text = owed.decode("utf-8", "replace")
        self._owed.extend(self._model.tokenize(text, add_special=False) if text else ())

    def _written(self, sampler: SamplerChain) -> Iterator[int]:
        while self._owed:
            token = self._owed.popleft()
            sampler.accept([token])
            yield token
