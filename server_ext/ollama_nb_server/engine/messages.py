"""The worker protocol as data: what a parent asks of a worker, and what a worker answers.

Only values live here; how they travel is the transport's affair (engine/channel.py).
Every request has an `id` chosen by the parent; every answer repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# --- parent -> worker -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """What decides a worker: two requests with equal specs can share one.

    `num_ctx` is per slot. `num_parallel` 0 means: as many slots as fit a quarter of free memory, at
    most 16. `num_thread` 0 means: chosen for the model's size. `num_gpu` -1: llama.cpp decides.
    `translation` is opened instead of `model_path` if there is one; `overrides` are keys of the
    GGUF's metadata with other values.
    """

    model_path: str
    adapters: tuple[str, ...] = ()
    num_ctx: int = 4096
    num_parallel: int = 0
    num_batch: int = 512
    num_thread: int = 0
    num_gpu: int = -1
    main_gpu: int | None = None
    use_mmap: bool | None = None
    use_extra_bufts: bool = True
    translation: str = ""
    overrides: tuple[tuple[str, bool | int | float | str], ...] = ()

    @classmethod
    def received(cls, facts: dict[str, Any]) -> LoadSpec:
        """The same, after its way through JSON, which has no tuples."""
        overrides = tuple((key, value) for key, value in facts["overrides"])
        return cls(**{**facts, "adapters": tuple(facts["adapters"]), "overrides": overrides})


@dataclass(frozen=True, slots=True)
class Sampling:
    """One request's native sampler chain. Neutral values switch a filter off. `seed` is final."""

    seed: int
    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.9
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_last_n: int = 64
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1


@dataclass(frozen=True, slots=True)
class Generate:
    """Continue a prompt. A `str` is tokenised with special tokens parsed and BOS added once.

    Token ids are taken as they are. `num_predict` < 0: until a stop or the end of the context.
    `num_ctx` is the request's own limit (0: the slot's).
    """

    id: int
    prompt: str | tuple[int, ...]
    sampling: Sampling
    num_predict: int = -1
    num_ctx: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Embed:
    """Pooled, L2-normalised vectors of several texts."""

    id: int
    texts: tuple[str, ...]
    truncate: bool = True
    num_ctx: int = 0


@dataclass(frozen=True, slots=True)
class Tokenize:
    """Token ids of a text; special texts are parsed, BOS/EOS only if `add_special`."""

    id: int
    text: str
    add_special: bool = False


@dataclass(frozen=True, slots=True)
class Detokenize:
    """The text of token ids, special tokens included."""

    id: int
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cancel:
    """Forget request `id` at once; no answer follows."""

    id: int


# --- worker -> parent -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model is ready. Sizes in bytes, `load_ns` measured in the worker."""

    num_ctx: int  # per slot, after the cap to the trained length
    num_ctx_train: int
    num_parallel: int
    num_embd: int
    num_vocab: int
    add_bos: bool
    bos_text: str
    eos_text: str
    size_bytes: int  # weights, KV cache and compute buffers
    vram_bytes: int
    load_ns: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """New text of one sequence in one step; never a cut character, never part of a stop string."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a generation. `reason` is `stop` or `length`; counts in tokens, times in ns."""

    id: int
    reason: str
    prompt_count: int
    prompt_ns: int
    eval_count: int
    eval_ns: int


@dataclass(frozen=True, slots=True)
class Embedded:
    """One little-endian float32 vector (`bytes`) a text, in order, and the sum of their tokens."""

    id: int
    vectors: tuple[bytes, ...]
    prompt_count: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """Answer to `Tokenize`."""

    id: int
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Answer to `Detokenize`."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A request failed; `error` names a class of engine/errors.py, `args` is what it is made of."""

    id: int
    error: str
    args: tuple[str | int, ...] = field(default=())
