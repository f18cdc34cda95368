"""How far a request is, in words: what our server tells in `nb` while there is no answer yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

EXTRAS = {"X-Ollama-Nb-Extras": "1"}  # what asks a server for `nb`; others ignore it


def in_words(nb: Mapping[str, Any]) -> str:
    """Say what a request waits for; empty for a phase that this version does not know.

    >>> in_words({"phase": "queued", "place": 2})
    'number 2 in the queue'
    >>> in_words({"phase": "queued", "place": 3, "eta_s": 25.2})
    'number 3 in the queue, about 25 s'
    >>> in_words({"phase": "loading", "fraction": 0.4})
    'loading the model, 40 %'
    >>> in_words({"phase": "prefill", "done": 512, "total": 2600, "eta_s": 8.2})
    'reading the prompt, 512 of 2,600 tokens, about 8 s left'
    """
    words = {
        "queued": _queued(nb.get("place"), nb.get("eta_s")),
        "loading": _loading(nb.get("fraction")),
        "prefill": _prefill(nb),
        "decode": "answering",
    }
    return words.get(str(nb.get("phase")), "")


def _queued(place: Any, eta_s: Any) -> str:
    if place is None:
        return "waiting for a free slot"
    return f"number {place} in the queue" + (f", about {eta_s:.0f} s" if eta_s else "")


def _loading(fraction: float | None) -> str:
    """What is read may still have to be tried out: 100 % would not be all."""
    if fraction is not None and fraction >= 1:
        return "trying out the loaded model"
    return "loading the model" + (f", {int(100 * fraction)} %" if fraction is not None else "")


def _prefill(nb: Mapping[str, Any]) -> str:
    if not nb.get("total"):
        return "reading the prompt"
    left = f", about {nb['eta_s']:.0f} s left" if nb.get("eta_s") is not None else ""
    return f"reading the prompt, {nb.get('done', 0):,} of {nb['total']:,} tokens{left}"
