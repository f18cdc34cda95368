"""From a prompt's segments to its tokens.

What a segment is stands in `messages`; who cuts prompts into them is the parent's affair.
"""

from __future__ import annotations

import string
from collections import abc

from ollama_nb_server.engine.errors import CannotSee, UnknownToken
from ollama_nb_server.engine.literals import literal_tokens
from ollama_nb_server.engine.messages import ImageSegment, Segment, TextSegment, TokenSegment
from ollama_nb_server.engine.native import EATS_BEFORE, EATS_BEHIND, Model

BLANKS = string.whitespace  # C's `isspace`


def prompt_tokens(model: Model, segments: abc.Sequence[Segment]) -> list[int]:
    """The tokens of a prompt's segments, and none besides.

    Raises
    ------
    UnknownToken
        If a segment holds an id that the vocabulary does not have.
    """
    parts = [[] if _is_literal(segment) else _tokens(model, segment) for segment in segments]
    for at, segment in enumerate(segments):
        if isinstance(segment, TextSegment) and _is_literal(segment):
            before, behind = parts[max(at - 1, 0)], parts[min(at + 1, len(parts) - 1)]
            text = _bared(model, before, segment.text, behind)
            parts[at] = literal_tokens(model, text, segment.seam)
    return [token for part in parts for token in part]


def whole_prompt_tokens(model: Model, segments: abc.Sequence[Segment]) -> list[int]:
    """The same as a model reads it: BOS where it wants it; never none, for one must be decoded.

    Raises
    ------
    UnknownToken
        As above.
    """
    tokens = prompt_tokens(model, segments)
    begins_with_text = bool(segments) and isinstance(segments[0], TextSegment)
    return (model.with_special(tokens) if begins_with_text else tokens) or [max(model.bos, 0)]


def prompt_length(segments: abc.Sequence[Segment]) -> int:
    """Letters and ids to be read: how long that takes."""
    return sum(map(_length, segments))


def _length(segment: Segment) -> int:
    match segment:
        case TextSegment(text):
            return len(text)
        case TokenSegment(tokens):
            return len(tokens)
        case ImageSegment(data):
            return len(data)


def _is_literal(segment: Segment) -> bool:
    return isinstance(segment, TextSegment) and not segment.parse_special


def _bared(model: Model, before: abc.Sequence[int], text: str, behind: abc.Sequence[int]) -> str:
    """A literal text without the blanks that special tokens next to it eat, as llama.cpp does."""
    if before and model.attributes[before[-1]] & EATS_BEHIND:
        text = text.lstrip(BLANKS)
    if behind and model.attributes[behind[0]] & EATS_BEFORE:
        text = text.rstrip(BLANKS)
    return text


def _tokens(model: Model, segment: Segment) -> list[int]:
    match segment:
        case TextSegment(text):
            return model.tokenize(text, add_special=False)
        case TokenSegment(tokens):
            for token in (min(tokens, default=0), max(tokens, default=0)):
                if not 0 <= token < model.num_vocab:
                    raise UnknownToken(token, model.num_vocab)
            return list(tokens)
        case ImageSegment():
            raise CannotSee


def public_tokens(model: Model, public: abc.Sequence[Segment]) -> list[int]:
    """The tokens of a text that is everybody's, as prompts begin with them.

    Not its last one: what stands behind the text may become one token with its end.
    """
    return whole_prompt_tokens(model, public)[:-1] if public else []
