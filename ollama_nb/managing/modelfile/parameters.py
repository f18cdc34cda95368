"""PARAMETER values: which names there are, and the types of their values.

The request wants numbers where a Modelfile has text; the server checks no further.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ollama_nb.errors import BadModelfile

if TYPE_CHECKING:
    from collections.abc import Callable

WHOLE = frozenset({
    "num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "num_keep", "num_predict", "seed",
    "top_k", "repeat_last_n", "draft_num_predict", "mirostat",
})  # fmt: skip
REAL = frozenset({
    "temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty",
    "frequency_penalty", "mirostat_tau", "mirostat_eta",
})  # fmt: skip
SWITCH = frozenset({"use_mmap", "use_mlock"})
LIST = frozenset({"stop"})
# Names that nothing listens to any more: an old Modelfile may hold them, and its reader is told.
WITHOUT_EFFECT = frozenset({
    "penalize_newline", "low_vram", "f16_kv", "logits_all", "vocab_only", "embedding_only", "numa",
    "num_gqa", "tfs_z", "rope_frequency_base", "rope_frequency_scale",
})  # fmt: skip
NAMES = WHOLE | REAL | SWITCH | LIST
# As Go's strconv.ParseBool has them.
TRUTHS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "FALSE", "false", "False"), False
)
_DIGITS = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
LARGEST_REAL = 3.4028234663852886e38  # in 32 bits
_INT64 = range(-(2**63), 2**63)


def typed(name: str, text: str, line: int) -> Any:
    """Return the value of a parameter in its type.

    Raises
    ------
    BadModelfile
        For a name that is none, or a text that is no value of its type.
    """
    for names, read, kind in _READERS:
        if name in names:
            try:
                return read(text)
            except ValueError:
                raise BadModelfile(f"invalid {kind} value [{text}]", line) from None
    raise BadModelfile(f"unknown parameter '{name}'", line)


def _whole(text: str) -> int:
    if _DIGITS.fullmatch(text) is None or (value := int(text)) not in _INT64:
        raise ValueError(text)
    return value


def _real(text: str) -> float:
    """Read a number as exactly as 32 bits are, which is what Ollama keeps of it."""
    import numpy as np

    if _DECIMAL.fullmatch(text) is None or abs(float(text)) > LARGEST_REAL:
        raise ValueError(text)
    return float(str(np.float32(text)))


def _switch(text: str) -> bool:
    if text not in TRUTHS:
        raise ValueError(text)
    return TRUTHS[text]


_READERS: tuple[tuple[frozenset[str], Callable[[str], Any], str], ...] = (
    (WHOLE, _whole, "int"),
    (REAL, _real, "float"),
    (SWITCH, _switch, "bool"),
    (LIST | WITHOUT_EFFECT, str, "string"),
)
