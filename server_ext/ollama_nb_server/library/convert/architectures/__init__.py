"""The kinds of models that can be converted: one table for each, found by config.json's name."""

from __future__ import annotations

from ollama_nb_server.library.convert.architectures import bert, gemma, llama, phi, qwen
from ollama_nb_server.library.convert.architectures.table import Architecture
from ollama_nb_server.library.convert.errors import UnsupportedArchitecture

ALL: tuple[Architecture, ...] = (*llama.ALL, *qwen.ALL, *gemma.ALL, *phi.ALL, *bert.ALL)
BY_MODEL = {model: architecture for architecture in ALL for model in architecture.models}


def of_model(name: str) -> Architecture:
    """The table for a name of config.json's `architectures`.

    Raises
    ------
    UnsupportedArchitecture
        If there is none.
    """
    if name not in BY_MODEL:
        raise UnsupportedArchitecture(name)
    return BY_MODEL[name]


def of_base(name: str) -> Architecture:
    """The table for a GGUF architecture that an adapter is made for.

    Raises
    ------
    UnsupportedArchitecture
        If there is none, or it makes embeddings only.
    """
    for architecture in ALL:
        if architecture.name == name and architecture.adapts:
            return architecture
    raise UnsupportedArchitecture(name)
