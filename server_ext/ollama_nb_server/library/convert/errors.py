"""The ways in which a folder cannot be made a GGUF file.

CannotConvert              the sentence that the child said, on the parent's side
├── BadFolder              a file is missing, or is not what its name says
├── UnsupportedArchitecture
├── BadConfig              config.json says too little, or what cannot be
├── BadWeights             tensors that are missing, unknown, cut, or of another shape
├── BadTokenizer           a vocabulary that cannot be read, or does not fit the weights
└── BadAdapter             a LoRA adapter of another kind
NoConfig, ConversionFailed (which are answered with 500)
"""

from __future__ import annotations

from ollama_nb_server.library.errors import BadRequestFact, LibraryError


class CannotConvert(BadRequestFact):
    """The files are not a model that can be converted; the sentence says why."""


class BadFolder(CannotConvert):
    """A file is missing, or is not what its name says."""


class UnsupportedArchitecture(CannotConvert):
    """A kind of model that there is no table for; `name` is the one of config.json."""

    def __init__(self, name: str) -> None:
        super().__init__(f'unsupported architecture "{name}"')
        self.name = name


class BadConfig(CannotConvert):
    """config.json says too little, or what cannot be."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"config.json: {reason}")


class BadWeights(CannotConvert):
    """Tensors that are missing, unknown, cut, or of another shape than config.json says."""


class BadTokenizer(CannotConvert):
    """A vocabulary that cannot be read, or does not fit the weights."""


class BadAdapter(CannotConvert):
    """A LoRA adapter that cannot be written as GGUF."""


class NoConfig(LibraryError):
    """The file that says what a folder holds is missing; Ollama answers 500 with this sentence."""

    def __init__(self, name: str) -> None:
        super().__init__(f"open {name}: no such file or directory")
        self.name = name


class ConversionFailed(LibraryError):
    """The conversion ended without a reason that lies in the files: no space, no memory."""
