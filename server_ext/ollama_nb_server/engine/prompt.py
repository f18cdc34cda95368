"""From a prompt's segments to its tokens.

What a segment is stands in `messages`; who cuts prompts into them is the parent's affair.
"""

from __future__ import annotations

from collections import abc

from ollama_nb_server.engine.errors import UnknownToken
from ollama_nb_server.engine.messages import Segment, TextSegment, TokenSegment
from ollama_nb_server.engine.native import Model


def prompt_tokens(model: Model, segments: abc.Sequence[Segment]) -> list[int]:
    """The tokens of a prompt's segments, and none besides.

    Raises
    ------
    UnknownToken
        If a segment holds an id that the vocabulary does not have.
    """
    return [token for segment in segments for token in _tokens(model, segment)]


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


def _tokens(model: Model, segment: Segment) -> abc.Sequence[int]:
    match segment:
        case TextSegment(text, parse_special):
            return model.tokenize(text, add_special=False, parse_special=parse_special)
        case TokenSegment(tokens):
            for token in (min(tokens, default=0), max(tokens, default=0)):
                if not 0 <= token < model.num_vocab:
                    raise UnknownToken(token, model.num_vocab)
            return tokens
