"""/api/embed and /api/embeddings (reference/ollama-http-api.md 8 and 9)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ollama_nb_server.wire.bounds import MAX_TEXT_CHARS, MAX_TEXTS
from ollama_nb_server.wire.durations import KeepAliveField
from ollama_nb_server.wire.encoding import encoded
from ollama_nb_server.wire.errors import BadInput, TooMuch
from ollama_nb_server.wire.extras import Extras, Waits
from ollama_nb_server.wire.golike import GoInt, GoModel, Text


class EmbedRequest(GoModel):
    """One text or many."""

    go_name: ClassVar[str] = "EmbedRequest"

    model: str | None = None
    input: Any = None
    truncate: bool | None = None
    dimensions: GoInt | None = None
    keep_alive: KeepAliveField = None
    options: dict[str, Any] | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts to embed; none for an absent or empty input.

        Raises
        ------
        BadInput
            For anything but a text or a list of texts.
        TooMuch
            For too many of them.
        """
        if self.input is None or self.input == "":
            return ()
        texts = [self.input] if isinstance(self.input, str) else self.input
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise BadInput
        if len(texts) > MAX_TEXTS:
            raise TooMuch(f"{len(texts):,} texts are more than {MAX_TEXTS:,}; send them in parts")
        if max(map(len, texts), default=0) > MAX_TEXT_CHARS:
            raise TooMuch(f"a text of the input is longer than {MAX_TEXT_CHARS:,} letters")
        return tuple(texts)


class EmbeddingsRequest(GoModel):
    """One text, the old way."""

    go_name: ClassVar[str] = "EmbeddingRequest"

    model: str | None = None
    prompt: Text | None = None
    keep_alive: KeepAliveField = None
    options: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class EmbedResponse:
    """One row a text: float32 (texts, dimensions)."""

    model: str
    embeddings: npt.NDArray[np.float32] | None
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    warnings: tuple[str, ...] = ()
    truncated: tuple[int, int] | None = None  # tokens before, tokens kept
    waited: Waits = field(default_factory=Waits)
    prompt_s: float | None = None

    @property
    def nb(self) -> Extras:
        """What Ollama has no field for."""
        before, kept = self.truncated or (0, 0)
        return Extras(
            warnings=self.warnings,
            truncated_tokens=before - kept,
            prompt_s=self.prompt_s,
            queue_s=self.waited.queue_s,
            load_s=self.waited.load_s,
        )

    @property
    def num_values(self) -> int:
        """About how many values its document has."""
        return 0 if self.embeddings is None else self.embeddings.size

    def encode(self) -> bytes:
        """The JSON document."""
        return encoded(self.document())

    def document(self) -> dict[str, Any]:
        """As JSON; orjson prints float32 in its shortest form."""
        rows: Any = [] if self.embeddings is None else np.ascontiguousarray(self.embeddings)
        document: dict[str, Any] = {"model": self.model, "embeddings": rows}
        for name in ("total_duration", "load_duration", "prompt_eval_count"):
            if value := getattr(self, name):
                document[name] = value
        return document


@dataclass(frozen=True, slots=True)
class EmbeddingsResponse:
    """The vector of one text."""

    embedding: npt.NDArray[np.float64] | None
    warnings: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """The JSON document."""
        row: Any = [] if self.embedding is None else self.embedding
        return encoded({"embedding": row})
