"""What embedding models want to stand before a question, and before a text that may answer it.

Each was trained with words of its own, which are facts of its card and exact, blanks included. A
model is known by the names in its metadata and by the name that it is called by.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ollama_nb.connection.calling import asked
from ollama_nb.connection.current import current
from ollama_nb.connection.failures import translated
from ollama_nb.errors import BadPurpose
from ollama_nb.managing.digests import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable

PASSAGES = "Represent this sentence for searching relevant passages: "
WEB_SEARCH = (
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
)
METADATA = ("general.name", "general.basename", "general.architecture")


@dataclass(frozen=True, slots=True)
class EmbeddingPrefixes:
    """What stands before a query and before a document; empty for nothing."""

    query: str = ""
    document: str = ""

    def of(self, purpose: str) -> str:
        """Return the prefix of a query or of a document.

        Raises
        ------
        BadPurpose
        """
        if purpose == "query":
            return self.query
        if purpose == "document":
            return self.document
        raise BadPurpose(purpose)


NOTHING = EmbeddingPrefixes()
# The first that fits a name counts; names are in small letters with - for blanks, _ and dots.
FAMILIES: tuple[tuple[str, EmbeddingPrefixes], ...] = (
    (r"nomic-embed-code", EmbeddingPrefixes("Represent this query for searching relevant code: ")),
    (
        r"nomic-embed|nomic-bert|modernbert-embed",
        EmbeddingPrefixes("search_query: ", "search_document: "),
    ),
    (r"arctic-embed2|arctic-embed-[ml]-v2", EmbeddingPrefixes("query: ")),
    (r"arctic-embed|mxbai-embed|uae-large", EmbeddingPrefixes(PASSAGES)),
    (r"\bbge-(small|base|large)-zh", EmbeddingPrefixes("为这个句子生成表示以用于检索相关文章：")),
    (r"\bbge-(small|base|large)", EmbeddingPrefixes(PASSAGES)),
    (r"\be5-mistral|\be5\b.*-instruct", EmbeddingPrefixes(f"{WEB_SEARCH} ")),
    (r"\be5-(small|base|large)", EmbeddingPrefixes("query: ", "passage: ")),
    (
        r"embedding-?gemma|gemma-embedding",
        EmbeddingPrefixes("task: search result | query: ", "title: none | text: "),
    ),
    (r"qwen3-embedding", EmbeddingPrefixes(WEB_SEARCH)),
    (r"gte-qwen", EmbeddingPrefixes(f"{WEB_SEARCH} ")),
    (r"jina-embeddings-v4", EmbeddingPrefixes("Query: ", "Passage: ")),
)
_of_models: dict[tuple[str, str], EmbeddingPrefixes] = {}  # by the digest, and the name


def prefixes_of(model: str) -> EmbeddingPrefixes:
    """Return the prefixes that a model was trained with; none where it is not known.

    Raises
    ------
    ModelNotFound
        If the server does not have the model.
    """
    key = (digest_of(model), model)
    if key not in _of_models:
        _of_models[key] = known_prefixes([model]) or known_prefixes(_metadata(model)) or NOTHING
    return _of_models[key]


def known_prefixes(names: Iterable[str]) -> EmbeddingPrefixes | None:
    """Return the prefixes of the family that one of the names is of.

    >>> known_prefixes(["hf.co/nomic-ai/nomic-embed-text-v1.5-GGUF:Q8_0"]).query
    'search_query: '
    """
    for name in names:
        spelled = re.sub(r"[\s_.]+", "-", name.casefold())
        for pattern, prefixes in FAMILIES:
            if re.search(pattern, spelled):
                return prefixes
    return None


def _metadata(model: str) -> list[str]:
    """Return what a model's file says that it is."""
    connection = current()
    with translated(connection, model):
        info = asked(connection, "/api/show", {"model": model}).get("model_info") or {}
    return [str(info[key]) for key in METADATA if info.get(key)]
