"""Rotary position embedding: how config.json says it, in either form, and what GGUF says for it.

transformers 5 writes one object `rope_parameters` (per kind of layer in some models); before, there
were `rope_theta`, `rope_scaling`, `partial_rotary_factor` and others beside one another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ollama_nb_server.library.convert.config import MAX_COUNT, Config, number
from ollama_nb_server.library.convert.errors import BadConfig
from ollama_nb_server.library.convert.metadata import Metadata, f32, text, u32
from ollama_nb_server.library.convert.weights import Floats

THETA = 10_000.0
LONG = ("longrope", "su")
PLAIN = ("default", "llama3", "dynamic", *LONG)  # they say nothing in `rope.scaling`, but LONG
YARN = {  # GGUF's names of YaRN's numbers -> config.json's
    "yarn_ext_factor": ("extrapolation_factor",),
    "yarn_attn_factor": ("attention_factor", "attn_factor"),
    "yarn_beta_fast": ("beta_fast",),
    "yarn_beta_slow": ("beta_slow",),
}


class Rope:
    """The parameters of the layers with full attention; `local_theta` is of sliding windows."""

    def __init__(self, config: Config, local_theta: float | None = None) -> None:
        found = config.get("rope_parameters", "rope_scaling") or {}
        if not isinstance(found, dict):
            raise BadConfig(f"`rope_scaling` is {found!r}, not an object")
        self.values: Mapping[str, Any] = found.get("full_attention") or found
        self.kind = str(
            self.values.get("rope_type") or self.values.get("type") or "default"
        ).lower()
        self.theta = number(
            self.values.get("rope_theta", config.get("rope_theta", "rotary_emb_base")),
            "rope_theta",
            THETA,
        )
        sliding = found.get("sliding_attention") or {}
        local = sliding.get("rope_theta", config.get("rope_local_base_freq"))
        self.local_theta = local_theta if local is None else number(local, "rope_local_base_freq")
        self._config = config

    def get(self, name: str, default: float | None = None) -> float:
        """A number of these parameters, or of config.json itself."""
        return number(self.values.get(name, self._config.get(name)), name, default)

    @property
    def original_context(self) -> int:
        """The context before it was made longer."""
        value = self.get("original_max_position_embeddings", float(self._config.context))
        if not 1 < value <= MAX_COUNT:
            raise BadConfig(f"`original_max_position_embeddings` is {value}")
        return int(value)

    @property
    def rotated(self) -> int:
        """Values of a head that are rotated."""
        share = self.get("partial_rotary_factor", 1.0)
        if not 0 < share <= 1:
            raise BadConfig(f"`partial_rotary_factor` is {share}, not a share of 1")
        return int(share * self._config.embedding) // self._config.heads

    def metadata(self) -> Metadata:
        """The keys under `<architecture>.rope`."""
        found = {"rope.freq_base": f32(self.theta)}
        if self.local_theta is not None:
            found["rope.freq_base_swa"] = f32(self.local_theta)
        return {**found, **{f"rope.scaling.{k}": v for k, v in self._scaling().items()}}

    def _scaling(self) -> Metadata:
        if self.kind in LONG:
            return {"type": text("longrope")}
        if self.kind == "linear":
            return {"type": text("linear"), "factor": f32(self.get("factor"))}
        if self.kind == "yarn":
            return self._yarn()
        if self.kind not in PLAIN:
            raise BadConfig(f"rope_type {self.kind!r} is not known")
        return {}

    def _yarn(self) -> Metadata:
        found = {
            "type": text("yarn"),
            "factor": f32(self.get("factor")),
            "original_context_length": u32(self.original_context),
        }
        for key, names in YARN.items():
            for value in (self.values[name] for name in names if self.values.get(name) is not None):
                found.setdefault(key, f32(number(value, names[0])))
        return found

    def llama3(self) -> Floats | None:
        """Llama 3.1's factor for each frequency: high ones stay, low ones are divided by `factor`.

        Source: `_compute_llama3_parameters` of transformers' modeling_rope_utils.
        """
        if self.kind != "llama3":
            return None
        exponents = np.arange(0, self._config.head_dim, 2, dtype=np.float32) / self._config.head_dim
        wavelengths = 2 * math.pi * np.float32(self.theta) ** exponents
        factor, old = self.get("factor", 8.0), self.get("original_max_position_embeddings", 8192.0)
        low, high = self.get("low_freq_factor", 1.0), self.get("high_freq_factor", 4.0)
        if high <= low or factor <= 0:
            raise BadConfig("rope_scaling: high_freq_factor must be above low_freq_factor")
        smooth = np.clip((old / wavelengths - low) / (high - low), 0, 1)
        factors: Floats = (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)
        return factors

    def long_factors(self) -> tuple[Floats, Floats] | None:
        """LongRoPE's factors for long and for short texts.

        Raises
        ------
        BadConfig
            If there are not as many as frequencies.
        """
        found = [self.values.get(name) for name in ("long_factor", "short_factor")]
        if not any(found):
            return None
        for name, values in zip(("long_factor", "short_factor"), found, strict=True):
            if not isinstance(values, list) or len(values) != self.rotated // 2:
                raise BadConfig(f"`{name}` does not hold {self.rotated // 2} numbers")
        long, short = (
            np.array([number(v, "factor") for v in vs or ()], np.float32) for vs in found
        )
        return long, short

    def long_attention(self) -> float:
        """What attention is multiplied by, for LongRoPE and YaRN."""
        scale = self._config.context / self.original_context
        if scale <= 1:
            return 1.0
        if self.kind == "yarn":
            return 0.1 * math.log(scale) + 1
        return math.sqrt(1 + math.log(scale) / math.log(self.original_context))
