"""From a prompt's segments to its tokens.

What a segment is stands in `messages`; who cuts prompts into them is the parent's affair.
"""

from __future__ import annotations

import string
from collections import abc
from itertools import groupby

from ollama_nb_server.engine.errors import UnknownToken
from ollama_nb_server.engine.literals import literal_tokens
from ollama_nb_server.engine.messages import Segment, TextSegment, TokenSegment
from ollama_nb_server.engine.native import EATS_BEFORE, EATS_BEHIND, Model

BLANKS = string.whitespace  # C's `isspace`


def prompt_tokens(model: Model, segments: abc.Sequence[Segment]) -> list[int]:
    """The tokens of a prompt's segments, and none besides.

    Raises
    ------
    UnknownToken
        If a segment holds an id that the vocabulary does not have.
    """
    groups = [(literal, list(group)) for literal, group in groupby(segments, _is_literal)]
    parts = [[] if literal else _parsed(model, group) for literal, group in groups]
    for at, (literal, group) in enumerate(groups):
        if literal:
            before, behind = parts[max(at - 1, 0)], (*parts[at + 1 : at + 2], [])[0]
            parts[at] = literal_tokens(model, _bared(model, before, _texts(group), behind))
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
    return sum(len(s.text if isinstance(s, TextSegment) else s.tokens) for s in segments)


def _is_literal(segment: Segment) -> bool:
    return isinstance(segment, TextSegment) and not segment.parse_special


def _texts(segments: abc.Iterable[Segment]) -> list[str]:
    return [segment.text for segment in segments if isinstance(segment, TextSegment)]


def _bared(
    model: Model, before: abc.Sequence[int], pieces: list[str], behind: abc.Sequence[int]
) -> list[str]:
    """A literal text without the blanks that special tokens next to it eat, as llama.cpp does."""
    if before and model.attributes[before[-1]] & EATS_BEHIND:
        pieces[0] = pieces[0].lstrip(BLANKS)
    if behind and model.attributes[behind[0]] & EATS_BEFORE:
        pieces[-1] = pieces[-1].rstrip(BLANKS)
    return pieces


def _parsed(model: Model, segments: abc.Iterable[Segment]) -> list[int]:
    return [token for segment in segments for token in _tokens(model, segment)]


def _tokens(model: Model, segment: Segment) -> abc.Sequence[int]:
    match segment:
        case TextSegment(text):
            return model.tokenize(text, add_special=False)
        case TokenSegment(tokens):
            for token in (min(tokens, default=0), max(tokens, default=0)):
                if not 0 <= token < model.num_vocab:
                    raise UnknownToken(token, model.num_vocab)
            return tokens
