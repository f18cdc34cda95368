"""What binds an answer, and from where: its grammar, calls of tools, a limit on its thought.

An answer may begin with a thought; behind it, it is bound from its first word, or free until it
opens a call. What may follow is decided in `grammar` (Matcher); drawing is the sampler's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from enum import Enum

from ollama_nb_server.engine.grammars.grammar import Compiled, Matcher
from ollama_nb_server.engine.grammars.loose import MORE, LooseScanner
from ollama_nb_server.engine.grammars.marks import MarkScanner
from ollama_nb_server.engine.grammars.tags import tag_tokens
from ollama_nb_server.engine.messages import Grammar, Thinking
from ollama_nb_server.engine.native import NO_TOKEN, Context, Model
from ollama_nb_server.engine.sampling.chain import SamplerChain

FREE = Grammar("")  # of an answer without a grammar


class Phase(Enum):
    """How far an answer has come."""

    HEAD = "a thought begins here, or the answer"
    THOUGHT = "inside a thought"
    ANSWER = "in the answer"


class Constraint:
    """The rules of one request, as far as its answer has come.

    A thought, up to and including its closing tag, is free, and as long as its budget. One that the
    model would end without that tag gets it written where an answer is due. What is free is read as
    its reader will read it: `tags` are the control tokens that are written out. A token that
    reaches beyond a mark into what does not fit the rules is cut there.
    """

    def __init__(
        self,
        model: Model,
        grammar: Grammar | None,
        compiled: Compiled | None,
        thinking: Thinking | None = None,
        tags: Mapping[int, bytes] | None = None,
    ) -> None:
        self._model, self._compiled = model, compiled
        self._grammar = grammar = grammar or FREE
        self._calls = grammar.kind == "shape"
        self._binds = compiled is not None and (grammar.required or not self._calls)
        self._thought = thought_of(grammar, thinking)
        marks = (self._thought.opens, self._thought.closes, *grammar.triggers)
        self._opens, self._closes, *triggers = [mark.encode() for mark in marks]
        self._tags = {**tag_tokens(model, marks), **(tags or {})}
        self._triggers = triggers
        self._loose_triggers = [mark.encode() for mark in grammar.loose_triggers]
        self._loose = LooseScanner(self._loose_triggers)
        self._owed: deque[int] = deque()  # tokens that are still to be written
        self._rules: Matcher | None = None
        self._scanner = MarkScanner(())
        self._head = b""  # the text so far, where it may become a thought
        self._num_thought = 0  # tokens
        self._phase = Phase.HEAD
        self._begin()

    def _begin(self) -> None:
        if not self._closes:
            self._answer()
        elif self._thought.begun:
            self._think()
            self._limit()
        elif self._compiled and self._binds:
            self._rules = self._compiled.head()

    @property
    def complete(self) -> bool:
        """Whether nothing may follow."""
        bound = self._phase is Phase.ANSWER and self._rules is not None and not self._calls
        return bound and not self._owed and self._matcher.complete

    def look_ahead(self) -> None:
        """Find out what may follow, so that the next draw need not."""
        free = self._rules is None or (self._calls and self._rules.accepting)
        if not (self._owed or free):
            self._matcher.look_ahead()

    def following(self, sampler: SamplerChain, context: Context, output: int) -> Iterator[int]:
        """The next token, drawn after the batch's token `output`, and those that it entails.

        Each counts as written only when it is fetched.
        """
        if self._owed:
            yield from self._written(sampler)
        elif self._rules is None:
            yield from self._free(sampler, sampler.sample(context, output))
        elif self._calls and self._rules.accepting:
            yield from self._perhaps_more(sampler, sampler.sample(context, output))
        else:
            yield from self._bound(sampler, self._rules.draw(sampler, context, output))

    # --- bound text -------------------------------------------------------------------------------

    @property
    def _matcher(self) -> Matcher:
        assert self._rules is not None
        return self._rules

    def _perhaps_more(self, sampler: SamplerChain, token: int) -> Iterator[int]:
        """Behind a whole call, where more of the same may come: the model says if it does."""
        if not self._model.is_end(token) and self._matcher.fits([token]):
            self._matcher.take(token)
            yield from self._bound(sampler, token)
        else:
            self._go_free()
            yield from self._free(sampler, token)

    def _bound(self, sampler: SamplerChain, token: int) -> Iterator[int]:
        self._passed(token)
        yield token
        yield from self._forced(sampler)

    def _forced(self, sampler: SamplerChain) -> Iterator[int]:
        """What the rules leave no choice of."""
        rules = self._rules
        for token in rules.forced() if rules else ():
            self._matcher.take(token)
            sampler.accept([token])
            self._passed(token)
            yield token

    def _passed(self, token: int) -> None:
        """Take note of a token that the rules have passed."""
        if self._phase is Phase.HEAD:
            self._look(self._piece(token))
        elif self._calls and self._matcher.complete:
            self._go_free()

    # --- free text --------------------------------------------------------------------------------

    def _free(self, sampler: SamplerChain, token: int) -> Iterator[int]:
        if self._model.is_end(token):
            if self._phase is Phase.THOUGHT and self._binds:
                self._end_thought()
            else:
                yield token
        elif cut := self._read(piece := self._piece(token)):
            self._owe(piece[:-cut])
        else:
            yield token
        yield from self._written(sampler)
        if self._calls:
            yield from self._forced(sampler)

    def _read(self, piece: bytes) -> int:
        """Go on behind a token of free text; how many of its bytes do not fit what follows."""
        was, rest = self._phase, piece
        if self._phase is Phase.HEAD:
            rest = self._look(piece)
        while rest and self._rules is None and (found := self._scanner.feed(rest)):
            mark, rest = found
            self._reached(mark)
        free = self._phase is Phase.ANSWER and self._rules is None
        if free and (found := self._loose.feed(rest)):
            mark, rest = found
            self._call_loosely(mark)
        if self._phase is Phase.THOUGHT:
            self._num_thought += was is Phase.THOUGHT
            self._limit()
            return 0
        return len(rest) if self._rules is not None and not self._rules.spell(rest) else 0

    def _look(self, piece: bytes) -> bytes:
        """Find out what the head is; the text that belongs to what follows it."""
        self._head += piece
        begun = self._head.lstrip()
        if begun.startswith(self._opens):
            self._think()
            return begun[len(self._opens) :]
        if self._opens.startswith(begun):
            return b""
        self._phase = Phase.ANSWER
        if self._rules is None:
            self._go_free()
        return self._head

    def _reached(self, mark: bytes) -> None:
        if self._phase is Phase.THOUGHT and mark == self._closes:
            self._answer()
        else:
            self._call()

    def _limit(self) -> None:
        """Close a thought that has used up its budget."""
        if 0 <= self._thought.budget <= self._num_thought:
            self._end_thought()

    def _end_thought(self) -> None:
        """Have the closing tag written, or the rest of it where the model spells it in letters."""
        spelled = self._model.special(self._thought.closes) == NO_TOKEN
        self._owe(self._closes[self._scanner.begun(self._closes) if spelled else 0 :])
        self._answer()

    # --- what follows -----------------------------------------------------------------------------

    def _think(self) -> None:
        self._phase, self._rules = Phase.THOUGHT, None
        calls = () if self._grammar.after else self._triggers
        self._scanner = MarkScanner((self._closes, *calls))

    def _answer(self) -> None:
        self._phase = Phase.ANSWER
        if self._binds and self._compiled:
            self._rules = self._compiled.answer()
        else:
            self._go_free()

    def _call(self) -> None:
        assert self._compiled is not None
        self._phase, self._rules = Phase.ANSWER, self._compiled.call()

    def _call_loosely(self, trigger: bytes) -> None:
        assert self._compiled is not None
        self._rules = self._compiled.loose()
        self._rules.spell(trigger)
        self._loose = LooseScanner(self._loose_triggers, MORE)  # for the next one

    def _go_free(self) -> None:
        self._rules, self._scanner = None, MarkScanner(self._triggers)

    # --- tokens -----------------------------------------------------------------------------------

    def _owe(self, text: bytes) -> None:
        self._owed.extend(self._model.spelled(text.decode("utf-8", "replace")))

    def _written(self, sampler: SamplerChain) -> Iterator[int]:
        while self._owed:
            token = self._owed.popleft()
            sampler.accept([token])
            yield token

    def _piece(self, token: int) -> bytes:
        return self._tags.get(token) or self._model.piece(token)


def thought_of(grammar: Grammar, thinking: Thinking | None) -> Thinking:
    """What is thought before an answer; without a closing tag, nothing.

    A grammar that does not begin `after` a thought binds the first word, unless it binds calls.
    """
    if grammar.after:
        budget = thinking.budget if thinking else -1
        return Thinking(grammar.opens, grammar.after, not grammar.opens, budget)
    at_once = grammar.required or grammar.kind not in ("", "shape")
    return thinking if thinking and not at_once else Thinking("", "")
