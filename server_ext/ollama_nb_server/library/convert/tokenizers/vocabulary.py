"""A vocabulary as GGUF holds it: tokens with their types, and what its kind needs besides."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from gguf import TokenType

from ollama_nb_server.library.convert.errors import BadTokenizer
from ollama_nb_server.library.convert.metadata import Metadata, floats, text, texts, whole

ADDED_SCORE, PADDING_SCORE = -1000.0, -10_000.0
SPACE = "\u2581"  # SentencePiece's sign for one
# Control tokens that some tokenizers do not mark as special.
CONTROL = re.compile(r"<pad>|<mask>|<2mass>|\[@BOS@\]|<\|.*\|>|<｜.*｜>|<unused.*>", re.S)


@dataclass(slots=True)
class Token:
    """One token: its text (bytes, as some are no text), type and score."""

    data: bytes
    kind: int = TokenType.NORMAL
    score: float = 0.0


@dataclass(slots=True)
class Vocabulary:
    """All tokens by their ids; `model` and `pre` are GGUF's names of the kind."""

    model: str
    pre: str
    tokens: list[Token]
    scored: bool = False
    merges: list[str] = field(default_factory=list)

    def metadata(self) -> Metadata:
        """The keys under `tokenizer.ggml`."""
        found = {
            "model": text(self.model),
            "pre": text(self.pre),
            "tokens": texts([token.data for token in self.tokens]),
            "token_type": whole([int(token.kind) for token in self.tokens]),
        }
        if self.scored:
            found["scores"] = floats([token.score for token in self.tokens])
        if self.merges:
            found["merges"] = texts(self.merges)
        return {f"tokenizer.ggml.{key}": value for key, value in found.items()}

    def add(self, number: int, content: str, special: bool) -> None:
        """Put an added token in its place. One without a row in the embedding cannot be used."""
        if not 0 <= number < len(self.tokens):
            return
        control = special or CONTROL.fullmatch(content) is not None
        data = content if control else content.replace(SPACE, " ")
        kind = TokenType.CONTROL if control else TokenType.USER_DEFINED
        self.tokens[number] = Token(data.encode(), kind, ADDED_SCORE)

    def index(self) -> dict[bytes, int]:
        """Token -> id."""
        return {token.data: number for number, token in enumerate(self.tokens)}


def padded(tokens: dict[int, Token], size: int) -> list[Token]:
    """The tokens in order, gaps filled.

    Raises
    ------
    BadTokenizer
        If there are none, or one has no row in the embedding.
    """
    if not tokens:
        raise BadTokenizer("the tokenizer has no tokens")
    if max(tokens) >= size:
        raise BadTokenizer(
            f"the tokenizer has {max(tokens) + 1} tokens, the model's embedding has {size}"
        )
    return [tokens.get(number) or padding(number) for number in range(size)]


def padding(number: int) -> Token:
    """What stands for a row of the embedding that no token has."""
    return Token(f"[PAD{number}]".encode(), TokenType.UNUSED, PADDING_SCORE)
