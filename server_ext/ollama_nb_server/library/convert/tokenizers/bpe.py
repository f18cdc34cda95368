"""BPE of `tokenizer.json`: over bytes (GPT-2's), or SentencePiece's with bytes as a way out."""

from __future__ import annotations

import re

from gguf import TokenType

from ollama_nb_server.library.convert.tokenizers.pretokenizers import name_of
from ollama_nb_server.library.convert.tokenizers.tokenizer_json import TokenizerJson
from ollama_nb_server.library.convert.tokenizers.vocabulary import (
    ADDED_SCORE,
    Token,
    Vocabulary,
    padded,
)

BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
SPACE_BYTE = "\u0120"  # how byte-level BPE writes a space


def byte_level(file: TokenizerJson, size: int) -> Vocabulary:
    """Tokens over bytes, merged by rank inside the pieces of a pre-tokenizer.

    Raises
    ------
    BadTokenizer
        If the pre-tokenizer is not known, or the tokens do not fit.
    """
    tokens = {number: Token(content.encode()) for content, number in file.vocab.items()}
    vocabulary = Vocabulary("gpt2", name_of(file), padded(tokens, size))
    vocabulary.merges = [" ".join(part.replace(" ", SPACE_BYTE) for part in p) for p in file.merges]
    for added in file.added:
        vocabulary.add(added.number, added.content, added.special)
    return vocabulary


def byte_fallback(file: TokenizerJson, size: int) -> Vocabulary:
    """SentencePiece's pieces, whose model file was not kept.

    llama.cpp merges by score where the file has ranks: a piece gets the rank of the first merge
    that makes it.
    """
    scores: dict[str, float] = {}
    for rank, pair in enumerate(file.merges):
        scores.setdefault("".join(pair), -float(rank))
    tokens = {
        number: Token(content.encode(), _kind(content), scores.get(content, ADDED_SCORE))
        for content, number in file.vocab.items()
    }
    if (unknown := file.vocab.get(str(file.model.get("unk_token")))) is not None:
        tokens[unknown].kind = TokenType.UNKNOWN
    vocabulary = Vocabulary("llama", "default", padded(tokens, size), scored=True)
    for added in file.added:
        if added.number != unknown:
            vocabulary.add(added.number, added.content, added.special)
    return vocabulary


def _kind(content: str) -> TokenType:
    return TokenType.BYTE if BYTE.fullmatch(content) else TokenType.NORMAL
