"""Control tokens as text: which of them a request wants to read.

llama.cpp writes them as nothing, so that a turn's end is not part of its text. Some open what a
reader must find: a call, a thought, a channel.
"""

from __future__ import annotations

from collections.abc import Iterable

from ollama_nb_server.engine.native import NO_TOKEN, Model


def tag_tokens(model: Model, texts: Iterable[str]) -> dict[int, bytes]:
    """The special tokens of these texts, and the bytes that each stands for.

    A text that is no special token of this vocabulary is left out: it is written by its letters.
    """
    found = {model.special(text): text.encode() for text in texts}
    found.pop(NO_TOKEN, None)
    return found
