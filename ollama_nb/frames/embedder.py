"""`Embedder`: a model with the interface of sentence-transformers, for libraries that take one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.asking.embedding import embedding_model
from ollama_nb.asking.embedding_prefixes import prefixes_of
from ollama_nb.errors import NotText
from ollama_nb.frames.errors import BadColumns
from ollama_nb.frames.vectors import kept_vectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Embedder:
    """Turns texts into arrays; vectors are kept on disk, so that a text is embedded once.

    Parameters
    ----------
    model
        Default as for `ollama_nb.embed()`.
    dimensions, options, keep_alive
        As for `ollama_nb.embed()`.
    query_prefix, document_prefix
        What `encode_query()` and `encode_document()` put before a text; those that the model was
        trained with unless they are given.

    Examples
    --------
    >>> embedder = Embedder("all-minilm")  # doctest: +SKIP
    >>> BERTopic().fit_transform(texts, embeddings=embedder.encode(texts))  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        dimensions: int | None = None,
        options: Mapping[str, Any] | None = None,
        keep_alive: float | str | None = None,
        query_prefix: str | None = None,
        document_prefix: str | None = None,
    ) -> None:
        self.model = model or embedding_model()
        self._how = {"dimensions": dimensions, "options": options, "keep_alive": keep_alive}
        self._prefixes = {"query": query_prefix, "document": document_prefix}

    def __repr__(self) -> str:
        return f"Embedder({self.model!r})"

    def encode(
        self,
        sentences: str | Iterable[str],
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        *,
        convert_to_numpy: bool = True,
        normalize_embeddings: bool = False,
    ) -> Any:
        """Return the vectors of texts.

        Parameters
        ----------
        sentences
            A text, or texts in any order and number.
        prompt_name
            "query" or "document" for the prefix of that name.
        prompt
            A prefix of your own; texts are embedded as they are without one.
        batch_size
            How many texts are embedded, and kept, together; a request has 64 at most.
        show_progress_bar
            Show a bar of texts.
        convert_to_numpy
            There are only arrays: False is refused.
        normalize_embeddings
            Vectors have length one either way: models answer so.

        Returns
        -------
        numpy.ndarray
            float32: (texts, dimensions), (0, 0) without a text; of one text (dimensions,).

        Raises
        ------
        NotText
            For a value that is no text, missing ones (NA) too.
        BadPurpose
            For another `prompt_name`.
        OllamaNbError
            When there is no server, no such model, or no answer.
        """
        import numpy as np
        from tqdm.auto import tqdm

        if not convert_to_numpy:
            raise BadColumns("encode() returns an array: leave convert_to_numpy out")
        if batch_size is not None and (isinstance(batch_size, bool) or batch_size < 1):
            raise BadColumns(f"batch_size is a number of texts from 1, not {batch_size!r}")
        before = self._prefix(prompt_name) if prompt is None and prompt_name else prompt or ""
        texts = [sentences] if isinstance(sentences, str) else _texts(sentences)
        asked = list(dict.fromkeys(f"{before}{text}" for text in texts))
        with tqdm(total=len(asked), unit="text", disable=not show_progress_bar) as bar:
            how = {**self._how, "batch_size": batch_size, "on_kept": bar.update}
            vectors = kept_vectors(asked, model=self.model, **how)
        places = {text: place for place, text in enumerate(asked)}
        rows = np.array([places[f"{before}{text}"] for text in texts], dtype=int)
        return vectors[0] if isinstance(sentences, str) else vectors[rows]

    def encode_query(self, sentences: str | Iterable[str], **how: Any) -> Any:
        """Return the vectors of questions, as `encode()`, with the model's own prefix."""
        return self.encode(sentences, prompt_name="query", **how)

    def encode_document(self, sentences: str | Iterable[str], **how: Any) -> Any:
        """Return the vectors of texts to be found, as `encode()`, with the model's own prefix."""
        return self.encode(sentences, prompt_name="document", **how)

    def get_sentence_embedding_dimension(self) -> int:
        """Return how many numbers a vector has; asks the model for one, which is kept."""
        return int(self.encode("a").shape[0])

    def _prefix(self, purpose: str) -> str:
        own = self._prefixes.get(purpose)
        return prefixes_of(self.model).of(purpose) if own is None else own


def _texts(sentences: Iterable[str]) -> list[str]:
    if not hasattr(sentences, "__iter__") or hasattr(sentences, "columns"):
        raise NotText("sentences", sentences, "encode() takes a text or a list of texts")
    texts = list(sentences)
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise NotText(f"the text at {place}", text)
    return [str(text) for text in texts]
