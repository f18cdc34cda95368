"""The kinds of numbers that a KV cache may be kept in, and which of them a load can have.

A model's attention is a shape (`Heads`); a setting that it cannot have is a warning, as in Ollama.
"""

from __future__ import annotations

from dataclasses import dataclass

GGML_TYPES = {"f16": 1, "q8_0": 8, "q4_0": 2}  # enum ggml_type, ggml.h
BYTES_PER_VALUE = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}  # of blocks with their scale
BLOCK = 32  # values of a quantised block


@dataclass(frozen=True, slots=True)
class Heads:
    """The shape of a model's attention: heads, those of keys and values, and their lengths."""

    num: int
    num_kv: int
    key_length: int
    value_length: int

    @property
    def cell_bytes(self) -> int:
        """Keys and values (f16) of one cell in one layer."""
        return 2 * self.num_kv * (self.key_length + self.value_length)


def cache_type(wanted: str, flash: bool | None, heads: Heads) -> tuple[str, str]:
    """The kind that a cache can have, and why it is not the one wanted ("": it is).

    A quantised one needs flash attention (`flash` False: it is switched off), and heads that are
    whole blocks.
    """
    setting = f"OLLAMA_KV_CACHE_TYPE={wanted}"
    if wanted == "f16":
        return wanted, ""
    if flash is False:
        return "f16", f"{setting} needs OLLAMA_FLASH_ATTENTION, which is switched off: it is f16"
    if heads.key_length % BLOCK or heads.value_length % BLOCK:
        lengths = f"{heads.key_length} and {heads.value_length}"
        return "f16", f"{setting} is not possible with this model's heads of {lengths}: it is f16"
    return wanted, ""
