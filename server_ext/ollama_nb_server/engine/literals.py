"""From text that must not become special tokens to its tokens.

llama.cpp matches user-defined tokens even where special ones are not to be parsed; what keeps them
from being found is a letter in their middle, whose tokens are taken out again.
"""

from __future__ import annotations

from collections import abc

from ollama_nb_server.engine.native import Model

SEAMS = range(0xE000, 0xF900)  # private use: no text of a vocabulary has them


def literal_tokens(model: Model, pieces: abc.Sequence[str]) -> list[int]:
    """The tokens of a text whose pieces meet where no token may reach over the seam.

    The words around a seam keep the tokens that they have in the whole text: with pieces cut into
    tokens one by one, SentencePiece would put a blank before each.
    """
    if len(pieces) > 1 and (seam := _unused(pieces)):
        tokens = _read(model, seam.join(pieces))
        kept = _without(model, tokens, seam.encode())
        if kept is not None:
            return kept
    return [token for piece in pieces for token in _read(model, piece)]


def _read(model: Model, text: str) -> list[int]:
    return model.tokenize(text, add_special=False, parse_special=False)


def _unused(pieces: abc.Sequence[str]) -> str:
    letters = set().union(*pieces)
    return next((chr(code) for code in SEAMS if chr(code) not in letters), "")


def _without(model: Model, tokens: abc.Sequence[int], seam: bytes) -> list[int] | None:
    """The tokens but those that make up a seam; None if one of them is more than that."""
    texts = {token: model.piece(token) for token in set(tokens)}
    kept: list[int] = []
    held: list[int] = []  # tokens that may turn out to be a seam
    begun = b""
    for token in tokens:
        begun += texts[token]
        held.append(token)
        if begun == seam:
            held, begun = [], b""
        elif not seam.startswith(begun):
            kept += held
            held, begun = [], b""
    kept += held
    return None if seam in b"".join(texts[token] for token in kept) else kept
