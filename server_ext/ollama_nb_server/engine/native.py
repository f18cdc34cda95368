"""Contact with llama_cpp's ctypes bindings: models, contexts, batches, tokens; see also `sampling`.

Every return code becomes an error that names the native function, and every pointer is freed by
the object that made it. What is decoded when is decided in `batching.planner` and `model_runner`.
"""

from __future__ import annotations

import ctypes
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from functools import cached_property
from importlib.metadata import version
from typing import Any, ClassVar

import llama_cpp as ll
import numpy as np
import numpy.typing as npt

from ollama_nb_server.engine.errors import (
    DecodeFailed,
    EngineError,
    LoadFailed,
    NotEnoughMemory,
)
from ollama_nb_server.engine.kv_types import BYTES_PER_VALUE, GGML_TYPES, Heads
from ollama_nb_server.engine.load_progress import LoadProgress
from ollama_nb_server.engine.messages import LoadSpec

TESTED = ("0.3.36",)
LOG_DEBUG, LOG_WARN, LOG_ERROR, LOG_CONT = 1, 3, 4, 5  # enum ggml_log_level, ggml.h
ABORTED = 2  # return code of llama_decode, llama.h
UNKNOWN, CONTROL, USER_DEFINED = 1 << 0, 1 << 3, 1 << 4  # enum llama_token_attr, llama.h
SPECIAL = UNKNOWN | CONTROL | USER_DEFINED  # found before texts are cut
EATS_BEFORE, EATS_BEHIND = 1 << 7, 1 << 8  # blanks around it, of the same enum
STRIPPING = EATS_BEFORE | EATS_BEHIND
LONG_TEXT, MARKS_A_BLOCK = 1 << 15, 200  # letters; special tokens
NUMA_DISTRIBUTE = 1  # enum ggml_numa_strategy, ggml-cpu.h
NO_TOKEN = -1
STATE_HEAD = 8  # bytes of a sequence's state before its memory's: a mark, and its number
NO_GPU = -1  # of llama_model_params.main_gpu, with LLAMA_SPLIT_MODE_NONE
LOAD_MODES = {  # by use_mmap and use_mlock; llama.cpp's default if neither is said
    (None, True): ll.LLAMA_LOAD_MODE_MMAP_MLOCK,
    (False, False): ll.LLAMA_LOAD_MODE_NONE,
    (False, True): ll.LLAMA_LOAD_MODE_MLOCK,
    (True, False): ll.LLAMA_LOAD_MODE_MMAP,
    (True, True): ll.LLAMA_LOAD_MODE_MMAP_MLOCK,
}
FLASH_TILE = 64  # rows; from here on llama.cpp's CPU kernel multiplies matrices

if version("llama-cpp-python") not in TESTED:
    raise ImportError(
        f"llama-cpp-python {version('llama-cpp-python')} is not among the tested versions "
        f"({', '.join(TESTED)}): its bindings are raw ctypes, and a changed signature corrupts "
        "memory. Install a tested one: pip install 'ollama-nb[server]'"
    )

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
State = npt.NDArray[np.uint8]  # what llama.cpp writes of one sequence


class Pooling(IntEnum):
    """How the vectors of a text's tokens become one (enum llama_pooling_type, llama.h)."""

    NONE, MEAN, CLS, LAST, RANK = range(5)


class NativeLog:
    """llama.cpp's log: lines (not those for debugging) to stderr, the last errors kept."""

    _kept: ClassVar[list[object]] = []  # callbacks that llama.cpp may still call

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.unlocked = False  # whether memory could not be locked
        self._level = 0
        self.callback = ll.llama_log_callback(self._line)
        self._kept.append(self.callback)
        ll.llama_log_set(self.callback, ctypes.c_void_p(0))

    def _line(self, level: int, text: bytes, _: object) -> None:
        self._level = self._level if level == LOG_CONT else level
        if self._level == LOG_DEBUG:
            return
        line = text.decode("utf-8", "replace")
        if self._level == LOG_ERROR:
            self.errors = [*self.errors[-9:], line.strip()]
        self.unlocked = self.unlocked or (self._level == LOG_WARN and "failed to mlock" in line)
        sys.stderr.write(line)

    def reason(self) -> str:
        """The line that says most about why a load failed."""
        told = [line for line in self.errors if "error loading model" in line]
        lines = told or [line for line in self.errors if "failed to load model" not in line]
        return lines[-1] if lines else "no reason was logged"

    @property
    def out_of_memory(self) -> bool:
        """Whether an allocation was among what failed last."""
        return any("alloc" in line for line in self.errors)

    def failure(self, what: str) -> EngineError:
        """The error that ends the load of something."""
        kind = NotEnoughMemory if self.out_of_memory else LoadFailed
        return kind(what, self.reason())


class AbortSwitch:
    """A native abort callback without compiled code: libc's strlen of a buffer of two bytes.

    An empty string (length 0, false) lets the computation go on, one character stops it. Threads
    may flip it at any time; llama_decode then returns ABORTED.
    """

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(2)
        strlen = ctypes.CDLL(None if os.name != "nt" else "msvcrt").strlen
        self.function = ctypes.cast(strlen, ll.ggml_abort_callback)
        self.data = ctypes.cast(self._buffer, ctypes.c_void_p)

    def set(self) -> None:
        """Stop the computation that runs, or the next one."""
        self._buffer[0] = b"\x01"

    @property
    def is_set(self) -> bool:
        """Whether computations are to stop."""
        return self._buffer.raw[0] != 0

    def clear(self) -> None:
        """Let computations run."""
        self._buffer[0] = b"\x00"


def _loaded(path: bytes, params: ll.llama_model_params, progress: LoadProgress) -> Any:
    """A pointer to a model, or NULL; meanwhile `progress` hears how far it is."""
    with progress.reading(os.fsdecode(path)) as tell:

        def placed(fraction: float, _: object) -> bool:
            tell(fraction)
            return True  # go on

        params.progress_callback = ll.llama_progress_callback(placed)
        return ll.llama_model_load_from_file(path, params)


class Model:
    """The weights and the vocabulary of one GGUF file.

    With `facts_only`, neither weights nor adapters are there: it can only be asked.

    Raises
    ------
    LoadFailed, NotEnoughMemory
        With llama.cpp's own reason.
    """

    def __init__(
        self,
        spec: LoadSpec,
        log: NativeLog,
        progress: LoadProgress | None = None,
        *,
        facts_only: bool = False,
    ) -> None:
        ll.llama_backend_init()
        if spec.numa:
            ll.llama_numa_init(NUMA_DISTRIBUTE)
        params, overrides = self._params(spec), _overrides(spec.overrides)
        if facts_only:
            params.no_alloc, params.load_mode = True, ll.LLAMA_LOAD_MODE_NONE
        self.log, log.errors = log, []
        if overrides is not None:
            params.kv_overrides = overrides
        path = os.fsencode(spec.translation or spec.model_path)
        self.rope = spec.rope_frequency_base, spec.rope_frequency_scale
        self.pointer = _loaded(path, params, progress or LoadProgress(0))
        if not self.pointer:
            raise log.failure(spec.model_path)
        self._refuse_unknown_pooling(spec.model_path)
        self.vocab = ll.llama_model_get_vocab(self.pointer)
        adapters = () if facts_only else spec.adapters
        self.adapters = [self._adapter(path, log) for path in adapters]
        if ll.llama_model_has_encoder(self.pointer):
            raise LoadFailed(spec.model_path, "encoder-decoder models are not supported")

    @staticmethod
    def _params(spec: LoadSpec) -> ll.llama_model_params:
        params: ll.llama_model_params = ll.llama_model_default_params()
        params.n_gpu_layers = spec.num_gpu if spec.num_gpu >= 0 else params.n_gpu_layers
        params.use_extra_bufts = spec.use_extra_bufts
        main_gpu = NO_GPU if spec.num_gpu == 0 else spec.main_gpu
        if main_gpu is not None:
            params.main_gpu, params.split_mode = main_gpu, ll.LLAMA_SPLIT_MODE_NONE
        params.load_mode = LOAD_MODES.get((spec.use_mmap, spec.use_mlock), params.load_mode)
        return params

    def _adapter(self, path: str, log: NativeLog) -> object:
        adapter = ll.llama_adapter_lora_init(self.pointer, os.fsencode(path))
        if not adapter:
            raise log.failure(path)
        return adapter

    def close(self) -> None:
        """Free the weights (and with them the adapters)."""
        if self.pointer:
            ll.llama_model_free(self.pointer)
            self.pointer = None

    def meta(self, key: str) -> str | None:
        """A scalar of the GGUF's metadata as text."""
        buffer = ctypes.create_string_buffer(512)
        length = ll.llama_model_meta_val_str(self.pointer, key.encode(), buffer, len(buffer))
        return None if length < 0 else buffer.value.decode("utf-8", "replace")

    def _of_architecture(self, key: str) -> str | None:
        return self.meta(f"{self.meta('general.architecture')}.{key}")

    def _refuse_unknown_pooling(self, path: str) -> None:
        """Refuse what would abort the process as soon as there is a context."""
        told = self._of_architecture("pooling_type")
        if told is not None and told not in map(str, map(int, Pooling)):
            raise LoadFailed(path, f"its metadata name a pooling type {told} that does not exist")

    @cached_property
    def pooling(self) -> Pooling | None:
        """`<arch>.pooling_type` of the metadata; a model that has it only embeds (or ranks)."""
        told = self._of_architecture("pooling_type")
        return None if told is None else Pooling(int(told))

    @cached_property
    def generates(self) -> bool:
        """Whether it can write text: it does not pool, and no token sees the ones after it."""
        return self.pooling is None and self._of_architecture("attention.causal") != "false"

    @cached_property
    def recurs(self) -> bool:
        """Whether some layer has a state instead of a memory of tokens (Mamba, RWKV, hybrids)."""
        asked = ll.llama_model_is_recurrent, ll.llama_model_is_hybrid
        return any(ask(self.pointer) for ask in asked)

    @cached_property
    def is_hybrid(self) -> bool:
        """Whether some layers have a state, and others a memory of tokens."""
        return bool(ll.llama_model_is_hybrid(self.pointer))

    @cached_property
    def window(self) -> int:
        """How many tokens some layers look back at most (0: all layers see all)."""
        return int(ll.llama_model_n_swa(self.pointer))

    @cached_property
    def num_vocab(self) -> int:
        """Size of the vocabulary in tokens."""
        return int(ll.llama_vocab_n_tokens(self.vocab))

    @cached_property
    def num_ctx_train(self) -> int:
        """Context that the model was trained with, in tokens."""
        return int(ll.llama_model_n_ctx_train(self.pointer))

    @cached_property
    def num_layers(self) -> int:
        """Layers that may be on a GPU: the repeating ones, and the output as one more."""
        return int(ll.llama_model_n_layer(self.pointer)) + 1

    @cached_property
    def num_embd(self) -> int:
        """Length of an embedding."""
        return int(ll.llama_model_n_embd_out(self.pointer))

    @cached_property
    def num_params(self) -> int:
        """Number of weights."""
        return int(ll.llama_model_n_params(self.pointer))

    @cached_property
    def size_bytes(self) -> int:
        """Bytes of all tensors."""
        return int(ll.llama_model_size(self.pointer))

    @cached_property
    def heads(self) -> Heads:
        """The shape of its attention."""
        num = max(int(ll.llama_model_n_head(self.pointer)), 1)
        num_kv = max(int(ll.llama_model_n_head_kv(self.pointer)), 1)
        usual = int(ll.llama_model_n_embd(self.pointer)) // num
        key, value = (
            int(self._of_architecture(f"attention.{half}_length") or usual)
            for half in ("key", "value")
        )
        return Heads(num, num_kv, key, value)

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of KV cache (f16) that one token takes in one sequence."""
        return self.kv_bytes("f16")

    def kv_bytes(self, kind: str) -> int:
        """The same for a kind of `kv_types`."""
        values = self.heads.num_kv * (self.heads.key_length + self.heads.value_length)
        return math.ceil(BYTES_PER_VALUE[kind] * values) * (self.num_layers - 1)

    def compute_bytes(self, num_batch: int) -> int:
        """Roughly the memory of one batch's computation: its logits, and some activations."""
        return 4 * num_batch * (self.num_vocab + 8 * self.num_embd)

    # --- vocabulary -------------------------------------------------------------------------------

    @cached_property
    def add_bos(self) -> bool:
        """Whether the tokenizer puts BOS in front."""
        return bool(ll.llama_vocab_get_add_bos(self.vocab))

    @cached_property
    def bos(self) -> int:
        """Id of BOS (NO_TOKEN: there is none)."""
        return int(ll.llama_vocab_bos(self.vocab))

    @cached_property
    def eos(self) -> int:
        """Id of EOS (NO_TOKEN: there is none)."""
        return int(ll.llama_vocab_eos(self.vocab))

    @cached_property
    def fim(self) -> tuple[int, ...]:
        """Tokens that stand before the prefix, the suffix and the middle to be filled in, or ()."""
        reads = ll.llama_vocab_fim_pre, ll.llama_vocab_fim_suf, ll.llama_vocab_fim_mid
        tokens = tuple(int(read(self.vocab)) for read in reads)
        return () if NO_TOKEN in tokens else tokens

    def is_end(self, token: int) -> bool:
        """Whether a token ends a generation."""
        return bool(ll.llama_vocab_is_eog(self.vocab, token))

    def token_text(self, token: int) -> str:
        """The name of a token, as a template prints it."""
        if token == NO_TOKEN:
            return ""
        text = ll.llama_vocab_get_text(self.vocab, token)
        return text.decode("utf-8", "replace") if text else ""

    @cached_property
    def attributes(self) -> list[int]:
        """The bits of enum llama_token_attr of every token."""
        return [int(ll.llama_vocab_get_attr(self.vocab, t)) for t in range(self.num_vocab)]

    @cached_property
    def _marks(self) -> list[str]:
        """Texts of control tokens that stand alone: in no other one's, and eating no blanks."""
        control = {self.token_text(t): a for t, a in enumerate(self.attributes) if a & CONTROL}
        everything = "\0".join(control)
        return [
            text
            for text, attribute in control.items()
            if text and not attribute & STRIPPING and everything.count(text) == 1
        ]

    def _blocks(self, text: str) -> list[str]:
        """Parts of a text that become the same tokens one by one, cut behind special tokens.

        With all at once llama.cpp takes time by the square of the number of special tokens.
        """
        if len(text) < LONG_TEXT:
            return [text]
        mark = max(self._marks, key=text.count, default="")
        pieces = text.split(mark) if mark else [text]
        if len(pieces) <= MARKS_A_BLOCK:
            return [text]
        starts = range(0, len(pieces), MARKS_A_BLOCK)
        blocks = [mark.join(pieces[at : at + MARKS_A_BLOCK]) + mark for at in starts]
        return [*blocks[:-1], blocks[-1].removesuffix(mark)]

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool = True) -> list[int]:
        """Token ids; texts of special tokens become these tokens if `parse_special`.

        With `add_special`, what the tokenizer puts around a text is there; BOS is never doubled.
        """
        if not parse_special:
            return self._tokens(text, add_special=add_special, parse_special=False)
        first, *others = self._blocks(text)
        if not others:
            return self._tokens(text, add_special=add_special)
        ids = [t for block in (first, *others) for t in self._tokens(block, add_special=False)]
        return self.with_special(ids) if add_special else ids

    def with_special(self, ids: list[int]) -> list[int]:
        """A text's tokens with BOS before and EOS behind them, as the tokenizer has it."""
        return self.before(ids[:1]) + ids + self.after

    def before(self, first: list[int]) -> list[int]:
        """What the tokenizer puts before a text that begins with this token, if with any."""
        return [self.bos] if self.add_bos and first != [self.bos] else []

    @cached_property
    def after(self) -> list[int]:
        """What the tokenizer puts behind a text."""
        return [self.eos] if ll.llama_vocab_get_add_eos(self.vocab) else []

    def _tokens(self, text: str, *, add_special: bool, parse_special: bool = True) -> list[int]:
        data = text.encode("utf-8", "replace")
        room = len(data) + 16
        for _ in range(2):
            tokens = (ll.llama_token * room)()
            count = ll.llama_tokenize(
                self.vocab, data, len(data), tokens, room, add_special, parse_special
            )
            if count >= 0:
                break
            room = -count
        else:
            raise DecodeFailed("llama_tokenize", count)
        ids = tokens[:count]
        doubled = add_special and self.add_bos and ids[:2] == [self.bos, self.bos]
        return ids[1:] if doubled else ids

    def special(self, text: str) -> int:
        """The token that a text is as a whole, not by its letters (NO_TOKEN: there is none)."""
        tokens = self.tokenize(text, add_special=False) if text else []
        if len(tokens) != 1 or self.name(tokens[0]) != text.encode():
            return NO_TOKEN
        special = self.attributes[tokens[0]] & SPECIAL
        return tokens[0] if special else NO_TOKEN

    def spelled(self, text: str) -> list[int]:
        """Tokens of a text that stands behind others, without the blank that some put before one.

        Texts of special tokens are these tokens, as in `tokenize`.
        """
        for before in ("", "\n", "a"):
            first = self.tokenize(before, add_special=False)
            tokens = self.tokenize(before + text, add_special=False)
            rest = tokens[len(first) :]
            if tokens[: len(first)] == first and b"".join(map(self.name, rest)) == text.encode():
                break
        return rest

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes that a token stands for; control tokens have none unless `special`."""
        room = 64
        for _ in range(2):
            buffer = ctypes.create_string_buffer(room)
            count = ll.llama_token_to_piece(self.vocab, token, buffer, room, 0, special)
            if count >= 0:
                return buffer.raw[:count]
            room = -count
        raise DecodeFailed("llama_token_to_piece", count)

    def name(self, token: int) -> bytes:
        """The bytes of a token, those of a control token too."""
        return self.piece(token, special=True)

    def vocabulary(self) -> list[bytes]:
        """What each token shows; one that shows nothing, or ends, is 0xFF and its name.

        That is llguidance's notation: no text has a byte 0xFF, so none is made of such tokens.
        """
        shown = [b"" if self.is_end(t) else self.piece(t) for t in range(self.num_vocab)]
        return [
            text or b"\xff" + self.piece(token, special=True) for token, text in enumerate(shown)
        ]

    def tokenizer_addresses(self) -> tuple[int, int]:
        """Addresses of the vocabulary and of llama_tokenize, for native code of others."""
        function = ctypes.cast(ll.llama_cpp._lib.llama_tokenize, ctypes.c_void_p)
        return int(self.vocab), int(function.value or 0)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of token ids, special tokens included; unknown ids are left out."""
        known = (t for t in tokens if 0 <= t < self.num_vocab)
        return b"".join(self.piece(t, special=True) for t in known).decode("utf-8", "replace")


def _overrides(
    wanted: Sequence[tuple[str, bool | int | float | str]],
) -> ctypes.Array[ll.llama_model_kv_override] | None:
    """Keys with other values, ended by one without a name; the caller keeps them alive."""
    if not wanted:
        return None
    array = (ll.llama_model_kv_override * (len(wanted) + 1))()
    for slot, (key, value) in zip(array, wanted, strict=False):
        slot.key = key.encode()
        if isinstance(value, bool):
            slot.tag, slot.value.val_bool = ll.LLAMA_KV_OVERRIDE_TYPE_BOOL, value
        elif isinstance(value, int):
            slot.tag, slot.value.val_i64 = ll.LLAMA_KV_OVERRIDE_TYPE_INT, value
        elif isinstance(value, float):
            slot.tag, slot.value.val_f64 = ll.LLAMA_KV_OVERRIDE_TYPE_FLOAT, value
        else:
            slot.tag, slot.value.val_str = ll.LLAMA_KV_OVERRIDE_TYPE_STR, value.encode()
    return array


class Batch:
    """A reusable llama_batch over numpy memory: one sequence a token, filled by slices."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.token: Ints = np.zeros(room, np.int32)
        self.pos: Ints = np.zeros(room, np.int32)
        self.seq: Ints = np.zeros(room, np.int32)
        self.logits: npt.NDArray[np.int8] = np.zeros(room, np.int8)
        self._ones: Ints = np.ones(room, np.int32)
        first, step = self.seq.ctypes.data, self.seq.itemsize
        self._seq_pointers = np.arange(first, first + step * room, step, dtype=np.uint64)
        self.struct = ll.llama_batch()
        self._point("token", self.token, ll.llama_token)
        self._point("pos", self.pos, ll.llama_pos)
        self._point("n_seq_id", self._ones, ctypes.c_int32)
        self._point("seq_id", self._seq_pointers, ctypes.POINTER(ll.llama_seq_id))
        self._point("logits", self.logits, ctypes.c_int8)

    def _point(self, name: str, array: npt.NDArray[Any], kind: type[Any]) -> None:
        setattr(self.struct, name, ctypes.cast(array.ctypes.data, ctypes.POINTER(kind)))

    def fill(self, items: Sequence[tuple[int, int, Sequence[int], int]]) -> None:
        """Put in (sequence, first position, tokens, number of outputs) after one another.

        Outputs are computed for so many of the item's last tokens.
        """
        ids: list[int] = []
        positions: list[int] = []
        seqs: list[int] = []
        outputs: list[int] = []
        for seq, pos, tokens, num_outputs in items:
            count = len(tokens)
            ids += tokens
            positions += range(pos, pos + count)
            seqs += [seq] * count
            outputs += range(len(ids) - num_outputs, len(ids))
        count = len(ids)
        if count > self.room:  # llama.cpp would abort the process
            raise DecodeFailed("llama_batch", count)
        self.token[:count], self.pos[:count], self.seq[:count] = ids, positions, seqs
        self.logits[:count] = 0
        self.logits[outputs] = 1
        self.struct.n_tokens = count

    def all_outputs(self) -> None:
        """Ask for the output of every token, as pooling needs it."""
        self.logits[: self.struct.n_tokens] = 1


class EmbeddingBatch:
    """A llama_batch of rows of embeddings, all of one sequence."""

    def __init__(self) -> None:
        self.struct = ll.llama_batch()
        self._memory: list[npt.NDArray[Any]] = []

    def fill(self, seq: int, rows: Floats, positions: Ints, wants: bool) -> None:
        """Put in rows, each with its numbers of `positions` (a line for each dimension).

        With output wanted, it is computed for the last row.
        """
        count = len(rows)
        seqs = np.full(count, seq, np.int32)
        first, step = seqs.ctypes.data, seqs.itemsize
        pointers = np.arange(first, first + step * count, step, dtype=np.uint64)
        logits = np.zeros(count, np.int8)
        logits[-1] = wants
        self.struct.n_tokens = count
        arrays: list[tuple[str, npt.NDArray[Any], type[Any]]] = [
            ("embd", np.ascontiguousarray(rows), ctypes.c_float),
            ("pos", np.ascontiguousarray(positions), ll.llama_pos),
            ("n_seq_id", np.ones(count, np.int32), ctypes.c_int32),
            ("seq_id", pointers, ctypes.POINTER(ll.llama_seq_id)),
            ("logits", logits, ctypes.c_int8),
        ]
        for name, array, kind in arrays:
            address = ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))
            setattr(self.struct, name, address)
        self._memory = [seqs, *(array for _, array, _ in arrays)]


class Context:
    """One llama_context: memory for sequences, and the decoding of batches."""

    def __init__(self, model: Model, params: ll.llama_context_params, abort: AbortSwitch) -> None:
        params.abort_callback, params.abort_callback_data = abort.function, abort.data
        params.rope_freq_base, params.rope_freq_scale = model.rope  # 0: as the model says
        self.model, self._abort = model, abort  # kept: llama.cpp holds pointers into them
        self._params = params
        self._use(self._made(params))

    def _made(self, params: ll.llama_context_params) -> Any:
        """A new llama_context."""
        self.model.log.errors = []
        pointer = ll.llama_init_from_model(self.model.pointer, params)
        if not pointer:
            raise self.model.log.failure("the context")
        return pointer

    def _use(self, pointer: Any) -> None:
        self.pointer = pointer
        self.memory = ll.llama_get_memory(pointer)
        self.num_ctx = int(ll.llama_n_ctx_seq(pointer))
        self._views: dict[int, Floats] = {}  # of rows of logits, by their addresses
        if self.model.adapters:
            self._set_adapters(self.model.adapters)

    def grow(self, num_seqs: int, occupied: Sequence[int]) -> None:
        """Have slots for more sequences; those in `occupied` slots stay there as they are.

        A llama_context cannot grow: another one takes its place, and copies of all states. Call it
        only when what was moved or shifted last has been computed.

        Raises
        ------
        NotEnoughMemory, LoadFailed
            Then nothing has changed.
        """
        params = self._params_for(num_seqs)
        larger = self._made(params)
        for seq in occupied:
            if not self._carried(seq, larger):
                ll.llama_free(larger)
                raise NotEnoughMemory("a larger context", "a slot's state cannot be copied")
        ll.llama_set_n_threads(larger, self._threads, self._threads)
        self.close()
        self._params = params
        self._use(larger)

    def carries_to(self, other: Context) -> bool:
        """Whether what a slot holds can be copied into a context with more of them.

        Memories of several parts (sliding windows, hybrids) write them one after the other.
        """
        if self.model.window or self.model.is_hybrid:
            return False
        batch = Batch(1)
        batch.fill([(0, 0, [max(self.model.bos, 0)], True)])
        self.decode(batch)
        carries = self._carried(0, other.pointer)
        self.clear()
        other.clear()
        return carries

    def _carried(self, seq: int, target: Any) -> bool:
        state = self.save(seq)
        return state is not None and self._put(target, seq, state)

    def _put(self, target: Any, seq: int, state: State) -> bool:
        """Put a copied state into an empty slot of a llama_context, this one or a larger one."""
        if not self.model.recurs:
            state = _of_streams(state, int(ll.llama_n_seq_max(target)))
        data = state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        return bool(ll.llama_state_seq_set_data(target, data, state.nbytes, seq))

    def _params_for(self, num_seqs: int) -> ll.llama_context_params:
        params = ll.llama_context_params.from_buffer_copy(self._params)
        params.n_ctx = self._params.n_ctx // self._params.n_seq_max * num_seqs
        params.n_seq_max = num_seqs
        return params

    @property
    def _threads(self) -> int:
        return int(ll.llama_n_threads(self.pointer))

    def _set_adapters(self, adapters: Sequence[Any]) -> None:
        count = len(adapters)
        array = (ll.llama_adapter_lora_p_ctypes * count)(*adapters)
        scales = (ctypes.c_float * count)(*([1.0] * count))
        code = ll.llama_set_adapters_lora(self.pointer, array, count, scales)
        if code:
            raise DecodeFailed("llama_set_adapters_lora", code)

    def close(self) -> None:
        """Free the context; its model stays."""
        if self.pointer:
            ll.llama_free(self.pointer)
            self.pointer = None

    def decode(self, batch: Batch | EmbeddingBatch) -> bool:
        """Compute a batch; False if it was aborted (nothing of it counts then).

        Raises
        ------
        DecodeFailed
            With llama_decode's return code.
        """
        code = ll.llama_decode(self.pointer, batch.struct)
        if code == ABORTED:
            return False
        if code:
            raise DecodeFailed("llama_decode", code)
        return True

    def logits(self, output: int) -> Floats:
        """The raw logits after the batch's token `output`; a view that the next batch changes."""
        pointer = ll.llama_get_logits_ith(self.pointer, output)
        if not pointer:
            raise DecodeFailed("llama_get_logits_ith", output)
        address = ctypes.addressof(pointer.contents)
        view = self._views.get(address)
        if view is None:
            row = (ctypes.c_float * self.model.num_vocab).from_address(address)
            view = self._views[address] = np.frombuffer(memoryview(row), np.float32)
        return view

    @contextmanager
    def without(self, tokens: npt.NDArray[np.intp], output: int) -> Iterator[None]:
        """Logits in which these tokens are impossible, for a while."""
        logits = self.logits(output)
        kept = logits[tokens]
        logits[tokens] = -np.inf
        yield
        logits[tokens] = kept

    def synchronize(self) -> None:
        """Wait until what a GPU was told to compute is computed."""
        ll.llama_synchronize(self.pointer)

    def set_threads(self, threads: int) -> None:
        """Compute with so many threads from the next batch on."""
        ll.llama_set_n_threads(self.pointer, threads, threads)

    @cached_property
    def causal(self) -> bool:
        """Whether no token sees those after it; a text may then come in several batches."""
        return bool(self.memory) and bool(ll.llama_get_causal_attn(self.pointer))

    @contextmanager
    def not_causal(self) -> Iterator[None]:
        """Let the tokens of a batch see those after them, for a while."""
        ll.llama_set_causal_attn(self.pointer, False)
        try:
            yield
        finally:
            ll.llama_set_causal_attn(self.pointer, True)

    def forget(self, seq: int, from_pos: int = 0) -> bool:
        """Drop a sequence's tokens from a position on; False if this memory can only drop all."""
        return not self.memory or bool(ll.llama_memory_seq_rm(self.memory, seq, from_pos, -1))

    @cached_property
    def can_shift(self) -> bool:
        """Whether older tokens can be dropped; a recurrent memory keeps its state, and can too."""
        return bool(self.memory) and bool(ll.llama_memory_can_shift(self.memory))

    def drop(self, seq: int, begin: int, end: int) -> None:
        """Drop a sequence's tokens from `begin` to before `end`; the later ones move down."""
        if not ll.llama_memory_seq_rm(self.memory, seq, begin, end):
            raise DecodeFailed("llama_memory_seq_rm", 0)
        ll.llama_memory_seq_add(self.memory, seq, end, -1, begin - end)

    def move(self, source: int, target: int) -> None:
        """Move a whole sequence into an empty slot."""
        ll.llama_memory_seq_cp(self.memory, source, target, -1, -1)
        self.forget(source)

    def first_position(self, seq: int) -> int:
        """The first position of a sequence that all layers still have; -1 if it has none.

        It is not 0 where sliding windows have lost what came before it.
        """
        return int(ll.llama_memory_seq_pos_min(self.memory, seq))

    def state_bytes(self, seq: int) -> int:
        """How many bytes a copy of a sequence's state takes."""
        return int(ll.llama_state_seq_get_size(self.pointer, seq))

    def save(self, seq: int) -> State | None:
        """A copy of a sequence's state, unless there is no memory for it.

        Call it only when the last `move` into or out of this slot has been computed.
        """
        size = self.state_bytes(seq)
        try:
            state: State = np.empty(size, np.uint8)
        except MemoryError:
            return None
        data = state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        return state if ll.llama_state_seq_get_data(self.pointer, data, size, seq) == size else None

    def restore(self, seq: int, state: State) -> bool:
        """Put a copied state into an empty slot; False if that failed, and the slot is empty.

        The same holds as for `save`.
        """
        if self._put(self.pointer, seq, state):
            return True
        self.forget(seq)
        return False

    def clear(self, *, wipe: bool = False) -> None:
        """Drop every sequence; with `wipe`, nothing but zeros is left of them.

        Zeros for all slots take longer than a step of decoding, and hardly anybody needs them: what
        has been dropped is seen by nobody, unless it is no number.
        """
        if self.memory:
            ll.llama_memory_clear(self.memory, wipe)

    def hidden_states(self, count: int) -> Floats:
        """The vectors of the last batch's first `count` tokens; gone with the next batch.

        Each has `num_embd` values (`n_embd_out`), as long as the context does not pool.
        """
        pointer = ll.llama_get_embeddings(self.pointer)
        if not pointer:
            raise DecodeFailed("llama_get_embeddings", 0)
        rows: Floats = np.ctypeslib.as_array(pointer, (count, self.model.num_embd))
        return rows


def _of_streams(state: State, num_streams: int) -> State:
    """A slot's state as a context with more slots writes it (llama_kv_cache::state_write).

    Behind a head it has the number of streams, and of each one the number of cells, with their data
    behind it: none are in those that are added.
    """
    at = slice(STATE_HEAD, STATE_HEAD + 4)
    had = int(state[at].view(np.uint32)[0])
    if not 0 < had < num_streams:
        return state
    added = np.zeros(4 * (num_streams - had), np.uint8)
    larger: State = np.concatenate([state, added])
    larger[at].view(np.uint32)[0] = num_streams
    return larger


def max_sequences() -> int:
    """Sequences that one context can hold at most (LLAMA_MAX_SEQ)."""
    return int(ll.llama_max_parallel_sequences())


def system_info() -> str:
    """What this build of llama.cpp makes of the processor."""
    return bytes(ll.llama_print_system_info()).decode("utf-8", "replace")


def offloads() -> bool:
    """Whether this llama.cpp can compute on a GPU."""
    return bool(ll.llama_supports_gpu_offload())


def generation_context(
    model: Model,
    *,
    num_ctx: int,
    num_parallel: int,
    num_batch: int,
    threads: int,
    flash: bool | None,
    abort: AbortSwitch,
    kv_type: str = "f16",
) -> Context:
    """A context with one stream per sequence. `flash`: flash attention; None: llama.cpp decides.

    On a CPU it is slower in long contexts and faster in short ones, and FLASH_TILE rows of a prompt
    at once have other roundings than fewer.
    """
    params = ll.llama_context_default_params()
    params.n_ctx, params.n_seq_max = num_ctx * num_parallel, num_parallel
    params.n_batch = params.n_ubatch = num_batch
    params.n_threads = params.n_threads_batch = threads
    params.kv_unified, params.no_perf = False, True
    params.type_k = params.type_v = GGML_TYPES[kv_type]
    if flash is not None:
        kinds = ll.LLAMA_FLASH_ATTN_TYPE_DISABLED, ll.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.flash_attn_type = kinds[flash]
    return Context(model, params, abort)


def embedding_context(
    model: Model, *, num_cells: int, num_rows: int, num_seqs: int, threads: int, abort: AbortSwitch
) -> Context:
    """A context that gives the vector of every token; its sequences share its cells."""
    params = ll.llama_context_default_params()
    params.n_ctx, params.n_seq_max = num_cells, num_seqs
    params.n_batch = params.n_ubatch = num_rows
    params.n_threads = params.n_threads_batch = threads
    params.kv_unified, params.no_perf, params.embeddings = True, True, True
    params.flash_attn_type = ll.LLAMA_FLASH_ATTN_TYPE_AUTO
    params.pooling_type = ll.LLAMA_POOLING_TYPE_NONE
    return Context(model, params, abort)
