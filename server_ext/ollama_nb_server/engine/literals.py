"""From text that must not become special tokens to its tokens.

llama.cpp matches user-defined tokens even where special ones are not to be parsed; what keeps them
from being found is a letter in their middle, whose tokens are taken out again.
"""

from __future__ import annotations

from collections import abc

from ollama_nb_server.engine.native import Model


def literal_tokens(model: Model, text: str, seam: str) -> list[int]:
    """The tokens of a text in which no token reaches over a seam.

    The words around a seam keep the tokens that they have in the whole text: with what is between
    seams cut into tokens piece by piece, SentencePiece would put a blank before each.
    """
    if not seam or seam not in text:
        return _read(model, text)
    tokens, num_seams = _without_seams(model, _read(model, text), seam.encode())
    if num_seams == text.count(seam):
        return tokens
    return [token for piece in text.split(seam) for token in _read(model, piece)]


def _read(model: Model, text: str) -> list[int]:
    return model.tokenize(text, add_special=False, parse_special=False)


def _without_seams(model: Model, tokens: abc.Sequence[int], seam: bytes) -> tuple[list[int], int]:
    """The tokens but those that make up a seam and nothing else, and how many seams these were."""
    texts = {token: model.piece(token) for token in set(tokens)}
    kept: list[int] = []
    held: list[int] = []  # tokens that may turn out to be a seam
    begun, num_seams = b"", 0
    for token in tokens:
        begun += texts[token]
        held.append(token)
        if begun == seam:
            num_seams += 1
        elif seam.startswith(begun):
            continue
        else:
            kept += held
        held, begun = [], b""
    return kept + held, num_seams
