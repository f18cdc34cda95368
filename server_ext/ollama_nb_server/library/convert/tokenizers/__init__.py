"""Tokenizers: which of the files is read, and all of GGUF's keys about them."""

from __future__ import annotations

from ollama_nb_server.library.convert.config import Config
from ollama_nb_server.library.convert.errors import BadTokenizer
from ollama_nb_server.library.convert.folder import Folder
from ollama_nb_server.library.convert.metadata import Metadata, flag, text
from ollama_nb_server.library.convert.tokenizers import (
    bpe,
    sentencepiece,
    tokenizer_json,
    wordpiece,
)
from ollama_nb_server.library.convert.tokenizers.special import SpecialTokens
from ollama_nb_server.library.convert.tokenizers.templates import chat_template
from ollama_nb_server.library.convert.tokenizers.tokenizer_json import TokenizerJson
from ollama_nb_server.library.convert.tokenizers.vocabulary import Vocabulary


def metadata(folder: Folder, config: Config, keeps_spaces: bool) -> Metadata:
    """All keys under `tokenizer`.

    Raises
    ------
    BadTokenizer
        If there is none that can be read, or it does not fit the model.
    """
    file = tokenizer_json.read(folder)
    vocabulary = _vocabulary(folder, file, config.vocab)
    special = SpecialTokens(folder, file, vocabulary)
    generation = Config(folder.object("generation_config.json"))
    found = {**vocabulary.metadata(), **special.metadata(config, generation)}
    if (template := chat_template(folder)) and vocabulary.model != "bert":
        found["tokenizer.chat_template"] = text(template)
    spaced = folder.object("tokenizer_config.json").get("add_prefix_space")
    if keeps_spaces or isinstance(spaced, bool):
        found["tokenizer.ggml.add_space_prefix"] = flag(bool(spaced) and not keeps_spaces)
    return found


def _vocabulary(folder: Folder, file: TokenizerJson, size: int) -> Vocabulary:
    if folder.has(sentencepiece.FILE):
        try:
            vocabulary = sentencepiece.read(folder, size)
        except BadTokenizer:
            if not file.values:  # else it may be another format of that name (tiktoken's)
                raise
        else:
            _add_further(folder, file, vocabulary)
            return vocabulary
    if file.kind == "BPE" and file.values:
        fallback = bool(file.model.get("byte_fallback"))
        return bpe.byte_fallback(file, size) if fallback else bpe.byte_level(file, size)
    if file.values or folder.has(wordpiece.FILE):
        return wordpiece.read(folder, file, size)
    raise BadTokenizer("there is no tokenizer.json, tokenizer.model or vocab.txt")


def _add_further(folder: Folder, file: TokenizerJson, vocabulary: Vocabulary) -> None:
    """Tokens that were added to a SentencePiece model, in the files that may list them."""
    for content, number in folder.object("added_tokens.json").items():
        if isinstance(number, int):
            vocabulary.add(number, content, special=False)
    listed = folder.object("tokenizer_config.json").get("added_tokens_decoder")
    for number, entry in (listed if isinstance(listed, dict) else {}).items():
        if number.isdecimal() and isinstance(entry, dict) and isinstance(entry.get("content"), str):
            vocabulary.add(int(number), entry["content"], bool(entry.get("special")))
    for added in file.added:
        vocabulary.add(added.number, added.content, added.special)
