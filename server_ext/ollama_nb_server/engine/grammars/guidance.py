"""Contact with llguidance: a model's tokens, and grammars that are tried before they are used.

What grammars say is `compiling`'s; how an answer follows one, `grammar`'s.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from ollama_nb_server.engine.native import Model

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
MAX_REASON = 300  # letters
ENDLESS = "what must be written has no end, or is too long"


class Guidance:
    """llguidance for one model. Making one builds the table of its tokens (150,000: a second).

    Raises
    ------
    ValueError
        If the vocabulary cannot be cut at any byte.
    """

    def __init__(self, model: Model, vocabulary: list[bytes]) -> None:
        self._tokens = table(model, vocabulary)
        self._limits = LLParserLimits(
            verbose_errors=False,
            max_lexer_states=MAX_LEXER_STATES,
            step_max_items=max(MIN_ITEMS, ITEMS_PER_TOKEN * model.num_vocab),
        )
        self.mask_words = (self._tokens.vocab_size + 31) // 32  # of 32 tokens each

    def tried(self, grammars: list[dict[str, Any]]) -> tuple[LLMatcher, str]:
        """A matcher that has found its first tokens (its copies need not again), and its fault.

        A copy goes on behind what must be written: what shows only there is a fault as well.
        """
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
        mask = np.zeros(self.mask_words, np.int32)
        if not matcher.is_error():
            matcher.unsafe_compute_mask_ptr(mask.ctypes.data, mask.nbytes)


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


def first_line(text: str) -> str:
    """Llguidance's reason without its state and the translation, on one line."""
    if "ff_tokens" in text:
        return ENDLESS
    told = re.split(r"<(?:state|non-verbose)|\n +1 \|", text)[0]
    told = re.sub(r"\s+", " ", told).strip()
    told = re.sub(r"^regex parse error: .*error: ", "the regex cannot be used: ", told)
    told = re.sub(r"^(?:at )?\d+\(\d+\): ", "", told)
    return "nothing fits it" if told in ("", "NoExtensionBias") else told[:MAX_REASON]
