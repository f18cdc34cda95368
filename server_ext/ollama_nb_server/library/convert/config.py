"""config.json: hyperparameters by any of their names, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ollama_nb_server.library.convert.errors import BadConfig, UnsupportedArchitecture

MAX_COUNT = (1 << 31) - 1
MAX_BLOCKS = 1024
MAX_NUMBER = 1e30  # far below what F32 can hold


class Config:
    """The values of one model.

    `defaults` stands for what transformers assumes where config.json says nothing.
    """

    def __init__(
        self, values: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
    ) -> None:
        self.values = {**(defaults or {}), **{k: v for k, v in values.items() if v is not None}}

    @property
    def architecture(self) -> str:
        """The first of `architectures`.

        Raises
        ------
        UnsupportedArchitecture
            If there is none.
        """
        names = self.values.get("architectures")
        if not isinstance(names, list) or not names or not isinstance(names[0], str):
            raise UnsupportedArchitecture("")
        return names[0]

    def get(self, *names: str) -> Any:
        """The value of the first name that there is; None without one."""
        return next((self.values[name] for name in names if name in self.values), None)

    def count(self, *names: str, default: int | None = None, limit: int = MAX_COUNT) -> int:
        """A positive whole number.

        Raises
        ------
        BadConfig
            If it is missing without a default, or no such number.
        """
        value = self.get(*names)
        if value is None and default is not None:
            return default
        if value is None:
            raise BadConfig(f"`{names[0]}` is missing")
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= limit:
            raise BadConfig(f"`{names[0]}` is {value!r}, not a number from 1 to {limit}")
        return value

    def number(self, *names: str, default: float | None = None) -> float:
        """A number."""
        return number(self.get(*names), names[0], default)

    # --- sizes ------------------------------------------------------------------------------------

    @property
    def blocks(self) -> int:
        """Layers."""
        return self.count("num_hidden_layers", "n_layer", "n_layers", limit=MAX_BLOCKS)

    @property
    def embedding(self) -> int:
        """Length of a token's vector."""
        return self.count("hidden_size", "n_embd")

    @property
    def context(self) -> int:
        """Tokens that it was trained for."""
        return self.count("max_position_embeddings", "n_positions", "n_ctx")

    @property
    def feed_forward(self) -> int:
        """Length of the inner vectors of a layer."""
        return self.count("intermediate_size", "n_inner")

    @property
    def heads(self) -> int:
        """Attention heads."""
        return self.count("num_attention_heads", "n_head")

    @property
    def heads_kv(self) -> int:
        """Heads that share keys and values."""
        return self.count("num_key_value_heads", default=self.heads)

    @property
    def head_dim(self) -> int:
        """Length of one head's vectors."""
        return self.count("head_dim", default=self.embedding // self.heads)

    @property
    def vocab(self) -> int:
        """Rows of the token embedding."""
        return self.count("vocab_size")

    @property
    def experts(self) -> int:
        """Experts of a layer."""
        return self.count("num_local_experts", limit=MAX_BLOCKS)


def number(value: Any, name: str, default: float | None = None) -> float:
    """A value that must be a number.

    Raises
    ------
    BadConfig
        If it is missing without a default, or something else.
    """
    if value is None and default is not None:
        return default
    if value is None:
        raise BadConfig(f"`{name}` is missing")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadConfig(f"`{name}` is {value!r}, not a number")
    if not abs(value) < MAX_NUMBER:  # neither is NaN
        raise BadConfig(f"`{name}` is {value}, which is no number to compute with")
    return float(value)
