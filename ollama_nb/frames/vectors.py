"""Vectors of texts, from the cache or from the model: only texts that are new are embedded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.asking.embedding import embed_fields, vectors_of
from ollama_nb.cache.embeddings import VectorCache
from ollama_nb.cache.rows import key_of
from ollama_nb.connection.options import checked
from ollama_nb.managing.digests import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# Texts of one call in the statistics. What a batch of it gives is kept at once: whatever ends the
# call, Ctrl-C or a quota, costs no more than a batch.
CALL_TEXTS = 512

_cache = VectorCache()


def kept_vectors(
    texts: Sequence[str],
    *,
    model: str,
    batch_size: int | None = None,
    on_kept: Callable[[int], object] = int,
    **how: Any,
) -> Any:
    """Return an array (texts, dimensions) of float32.

    Parameters
    ----------
    texts
        Different ones, with all that stands before them: a vector is found by the whole text. No
        text gives an array of shape (0, 0).
    batch_size
        Texts of one call.
    on_kept
        Is told how many more are there.
    model, how
        As for `ollama_nb.embed()`.
    """
    import numpy as np

    if not texts:
        return np.empty((0, 0), dtype=np.float32)
    keys = _keys(texts, model, how)
    found = _cache.found(keys)
    new = [place for place, key in enumerate(keys) if key not in found]
    on_kept(len(texts) - len(new))
    step = batch_size or CALL_TEXTS
    fields = embed_fields(model, **how)
    for begin in range(0, len(new), step):
        places = new[begin : begin + step]

        def keep(first: int, vectors: Any, places: Sequence[int] = places) -> None:
            rows = zip(places[first : first + len(vectors)], vectors.astype("<f4"), strict=True)
            made = {keys[place]: row.tobytes() for place, row in rows}
            _cache.keep(model, made)
            found.update(made)
            on_kept(len(made))

        vectors_of([texts[place] for place in places], fields, keep)
    return np.stack([np.frombuffer(found[key], dtype="<f4") for key in keys]).astype(np.float32)


def _keys(texts: Sequence[str], model: str, how: Mapping[str, Any]) -> list[str]:
    asked = {"dimensions": how.get("dimensions"), "options": checked(how.get("options") or {})}
    digest = digest_of(model)
    return [key_of(digest, {"embed": text, **asked}) for text in texts]
