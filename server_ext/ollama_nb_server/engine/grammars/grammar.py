"""Grammars of one model: compiled on threads of their own, kept, and matched against answers.

What is compiled to what is said in `compiling`; when an answer is bound by it, in `constraint`.
"""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher

from ollama_nb_server.engine.errors import EngineError, GrammarDeadEnd, InternalError
from ollama_nb_server.engine.grammars.compiling import Bases, Compiler
from ollama_nb_server.engine.grammars.guidance import first_line
from ollama_nb_server.engine.grammars.schemas.numerals import NumeralState
from ollama_nb_server.engine.messages import Grammar
from ollama_nb_server.engine.native import Context, Ints, Model
from ollama_nb_server.engine.sampling.chain import SamplerChain

# Two threads, so that what is long keeps nobody waiting. Their stacks are reserved, hardly used:
# chains of definitions are followed recursively, and short texts have no long ones.
SHORT_LETTERS = 8 << 10
STACK_BYTES = {"short": 64 << 20, "long": 512 << 20}
FEW_WORDS = 512  # of a mask, with 32 tokens each
KEPT_BYTES = 4 << 20  # of the texts of compiled grammars


class Matcher:
    """What may follow in one answer, as far as it has come."""

    def __init__(self, base: LLMatcher, bases: Bases) -> None:
        self._matcher = base.deep_copy()
        self._mask: Ints = np.zeros(bases.mask_words, np.int32)
        self._num_vocab = bases.num_vocab
        self._numerals, self._place = bases.numerals, NumeralState()
        self._spelled = bases.spelled

    @property
    def complete(self) -> bool:
        """Whether nothing may follow."""
        return bool(self._matcher.is_stopped()) and not self._matcher.is_error()

    @property
    def accepting(self) -> bool:
        """Whether all may end here, though more may follow."""
        return bool(self._matcher.is_accepting()) and not self._matcher.is_stopped()

    def fits(self, tokens: Sequence[int]) -> bool:
        """Whether all of these may follow."""
        return self._matcher.validate_tokens(list(tokens)) == len(tokens)

    def spell(self, text: bytes) -> bool:
        """Go on behind a text that has been written already, if it may follow at all."""
        tokens = self._spelled(text.decode("utf-8", "replace")) if text else []
        if not self.fits(tokens):
            return False
        for token in tokens:
            self.take(token)
        return True

    def look_ahead(self) -> None:
        """Find out what may follow; llguidance keeps it until a token is taken."""
        if not self.forced():
            self.compute_mask()

    def draw(self, sampler: SamplerChain, context: Context, output: int) -> int:
        """Draw a token that may follow; chain and grammar know of it afterwards.

        Few tokens are an array of their own for the chain. Where almost all may follow, the
        likeliest of them are looked for; if these do not say all, the others' logits are put out
        for the time of the draw.

        Raises
        ------
        GrammarDeadEnd
            If no token may follow.
        """
        forced = self.forced()
        if forced:
            token = self._begin(forced[0], sampler, context, output)
        else:
            token = self._choose(sampler, context, output)
        self.take(token)
        return token

    def _begin(self, forced: int, sampler: SamplerChain, context: Context, output: int) -> int:
        """The first token of text that is certain: the model's own choice if it spells that text.

        So an answer that would have fitted anyhow stays as it is, in the model's own tokens. Only
        beginnings come here: further on, what is forced has been written before the next draw.
        """
        logits = context.logits(output)
        own = sampler.likely(logits)
        if own is None:
            own = sampler.pick(logits, np.arange(self._num_vocab, dtype=np.int32))
        token = own if self.fits([own]) else forced
        sampler.accept([token])
        return token

    def _choose(self, sampler: SamplerChain, context: Context, output: int) -> int:
        self.compute_mask()
        words = np.flatnonzero(self._mask)
        if len(words) <= FEW_WORDS:
            return sampler.choose(context.logits(output), self._tokens(words))
        token = sampler.likely(context.logits(output), self._mask)
        if token is not None:
            sampler.accept([token])
            return token
        with context.without(self._forbidden(), output):
            return sampler.sample(context, output)

    def allowed(self) -> Ints:
        """Ids of the tokens that may follow, in order; never none."""
        self.compute_mask()
        return self._tokens(np.flatnonzero(self._mask))

    def compute_mask(self) -> None:
        """Find out what may follow; the rest of a draw needs it."""
        if not self._matcher.is_error():
            self._matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
        if self._matcher.is_error():
            raise GrammarDeadEnd(first_line(self._matcher.get_error()))
        if self._numerals:
            self._numerals.narrow(self._place, self._mask)

    def _tokens(self, words: npt.NDArray[np.intp]) -> Ints:
        """The tokens whose bits are set in these words of the mask."""
        bits = np.flatnonzero(np.unpackbits(self._mask[words].view(np.uint8), bitorder="little"))
        tokens: Ints = (words[bits >> 5] * 32 + (bits & 31)).astype(np.int32)
        tokens = tokens[: np.searchsorted(tokens, self._num_vocab)]
        if not len(tokens):
            raise GrammarDeadEnd("an answer may end here, and the model has no token for that")
        return tokens

    def _forbidden(self) -> npt.NDArray[np.intp]:
        bits = np.unpackbits(self._mask.view(np.uint8), count=self._num_vocab, bitorder="little")
        return np.flatnonzero(bits == 0)

    def forced(self) -> list[int]:
        """Tokens that must follow, cut as the model itself would cut their text.

        Behind a special token SentencePiece puts a blank, or eats some: these are no such tokens.
        """
        tokens = list(self._matcher.compute_ff_tokens())
        if self.fits(tokens):
            return tokens
        text = bytes(self._matcher.compute_ff_bytes()).decode("utf-8", "replace")
        tokens = self._spelled(text)[:-1]  # the last one may go on in what is not certain
        return tokens if self.fits(tokens) else []

    def take(self, token: int) -> None:
        """Go on behind a token."""
        if not self._matcher.consume_token(token):
            raise GrammarDeadEnd(first_line(self._matcher.get_error()))
        if self._numerals:
            self._place = self._numerals.place(self._place, token)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A grammar that is ready."""

    bases: Bases

    def answer(self) -> Matcher:
        """For an answer, at its beginning."""
        return Matcher(self.bases.answer, self.bases)

    def call(self) -> Matcher:
        """For a call, behind what opens it."""
        return Matcher(self.bases.call or self.bases.answer, self.bases)

    def loose(self) -> Matcher:
        """For a loose call, from its trigger on."""
        return Matcher(self.bases.loose or self.bases.answer, self.bases)

    def head(self) -> Matcher | None:
        """For what may be a thought or the answer, where that is open."""
        return Matcher(self.bases.head, self.bases) if self.bases.head else None


@dataclass(slots=True)
class GrammarJob:
    """A grammar that is to be compiled, and whom to tell."""

    grammar: Grammar
    done: Callable[[Compiled | EngineError], None]
    dropped: bool = False

    def drop(self) -> None:
        """Nobody waits for it any more: it need not begin."""
        self.dropped = True


class Grammars:
    """Compiles for one model and keeps the latest.

    `done` is called on a thread that compiles, or at once for what is kept.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._lock = threading.Lock()  # around `_kept`
        self._kept: OrderedDict[Grammar, Compiled] = OrderedDict()
        self._making = threading.Lock()  # around `_made`
        self._made: Compiler | None = None
        self._jobs: dict[str, queue.SimpleQueue[GrammarJob]] = {
            length: queue.SimpleQueue() for length in STACK_BYTES
        }

    def begin(self) -> None:
        """Start the threads; the first thing they do is the table of the model's tokens."""
        before = threading.stack_size()
        for length, stack in STACK_BYTES.items():
            threading.stack_size(stack)
            work, name = partial(self._work, self._jobs[length]), f"grammars-{length}"
            threading.Thread(target=work, daemon=True, name=name).start()
        threading.stack_size(before)

    def compile(
        self, grammar: Grammar, done: Callable[[Compiled | EngineError], None]
    ) -> GrammarJob:
        """Have a grammar compiled or refused."""
        job = GrammarJob(grammar, done)
        with self._lock:
            compiled = self._kept.get(grammar)
            if compiled:
                self._kept.move_to_end(grammar)
        if compiled:
            done(compiled)
        else:
            self._jobs["short" if len(grammar.text) <= SHORT_LETTERS else "long"].put(job)
        return job

    def _work(self, jobs: queue.SimpleQueue[GrammarJob]) -> None:
        compiler = self._compiler()
        while True:
            job = jobs.get()
            if job.dropped:
                continue
            try:
                job.done(self._compiled(job.grammar, compiler))
            except EngineError as error:
                job.done(error)
            except Exception as error:  # it is this request's alone
                job.done(InternalError.of(error))

    def _compiler(self) -> Compiler:
        """The one of both threads: the first makes it, the other waits."""
        with self._making:
            self._made = self._made or Compiler(self._model)
            return self._made

    def _compiled(self, grammar: Grammar, compiler: Compiler) -> Compiled:
        with self._lock:
            compiled = self._kept.get(grammar)
        if compiled is None:
            compiled = Compiled(compiler.compile(grammar))
            with self._lock:
                self._kept[grammar] = compiled
                while len(self._kept) > 1 and self._kept_bytes > KEPT_BYTES:
                    self._kept.popitem(last=False)
        return compiled

    @property
    def _kept_bytes(self) -> int:
        return sum(len(grammar.text) + len(grammar.loose) + 4096 for grammar in self._kept)
