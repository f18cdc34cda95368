"""What a GGUF header says, as a value; long arrays are read from the file when asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ollama_nb_server.library.gguf.cursor import Cursor
from ollama_nb_server.library.gguf.tables import FILE_TYPES
from ollama_nb_server.library.gguf.tensors import Tensor, count_elements
from ollama_nb_server.library.gguf.values import LongArray, read_array


@dataclass(frozen=True)
class GGUFMetadata:
    """The header of one file."""

    path: Path
    values: dict[str, Any]
    tensors: Sequence[Tensor] = field(repr=False, default=())

    def get(self, key: str, default: Any = None) -> Any:
        """A value by its key; a long array is read now, numbers as a NumPy array."""
        value = self.values.get(key, default)
        return self._read(value) if isinstance(value, LongArray) else value

    def of_architecture(self, key: str, default: Any = None) -> Any:
        """`<architecture>.<key>`."""
        return self.get(f"{self.architecture}.{key}", default)

    def items(self, *, arrays: bool) -> Iterator[tuple[str, Any]]:
        """All keys; without `arrays`, every array is None."""
        for key, value in self.values.items():
            if isinstance(value, LongArray | list):
                yield key, self.get(key) if arrays else None
            else:
                yield key, value

    def _read(self, array: LongArray) -> Any:
        with self.path.open("rb") as file:
            return read_array(Cursor(file, self.path.stat().st_size, array.offset), array)

    def _text(self, key: str, default: str) -> str:
        value = self.values.get(key)
        return value if isinstance(value, str) else default

    def _count(self, key: str) -> int:
        """A number that counts something; 0 for anything else."""
        value = self.values.get(key)
        return max(value, 0) if isinstance(value, int) and not isinstance(value, bool) else 0

    @property
    def architecture(self) -> str:
        """`general.architecture`."""
        return self._text("general.architecture", "unknown")

    @property
    def kind(self) -> str:
        """`general.type`: model, adapter, projector, ..."""
        return self._text("general.type", "model")

    @property
    def chat_template(self) -> str:
        """The Jinja chat template, or nothing."""
        return self._text("tokenizer.chat_template", "")

    @property
    def tool_template(self) -> str:
        """The one for requests with tools, or nothing: few models have another one for these."""
        return self._text("tokenizer.chat_template.tool_use", "")

    def token(self, role: str) -> str | None:
        """The text of the token with a role (`bos`, `eos`, ...), if the file tells it."""
        number, tokens = self.values.get(f"tokenizer.ggml.{role}_token_id"), None
        if isinstance(number, int):
            tokens = self.get("tokenizer.ggml.tokens")
        if not isinstance(tokens, list) or not 0 <= int(number or 0) < len(tokens):
            return None
        return str(tokens[int(number or 0)])

    @property
    def context_length(self) -> int:
        """Tokens that the model was trained with (0: not told)."""
        return self._count(f"{self.architecture}.context_length")

    @property
    def embedding_length(self) -> int:
        """Length of an embedding (0: not told)."""
        return self._count(f"{self.architecture}.embedding_length")

    @property
    def pools(self) -> bool:
        """Whether it has a pooling type: then it embeds and does nothing else."""
        return f"{self.architecture}.pooling_type" in self.values

    @property
    def file_type(self) -> str:
        """Name of the quantisation."""
        return FILE_TYPES.get(self._count("general.file_type"), "unknown")

    @cached_property
    def parameter_count(self) -> int:
        """Number of all tensors' values."""
        return count_elements(self.tensors)

    @property
    def parameter_size(self) -> str:
        """The same for people: `8.0B`, `915K`."""
        return human_number(self.parameter_count)


def human_number(count: int) -> str:
    """`8.0B` style numbers, as Ollama prints them."""
    if count >= 1_000_000_000:
        number = count / 1e9
        return f"{number:.0f}B" if number == math.floor(number) else f"{number:.1f}B"
    if count >= 1_000_000:
        number = count / 1e6
        return f"{number:.0f}M" if number == math.floor(number) else f"{number:.2f}M"
    return f"{count / 1000:.0f}K" if count >= 1000 else str(count)
