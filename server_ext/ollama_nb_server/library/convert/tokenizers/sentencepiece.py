"""SentencePiece's `tokenizer.model`: a list of pieces with scores.

Fields of ModelProto and SentencePiece: https://github.com/google/sentencepiece,
src/sentencepiece_model.proto.
"""

from __future__ import annotations

from gguf import TokenType

from ollama_nb_server.library.convert.errors import BadTokenizer
from ollama_nb_server.library.convert.folder import Folder
from ollama_nb_server.library.convert.tokenizers import protobuf
from ollama_nb_server.library.convert.tokenizers.vocabulary import Token, Vocabulary, padded

FILE = "tokenizer.model"
PIECES, TEXT, SCORE, KIND = 1, 1, 2, 3  # field numbers
USER_DEFINED = 4
MAX_PIECES = 4 << 20


def read(folder: Folder, size: int) -> Vocabulary:
    """The vocabulary, with as many tokens as the embedding has rows.

    Raises
    ------
    BadTokenizer
        If the file is none of SentencePiece's, or does not fit.
    """
    try:
        pieces = dict(enumerate(_pieces(folder.bytes(FILE))))
    except protobuf.NotProtobuf as error:
        raise BadTokenizer(f"{FILE} is no SentencePiece model: {error}") from error
    if not pieces:
        raise BadTokenizer(f"{FILE} is no SentencePiece model: it has no pieces")
    return Vocabulary("llama", "default", padded(pieces, size), scored=True)


def _pieces(data: bytes) -> list[Token]:
    found: list[Token] = []
    for number, value in protobuf.fields(memoryview(data)):
        if number == PIECES and isinstance(value, memoryview):
            found.append(_piece(value))
        if len(found) > MAX_PIECES:
            raise protobuf.NotProtobuf(f"more than {MAX_PIECES} pieces")
    return found


def _piece(data: memoryview) -> Token:
    token = Token(b"")
    for number, value in protobuf.fields(data):
        if number == TEXT:
            token.data = protobuf.raw(value)
        elif number == SCORE:
            token.score = protobuf.float32(value)
        elif number == KIND:
            token.kind = protobuf.whole(value)
    # llama.cpp merges pieces that a user defined like all others: SentencePiece does so, too.
    token.kind = TokenType.NORMAL if token.kind == USER_DEFINED else token.kind
    if token.kind not in tuple(TokenType):
        raise protobuf.NotProtobuf(f"a piece of type {token.kind}")
    return token
