"""WordPiece: BERT's vocabulary, from `vocab.txt` or `tokenizer.json`.

llama.cpp marks the beginning of a word (U+2581) where BERT marks its continuation (`##`).
"""

from __future__ import annotations

from gguf import TokenType

from ollama_nb_server.library.convert.errors import BadTokenizer
from ollama_nb_server.library.convert.folder import Folder
from ollama_nb_server.library.convert.tokenizers.tokenizer_json import TokenizerJson
from ollama_nb_server.library.convert.tokenizers.vocabulary import (
    SPACE,
    Token,
    Vocabulary,
    padded,
)

FILE = "vocab.txt"
CONTINUATION = "##"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def read(folder: Folder, file: TokenizerJson, size: int) -> Vocabulary:
    """The vocabulary, with as many tokens as the embedding has rows.

    Raises
    ------
    BadTokenizer
        If it is of another kind, or does not fit.
    """
    numbers = _numbers(folder, file)
    special = {added.number for added in file.added if added.special}
    special |= {numbers[name] for name in SPECIAL if name in numbers}
    tokens = {number: _token(text, number in special) for text, number in numbers.items()}
    for added in file.added:
        tokens.setdefault(added.number, _token(added.content, added.special))
    return Vocabulary("bert", "default", padded(tokens, size))


def _numbers(folder: Folder, file: TokenizerJson) -> dict[str, int]:
    if not file.values:
        lines = folder.text(FILE).splitlines()
        return {line.rstrip("\r"): number for number, line in enumerate(lines)}
    prefix = file.model.get("continuing_subword_prefix", CONTINUATION)
    if file.kind != "WordPiece" or prefix != CONTINUATION:
        raise BadTokenizer(f"a tokenizer of the kind {file.kind} is not one of a BERT model")
    return file.vocab


def _token(text: str, special: bool) -> Token:
    if special:
        return Token(text.encode(), TokenType.CONTROL)
    if text.startswith(CONTINUATION):
        return Token(text.removeprefix(CONTINUATION).encode())
    return Token(f"{SPACE}{text}".encode())
