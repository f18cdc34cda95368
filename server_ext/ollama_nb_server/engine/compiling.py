"""From a request's grammar to llguidance's: the model's tokens, the way JSON is written, places.

Rewriting of schemas is in `schema`. Runs on the thread of `grammar`, off everybody's tokens.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from ollama_nb_server.engine.errors import GrammarRefused
from ollama_nb_server.engine.messages import Grammar
from ollama_nb_server.engine.native import Model
from ollama_nb_server.engine.schema import Prepared, prepared, read

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

LIMITS = LLParserLimits(verbose_errors=False, max_lexer_states=50_000)  # 1 to 2 kB each
# One way to write JSON: what is not a choice is not drawn.
WRITING: JsonCompileOptions = {
    "item_separator": ", ",
    "key_separator": ": ",
    "whitespace_flexible": False,
}
BLANKS = "WS: /[ \\t\\r\\n]{1,2}/\n"  # models like a line of their own for what follows a thought
ANY_OBJECT = '{"type": "object"}'
MAX_REASON = 300  # letters
MAX_PARTS = 500  # looked at in search of what cannot be compiled


@dataclass(frozen=True, slots=True)
class Bases:
    """Matchers at the beginning, to be copied: of the answer, and of a thought or the answer."""

    answer: LLMatcher
    head: LLMatcher | None
    num_vocab: int
    mask_words: int  # of 32 tokens


class Compiler:
    """Compiles for one model. Making one builds the table of its tokens (150,000: a second)."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._tokens: LLTokenizer | None = None
        self._reason = ""
        try:
            self._tokens = table(model)
        except ValueError as error:  # a vocabulary that cannot be cut at any byte
            self._reason = str(error)

    def compile(self, grammar: Grammar) -> Bases:
        """Matchers for a grammar.

        Raises
        ------
        GrammarRefused
            If it cannot be compiled, or nothing fits it.
        """
        if self._tokens is None:
            raise GrammarRefused(f"this model's tokens cannot be constrained: {self._reason}", "")
        answer = {"json_schema": {**document(grammar), "x-guidance": WRITING}}
        if not grammar.after:
            return self._bases(self._base([answer]))
        named = {**answer, "name": "answer"}
        behind = self._base([{"lark_grammar": f"start: WS? @answer\n{BLANKS}"}, named])
        if not grammar.opens:
            return self._bases(behind)
        start = f"start: {self._mark(grammar.opens)} | @answer\n"
        return self._bases(behind, self._base([{"lark_grammar": start}, named]))

    def _bases(self, answer: LLMatcher, head: LLMatcher | None = None) -> Bases:
        return Bases(answer, head, self._model.num_vocab, self._mask_words)

    def _mark(self, text: str) -> str:
        """A tag in llguidance's notation: one token if the model has it, else its text."""
        tokens = self._model.tokenize(text, add_special=False)
        return f"<[{tokens[0]}]>" if len(tokens) == 1 else orjson.dumps(text).decode()

    def _base(self, grammars: list[dict[str, Any]]) -> LLMatcher:
        """A matcher that has found its first tokens (its copies need not again)."""
        assert self._tokens is not None
        text = orjson.dumps({"grammars": grammars}).decode()
        matcher = LLMatcher(self._tokens, text, log_level=0, limits=LIMITS)
        mask = np.zeros(self._mask_words, np.int32)
        if not matcher.is_error():
            matcher.unsafe_compute_mask_ptr(mask.ctypes.data, mask.nbytes)
        if matcher.is_error():
            raise GrammarRefused(first_line(matcher.get_error()), "")
        return matcher

    @property
    def _mask_words(self) -> int:
        assert self._tokens is not None
        return (self._tokens.vocab_size + 31) // 32


def table(model: Model) -> LLTokenizer:
    """A model's tokens for llguidance, which cuts forced text with llama.cpp's own tokenizer."""
    tokens = model.vocabulary()
    ends = [token for token in range(model.num_vocab) if model.is_end(token)]
    if not ends:  # an end must be thinkable, though it cannot be drawn
        tokens, ends = [*tokens, b"\xff<end>"], [len(tokens)]
    vocabulary, function = model.tokenizer_addresses()
    made: LLTokenizer = LLTokenizer.from_llamacpp(  # type: ignore[attr-defined]  # not in its stubs
        tokens=tokens, vocab_ptr=vocabulary, tokenize_fptr=function, eos_token=ends, slices=None
    )
    return made


def document(grammar: Grammar) -> dict[str, Any]:
    """The schema to compile: closed objects if that leaves answers, else as wide as it says.

    Raises
    ------
    GrammarRefused
        If the schema as it was sent cannot be compiled, with the place in it.
    """
    if grammar.kind not in ("json_object", "json_schema"):
        raise GrammarRefused(f"there is no grammar of kind {grammar.kind!r}", "")
    root = read(grammar.text if grammar.kind == "json_schema" else ANY_OBJECT)
    wide, overlap = prepared(root, close=False), None
    try:
        narrow = prepared(root, close=True)
        if not problem(narrow.document):
            return narrow.document
    except GrammarRefused as refusal:
        overlap = refusal  # of a `oneOf`; llguidance may know better
    reason = problem(wide.document)
    if overlap and "oneOf" in reason:
        raise overlap
    if reason:
        raise GrammarRefused(reason, place_of(wide, reason))
    return wide.document


def problem(document: dict[str, Any]) -> str:
    """Why llguidance cannot compile a schema, "" if it can."""
    try:
        grammar = LLMatcher.grammar_from_json_schema(document, overrides=WRITING)
        failed, told = LLMatcher.validate_grammar_with_warnings(grammar, limits=LIMITS)
    except ValueError as error:
        return first_line(str(error))
    return first_line(told[0]) if failed else ""


def place_of(schema: Prepared, reason: str) -> str:
    """The innermost part that fails alone for the same reason."""
    parts = sorted(schema.parts[:MAX_PARTS], key=lambda part: -part[0].count("/"))
    for place, part in parts:
        if problem(schema.alone(part)) == reason:
            return f"{place}/pattern" if "pattern" in part and "regex" in reason else place
    return ""


def first_line(text: str) -> str:
    """Llguidance's reason without its state, on one line."""
    told = re.sub(r"\s+", " ", re.split(r"<(?:state|non-verbose)", text)[0]).strip()
    told = re.sub(r"^regex parse error: .*error: ", "the regex cannot be used: ", told)
    return "nothing fits it" if told in ("", "NoExtensionBias") else told[:MAX_REASON]
