"""`options`: defaults, the model's parameters, the request's; types as Ollama coerces them.

Reference/ollama-http-api.md 4.3 and ollama-models.md 9.1. Mirostat, memory locking, NUMA and RoPE
settings work here, and `grammar` is our own (deviations on purpose); options that llama.cpp has
dropped are taken and have no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any

from ollama_nb_server.wire.bounds import MAX_FLOAT, MAX_INT, MAX_INT64, MAX_STOP_CHARS, MAX_STOPS
from ollama_nb_server.wire.errors import BadOption, TooMuch


@dataclass(frozen=True, slots=True)
class Options:
    """Everything a request may set. `given` names what the model or the request has set.

    `notes` say what the client should know of options that are otherwise than it has asked.

    RoPE settings of 0 are the model's own. `grammar` is GBNF text. `draft_num_predict` is how many
    expected tokens are computed with a token at most; 0: none, negative: as many as pay.
    """

    num_ctx: int = 4096
    num_batch: int = 512
    num_gpu: int = -1
    main_gpu: int | None = None
    use_mmap: bool | None = None
    use_mlock: bool | None = None
    numa: bool | None = None
    rope_frequency_base: float = 0.0
    rope_frequency_scale: float = 0.0
    num_thread: int = 0
    num_keep: int = 4
    seed: int = -1
    num_predict: int = -1
    draft_num_predict: int = -1
    top_k: int = 40
    top_p: float = 0.9
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_last_n: int = 64
    temperature: float = 0.8
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    stop: tuple[str, ...] = ()
    grammar: str = ""
    given: frozenset[str] = field(default=frozenset())
    notes: tuple[str, ...] = ()

    @classmethod
    def merge(
        cls,
        model: Mapping[str, Any],
        request: Mapping[str, Any] | None,
        *,
        default_num_ctx: int = 4096,
    ) -> Options:
        """Later ones win; null leaves what is there; unknown names have no effect.

        Raises
        ------
        BadOption
            For a known name with a value of another type.
        """
        merged = {**model, **{k: v for k, v in (request or {}).items() if v is not None}}
        known = {k: READERS[k](k, v) for k, v in merged.items() if k in READERS and v is not None}
        return replace(cls(num_ctx=default_num_ctx), **known, given=frozenset(known))


def without_effect(request: Mapping[str, Any] | None) -> tuple[str, ...]:
    """A sentence for each of a request's options that changes nothing here."""
    names = sorted(name for name in request or () if name not in READERS)
    # A header carries them: plain letters, and not too many.
    return tuple(f"option {name[:40]!a} has no effect ({_why(name)})" for name in names[:20])


def _why(name: str) -> str:
    if name in DROPPED:
        return "llama.cpp has dropped it"
    near = get_close_matches(name[:40], READERS, n=1)
    return f"there is none of this name, is {near[0]!r} meant?" if near else "there is none"


def _integer(name: str, value: Any) -> int:
    return _within(_number(name, value, "type integer"), MAX_INT)


def _number(name: str, value: Any, kind: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise BadOption(name, kind)  # a model's parameters may hold a NaN, a request cannot
    return value


def _within(value: float, most: int) -> int:
    """The whole part, as near as llama.cpp's 32 bits come to it."""
    return int(max(-most, min(value, most)))


def _float(name: str, value: Any) -> float:
    return float(max(-MAX_FLOAT, min(_number(name, value, "type float32"), MAX_FLOAT)))


def _bool(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadOption(name, "type boolean")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise BadOption(name, "type string")
    return value


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise BadOption(name, "type array")
    if not all(isinstance(item, str) for item in value):
        raise BadOption(name, "an array of strings")
    if len(value) > MAX_STOPS or sum(map(len, value)) > MAX_STOP_CHARS:
        most = f"{MAX_STOPS:,} strings of {MAX_STOP_CHARS:,} letters together"
        raise TooMuch(f'option "{name}" takes at most {most}')
    return tuple(value)


def _lenient(default: float) -> Callable[[str, Any], float]:
    """For options that today's Ollama ignores whatever their type: a wrong type is as not given."""

    def read(_: str, value: Any) -> float:
        try:
            return _integer("", value) if isinstance(default, int) else _float("", value)
        except BadOption:
            return default

    return read


def _lenient_bool(_: str, value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _seed(name: str, value: Any) -> int:
    """Any whole number: 32 bits of it count."""
    return _within(_number(name, value, "type integer"), MAX_INT64)


_BY_TYPE: dict[str, Callable[[str, Any], Any]] = {
    "int": _integer,
    "int | None": _integer,
    "float": _float,
    "bool | None": _bool,
    "str": _text,
    "tuple[str, ...]": _texts,
}
READERS: dict[str, Callable[[str, Any], Any]] = {
    f.name: _BY_TYPE[str(f.type)] for f in fields(Options) if f.name not in ("given", "notes")
} | {
    "seed": _seed,
    "mirostat": _lenient(0),
    "mirostat_tau": _lenient(5.0),
    "mirostat_eta": _lenient(0.1),
    "rope_frequency_base": _lenient(0.0),
    "rope_frequency_scale": _lenient(0.0),
    "use_mlock": _lenient_bool,
    "numa": _lenient_bool,
}
DROPPED = frozenset(
    {
        "tfs_z", "penalize_newline", "num_gqa", "low_vram", "f16_kv", "logits_all", "vocab_only",
        "embedding_only",
    }
)  # fmt: skip
