"""PARAMETER values: which names there are, and their types (reference/ollama-models.md 4.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ollama_nb_server.library.errors import BadModelfile

INTEGERS = frozenset(
    {
        "num_ctx",
        "num_batch",
        "num_gpu",
        "main_gpu",
        "num_thread",
        "draft_num_predict",
        "num_keep",
        "seed",
        "num_predict",
        "top_k",
        "repeat_last_n",
        "mirostat",
    }
)
FLOATS = frozenset(
    {
        "top_p",
        "min_p",
        "typical_p",
        "temperature",
        "repeat_penalty",
        "presence_penalty",
        "frequency_penalty",
        "mirostat_tau",
        "mirostat_eta",
    }
)
SWITCHES = frozenset({"use_mmap", "use_mlock"})
TEXTS = frozenset({"stop"})
# Names of 2023 that nothing listens to any more: accepted, so that old Modelfiles work, and told.
WITHOUT_EFFECT = frozenset(
    {
        "penalize_newline",
        "low_vram",
        "f16_kv",
        "logits_all",
        "vocab_only",
        "embedding_only",
        "numa",
        "num_gqa",
        "tfs_z",
        "rope_frequency_base",
        "rope_frequency_scale",
    }
)
TRUE, FALSE = {"1", "t", "T", "TRUE", "true", "True"}, {"0", "f", "F", "FALSE", "false", "False"}


def read(name: str, text: str, line: int) -> Any:
    """A value in its type: int, float (as exact as 32 bits are), bool, or a text.

    Raises
    ------
    BadModelfile
        For a name that is none, or a text that is no such value.
    """
    for names, reader, kind in READERS:
        if name in names:
            try:
                return reader(text)
            except ValueError:
                raise BadModelfile(f"invalid {kind} value [{text}]", line) from None
    raise BadModelfile(f"unknown parameter '{name}'", line)


def _integer(text: str) -> int:
    if text.strip() != text or "_" in text:
        raise ValueError(text)
    return int(text)


def _float(text: str) -> float:
    if text.strip() != text or "_" in text:
        raise ValueError(text)
    return float(str(np.float32(text)))  # Ollama keeps 32 bits, and prints their shortest form


def _switch(text: str) -> bool:
    if text not in TRUE | FALSE:
        raise ValueError(text)
    return text in TRUE


READERS: tuple[tuple[frozenset[str], Callable[[str], Any], str], ...] = (
    (INTEGERS, _integer, "int"),
    (FLOATS, _float, "float"),
    (SWITCHES, _switch, "bool"),
    (TEXTS, str, "string"),
    (WITHOUT_EFFECT, str, "string"),
)
