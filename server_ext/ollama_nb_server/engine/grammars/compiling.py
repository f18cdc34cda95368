"""From a request's grammar to matchers: of an answer, of what may come before it, of calls.

Rewriting schemas is `schemas.rewriting`'s. Runs on the thread of `grammar`, off everybody's tokens.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from llguidance import LLMatcher

from ollama_nb_server.engine.errors import GrammarRefused
from ollama_nb_server.engine.grammars.gbnf import rules
from ollama_nb_server.engine.grammars.guidance import Guidance, answer_of
from ollama_nb_server.engine.grammars.schemas.costs import check_costs
from ollama_nb_server.engine.grammars.schemas.numerals import Numerals
from ollama_nb_server.engine.grammars.schemas.rewriting import Prepared, checked, prepared, read
from ollama_nb_server.engine.grammars.shapes import (
    ABOUT,
    JsonPart,
    ShapeGrammar,
    mark,
    shape_grammar,
)
from ollama_nb_server.engine.messages import Grammar
from ollama_nb_server.engine.native import Model

BLANKS = "WS: /[ \\t\\r\\n]{1,2}/\n"  # models like a line of their own for what follows a thought
ANY_OBJECT = '{"type": "object"}'
ANYTHING = {"type": ["object", "array", "string", "number", "boolean", "null"]}
MAX_SEARCH_S = 2  # for the part of a schema that cannot be compiled
MAX_SHAPE_S = 10  # for the schemas of a shape together: 200 usual ones take a quarter of a second
MAX_REGULAR_RULES = 500  # of one regular expression: more take llguidance seconds
TOO_SLOW = f"the schemas up to here take more than {MAX_SHAPE_S} s to compile"


@dataclass(frozen=True, slots=True)
class Bases:
    """Matchers at the beginning, to be copied: of the answer, and of a thought or the answer.

    `call` is of what stands behind a trigger, `loose` of a loose call. `numerals` bounds the digits
    of numbers, where JSON is written; `spelled` cuts a text into tokens.
    """

    answer: LLMatcher
    head: LLMatcher | None
    num_vocab: int
    mask_words: int  # of 32 tokens
    spelled: Callable[[str], list[int]]
    numerals: Numerals | None = None
    call: LLMatcher | None = None
    loose: LLMatcher | None = None


class Compiler:
    """Compiles for one model."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._guidance: Guidance | None = None
        self._reason = ""
        try:
            vocabulary = model.vocabulary()
            self._guidance = Guidance(model, vocabulary)
            self._numerals = Numerals(vocabulary, self._guidance.mask_words)
        except ValueError as error:  # a vocabulary that cannot be cut at any byte
            self._reason = str(error)

    def compile(self, grammar: Grammar) -> Bases:
        """Matchers for a grammar.

        Raises
        ------
        GrammarRefused
            If it cannot be compiled, or nothing fits it; with the place that is wrong.
        """
        if self._guidance is None:
            reason = f"this model's tokens cannot be constrained: {self._reason}"
            raise GrammarRefused(reason, "", about(grammar))
        if grammar.kind == "gbnf":
            return self._of_rules(grammar)
        if grammar.kind in ("json_object", "json_schema"):
            return self._of_schema(grammar)
        if grammar.kind == "shape":
            return self._of_shape(grammar)
        raise GrammarRefused(f"there is no grammar of kind {grammar.kind!r}", "")

    def _of_rules(self, grammar: Grammar) -> Bases:
        """One regular expression if the grammar can be one, else letter by letter."""
        one = rules(grammar.text, regular=True)
        if len(one.texts) <= MAX_REGULAR_RULES:
            with suppress(GrammarRefused):
                return self._of_lark(grammar, one.lark)
        return self._of_lark(grammar, rules(grammar.text, regular=False).lark)

    def _of_lark(self, grammar: Grammar, lark: str) -> Bases:
        answer = {"lark_grammar": lark}
        return self._bases(grammar, answer, self._base(grammar, [answer]))

    def _of_schema(self, grammar: Grammar) -> Bases:
        root = read(grammar.text if grammar.kind == "json_schema" else ANY_OBJECT)
        document, alone = self._document(root)
        return self._bases(grammar, answer_of(document), alone)

    def _bases(self, grammar: Grammar, answer: dict[str, Any], alone: LLMatcher) -> Bases:
        """Matchers for an answer, behind a thought if there may be one.

        It has been compiled alone before: what is wrong with it could hide behind a thought.
        """
        made = partial(self._made, numerals=None if grammar.kind == "gbnf" else self._numerals)
        if not grammar.after:
            return made(alone, None)
        named = {**answer, "name": "answer"}
        behind = self._base(grammar, [start_of("WS? @answer", BLANKS), named])
        if not grammar.opens:
            return made(behind, None)
        return made(behind, self._base(grammar, [self._head(grammar, "@answer"), named]))

    def _made(self, answer: LLMatcher, head: LLMatcher | None, **more: Any) -> Bases:
        assert self._guidance is not None
        model, words = self._model, self._guidance.mask_words
        return Bases(answer, head, model.num_vocab, words, model.spelled, **more)

    def _head(self, grammar: Grammar, answer: str, rules: str = "") -> dict[str, Any]:
        """A thought, as far as its opening tag, or the answer."""
        return start_of(f"{self._mark(grammar.opens)} | {answer}", rules)

    def _mark(self, text: str) -> str:
        return mark(text, self._model.special)

    def _base(self, grammar: Grammar, grammars: list[dict[str, Any]]) -> LLMatcher:
        assert self._guidance is not None
        matcher, reason = self._guidance.tried(grammars)
        if reason:
            raise GrammarRefused(reason, "", about(grammar))
        return matcher

    # --- calls ------------------------------------------------------------------------------------

    def _of_shape(self, grammar: Grammar) -> Bases:
        """A call, and what the answer begins with if one is required: its trigger before it."""
        shape = shape_grammar(grammar.text, self._model.special, grammar.loose)
        parts, rules = self._parts(shape), shape.lark
        call = self._base(grammar, [start_of("call", rules), *parts])
        loose = self._base(grammar, [start_of("loose", rules), *parts]) if grammar.loose else None
        made = partial(self._made, numerals=self._numerals, call=call, loose=loose)
        if not grammar.required:
            return made(call, None)
        first = " ".join(self._mark(trigger) for trigger in grammar.triggers[:1]) + " call"
        if not grammar.after:
            return made(self._base(grammar, [start_of(first, rules), *parts]), None)
        behind = self._base(grammar, [start_of(f"WS? {first}", BLANKS + rules), *parts])
        if not grammar.opens:
            return made(behind, None)
        return made(behind, self._base(grammar, [self._head(grammar, first, rules), *parts]))

    def _parts(self, shape: ShapeGrammar) -> list[dict[str, Any]]:
        """The schemas of a shape as the grammars that it refers to."""
        until = time.monotonic() + MAX_SHAPE_S
        found = []
        for number, part in enumerate(shape.parts):
            if time.monotonic() > until:
                raise GrammarRefused(TOO_SLOW, "", part.label)
            found.append({"name": f"json{number}", **answer_of(self._part(part))})
        return found

    def _part(self, part: JsonPart) -> dict[str, Any]:
        try:
            return self._document(checked(ANYTHING if part.schema is True else part.schema))[0]
        except GrammarRefused as refusal:
            raise GrammarRefused(refusal.reason, refusal.place, part.label) from refusal

    # --- schemas ----------------------------------------------------------------------------------

    def _document(self, root: dict[str, Any]) -> tuple[dict[str, Any], LLMatcher]:
        """Closed objects if that leaves answers, else as wide as it says; and their matcher."""
        assert self._guidance is not None
        overlap = None
        try:
            narrow = prepared(root, close=True)
        except GrammarRefused as refusal:
            overlap = refusal  # of a `oneOf`; llguidance may know better
        else:
            check_costs(narrow)
            matcher, reason = self._guidance.tried([answer_of(narrow.document)])
            if not reason:
                return narrow.document, matcher
        wide = prepared(root, close=False)
        check_costs(wide)
        matcher, reason = self._guidance.tried([answer_of(wide.document)])
        if not reason:
            return wide.document, matcher
        if overlap and "oneOf" in reason:
            raise overlap
        raise GrammarRefused(reason, self._place_of(wide, reason))

    def _place_of(self, schema: Prepared, reason: str) -> str:
        """The innermost part that fails alone for the same reason, if it is found in time."""
        assert self._guidance is not None
        until = time.monotonic() + MAX_SEARCH_S
        for place, part in sorted(schema.parts, key=lambda part: -part[0].count("/")):
            if time.monotonic() > until:
                break
            if self._guidance.tried([answer_of(schema.alone(part))])[1] == reason:
                return f"{place}/pattern" if "pattern" in part and "regex" in reason else place
        return ""


def start_of(what: str, rules: str) -> dict[str, Any]:
    """What begins so, as one of llguidance's grammars."""
    return {"lark_grammar": f"start: {what}\n{rules}"}


def about(grammar: Grammar) -> str:
    """What a request calls this kind of grammar."""
    return {"gbnf": "grammar", "shape": ABOUT}.get(grammar.kind, "format")
