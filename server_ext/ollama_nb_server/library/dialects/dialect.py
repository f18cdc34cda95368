"""A dialect as a value: how its files are told, and what is to be done with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import error as StructError

from ollama_nb_server.library.dialects.changes import Changes
from ollama_nb_server.library.dialects.errors import OldDialect
from ollama_nb_server.library.dialects.marks import Mark
from ollama_nb_server.library.gguf import GGUFMetadata


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way in which an older Ollama wrote one architecture.

    Parameters
    ----------
    name
        As reference/ollama-models.md 10.1 calls it.
    architecture
        `general.architecture` of its files.
    title
        The model, for people.
    shows
        Whether a file of this architecture is of this dialect. Never true for a file that
        llama.cpp's own converter wrote.
    why
        Why llama.cpp cannot load such a file as it is.
    translate
        What is to be changed; raises OldDialect for a file that cannot be helped.
    """

    name: str
    architecture: str
    title: str
    shows: Mark
    why: str
    translate: Callable[[GGUFMetadata], Changes]

    def changes(self, metadata: GGUFMetadata) -> Changes:
        """What is to be changed in a file of this dialect.

        Raises
        ------
        OldDialect
            If it cannot be translated.
        """
        try:
            changes = self.translate(metadata)
            for value in changes.values.values():
                value.encode()
        except (TypeError, ValueError, IndexError, StructError) as error:
            raise OldDialect(self.title, f"one of its keys is not of its kind ({error})") from error
        return changes
