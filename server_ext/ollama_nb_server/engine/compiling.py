"""From a request's grammar to llguidance's: the model's tokens, the way JSON is written, places.

Rewriting is `schemas.rewriting`'s. Runs on the thread of `grammar`, off everybody's tokens.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from ollama_nb_server.engine.errors import GrammarRefused
from ollama_nb_server.engine.gbnf import rules
from ollama_nb_server.engine.messages import Grammar
from ollama_nb_server.engine.native import Model
from ollama_nb_server.engine.schemas.costs import check_costs
from ollama_nb_server.engine.schemas.numerals import Numerals
from ollama_nb_server.engine.schemas.rewriting import Prepared, prepared, read

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

MAX_LEXER_STATES = 50_000  # 1 to 2 kB each
MIN_ITEMS, ITEMS_PER_TOKEN = 50_000, 4  # of a parser's step; letter by letter JSON needs 3
# One way to write JSON: what is not a choice is not drawn.
WRITING: JsonCompileOptions = {
    "item_separator": ", ",
    "key_separator": ": ",
    "whitespace_flexible": False,
}
BLANKS = "WS: /[ \\t\\r\\n]{1,2}/\n"  # models like a line of their own for what follows a thought
ANY_OBJECT = '{"type": "object"}'
MAX_REASON = 300  # letters
MAX_SEARCH_S = 2  # for the part of a schema that cannot be compiled
MAX_REGULAR_RULES = 500  # of one regular expression: more take llguidance seconds
ENDLESS = "what must be written has no end, or is too long"


@dataclass(frozen=True, slots=True)
class Bases:
    """Matchers at the beginning, to be copied: of the answer, and of a thought or the answer.

    `numerals` bounds the digits of numbers, where the answer is JSON.
    """

    answer: LLMatcher
    head: LLMatcher | None
    num_vocab: int
    mask_words: int  # of 32 tokens
    numerals: Numerals | None = None


class Compiler:
    """Compiles for one model. Making one builds the table of its tokens (150,000: a second)."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._tokens: LLTokenizer | None = None
        self._reason = ""
        try:
            vocabulary = model.vocabulary()
            self._tokens = table(model, vocabulary)
            self._numerals = Numerals(vocabulary, self._mask_words)
        except ValueError as error:  # a vocabulary that cannot be cut at any byte
            self._reason = str(error)

    def compile(self, grammar: Grammar) -> Bases:
        """Matchers for a grammar.

        Raises
        ------
        GrammarRefused
            If it cannot be compiled, or nothing fits it; with the place that is wrong.
        """
        if self._tokens is None:
            reason = f"this model's tokens cannot be constrained: {self._reason}"
            raise GrammarRefused(reason, "", about(grammar))
        if grammar.kind == "gbnf":
            return self._of_rules(grammar)
        if grammar.kind in ("json_object", "json_schema"):
            return self._of_schema(grammar)
        raise GrammarRefused(f"there is no grammar of kind {grammar.kind!r}", "")

    def _of_rules(self, grammar: Grammar) -> Bases:
        """One regular expression if the grammar can be one, else letter by letter."""
        one = rules(grammar.text, regular=True)
        if len(one.texts) <= MAX_REGULAR_RULES:
            with suppress(GrammarRefused):
                return self._bases(grammar, {"lark_grammar": one.lark})
        letters = rules(grammar.text, regular=False)
        return self._bases(grammar, {"lark_grammar": letters.lark})

    def _of_schema(self, grammar: Grammar) -> Bases:
        """Closed objects if that leaves answers, else as wide as the schema says."""
        root = read(grammar.text if grammar.kind == "json_schema" else ANY_OBJECT)
        overlap = None
        try:
            narrow = prepared(root, close=True)
        except GrammarRefused as refusal:
            overlap = refusal  # of a `oneOf`; llguidance may know better
        else:
            check_costs(narrow)
            with suppress(GrammarRefused):
                return self._bases(grammar, answer_of(narrow.document))
        wide = prepared(root, close=False)
        check_costs(wide)
        try:
            return self._bases(grammar, answer_of(wide.document))
        except GrammarRefused as refusal:
            reason = refusal.reason
        if overlap and "oneOf" in reason:
            raise overlap
        raise GrammarRefused(reason, self._place_of(wide, reason))

    def _bases(self, grammar: Grammar, answer: dict[str, Any]) -> Bases:
        """Matchers for an answer, behind a thought if there may be one."""
        numerals = None if grammar.kind == "gbnf" else self._numerals
        made = partial(Bases, num_vocab=self._model.num_vocab, mask_words=self._mask_words)
        alone = self._base(grammar, [answer])  # what is wrong with it could hide behind a thought
        if not grammar.after:
            return made(alone, None, numerals=numerals)
        named = {**answer, "name": "answer"}
        blanks = {"lark_grammar": f"start: WS? @answer\n{BLANKS}"}
        behind = self._base(grammar, [blanks, named])
        if not grammar.opens:
            return made(behind, None, numerals=numerals)
        start = {"lark_grammar": f"start: {self._mark(grammar.opens)} | @answer\n"}
        return made(behind, self._base(grammar, [start, named]), numerals=numerals)

    def _mark(self, text: str) -> str:
        """A tag in llguidance's notation: one token if the model has it, else its text."""
        tokens = self._model.tokenize(text, add_special=False)
        return f"<[{tokens[0]}]>" if len(tokens) == 1 else orjson.dumps(text).decode()

    def _base(self, grammar: Grammar, grammars: list[dict[str, Any]]) -> LLMatcher:
        matcher, reason = self._tried(grammars)
        if reason:
            raise GrammarRefused(reason, "", about(grammar))
        return matcher

    def _tried(self, grammars: list[dict[str, Any]]) -> tuple[LLMatcher, str]:
        """A matcher that has found its first tokens (its copies need not again), and its fault.

        A copy goes on behind what must be written: what shows only there is a fault as well.
        """
        assert self._tokens is not None
        text = orjson.dumps({"grammars": grammars}).decode()
        matcher = LLMatcher(self._tokens, text, log_level=0, limits=self._limits)
        self._find(matcher)
        if matcher.is_error():
            return matcher, first_line(matcher.get_error())
        ahead = matcher.deep_copy()
        forced = ahead.compute_ff_tokens()
        if forced and ahead.consume_tokens(forced) and not ahead.is_stopped():
            self._find(ahead)
        return matcher, first_line(ahead.get_error()) if ahead.is_error() else ""

    def _find(self, matcher: LLMatcher) -> None:
        """Have the tokens found that may follow."""
        mask = np.zeros(self._mask_words, np.int32)
        if not matcher.is_error():
            matcher.unsafe_compute_mask_ptr(mask.ctypes.data, mask.nbytes)

    def _problem(self, document: dict[str, Any]) -> str:
        """Why a schema cannot be compiled, "" if it can."""
        return self._tried([answer_of(document)])[1]

    def _place_of(self, schema: Prepared, reason: str) -> str:
        """The innermost part that fails alone for the same reason, if it is found in time."""
        until = time.monotonic() + MAX_SEARCH_S
        for place, part in sorted(schema.parts, key=lambda part: -part[0].count("/")):
            if time.monotonic() > until:
                break
            if self._problem(schema.alone(part)) == reason:
                return f"{place}/pattern" if "pattern" in part and "regex" in reason else place
        return ""

    @property
    def _limits(self) -> LLParserLimits:
        return LLParserLimits(
            verbose_errors=False,
            max_lexer_states=MAX_LEXER_STATES,
            step_max_items=max(MIN_ITEMS, ITEMS_PER_TOKEN * self._model.num_vocab),
        )

    @property
    def _mask_words(self) -> int:
        assert self._tokens is not None
        return (self._tokens.vocab_size + 31) // 32


def table(model: Model, tokens: list[bytes]) -> LLTokenizer:
    """A model's tokens for llguidance, which cuts forced text with llama.cpp's own tokenizer."""
    ends = [token for token in range(model.num_vocab) if model.is_end(token)]
    if not ends:  # an end must be thinkable, though it cannot be drawn
        tokens, ends = [*tokens, b"\xff<end>"], [len(tokens)]
    vocabulary, function = model.tokenizer_addresses()
    made: LLTokenizer = LLTokenizer.from_llamacpp(  # type: ignore[attr-defined]  # not in its stubs
        tokens=tokens, vocab_ptr=vocabulary, tokenize_fptr=function, eos_token=ends, slices=None
    )
    return made


def answer_of(document: dict[str, Any]) -> dict[str, Any]:
    """A schema as one of llguidance's grammars."""
    return {"json_schema": {**document, "x-guidance": WRITING}}


def about(grammar: Grammar) -> str:
    """What a request calls this kind of grammar."""
    return "grammar" if grammar.kind == "gbnf" else "format"


def first_line(text: str) -> str:
    """Llguidance's reason without its state and the translation, on one line."""
    if "ff_tokens" in text:
        return ENDLESS
    told = re.split(r"<(?:state|non-verbose)|\n +1 \|", text)[0]
    told = re.sub(r"\s+", " ", told).strip()
    told = re.sub(r"^regex parse error: .*error: ", "the regex cannot be used: ", told)
    told = re.sub(r"^(?:at )?\d+\(\d+\): ", "", told)
    return "nothing fits it" if told in ("", "NoExtensionBias") else told[:MAX_REASON]
