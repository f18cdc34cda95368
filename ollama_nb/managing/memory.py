"""What loaded models take of memory, told apart: weights, slots, buffers, copies of prefixes.

Only ollama_nb's own server tells; of others there is the sum, which stands in `catalogue`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_nb.sizes import in_megabytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Column -> what the server calls it, for sizes in bytes and for counts.
SIZES = {
    "weights_mb": "weight_bytes",
    "slot_mb": "slot_bytes",
    "buffers_mb": "buffer_bytes",
    "prefixes_mb": "prefix_bytes",
}
COUNTS = {
    "slots": "num_slots",
    "max_slots": "max_slots",
    "live_slots": "num_live",
    "idle_slots": "num_idle",
}
ORDER = (
    "weights_mb",
    "slots",
    "slot_mb",
    "buffers_mb",
    "prefixes_mb",
    "live_slots",
    "idle_slots",
    "max_slots",
)


def memory_columns(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the columns of entries of /api/ps, in their order; NA is what is not told."""
    import pandas as pd

    told = [entry.get("nb") or {} for entry in entries]
    sizes = {
        column: pd.array([in_megabytes(nb.get(key)) for nb in told], dtype="Float64")
        for column, key in SIZES.items()
    }
    counts = {
        column: pd.array([nb.get(key) for nb in told], dtype="Int64")
        for column, key in COUNTS.items()
    }
    return {name: (sizes | counts)[name] for name in ORDER}
