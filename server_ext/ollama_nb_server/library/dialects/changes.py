"""What a translation changes in a header: keys, names, which tensors stay. Plain data.

Which changes a dialect needs is `translations`' affair; `writing` carries them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from struct import pack
from typing import TypeAlias

from ollama_nb_server.library.gguf.tables import ARRAY, SCALARS, STRING

U8, U32, I32, F32, BOOL = 0, 4, 5, 6, 7  # value types of the format
Scalar: TypeAlias = "bool | int | float | str"
MAX_OVERRIDE_BYTES = 127  # llama.h, llama_model_kv_override: 128 with the zero


@dataclass(frozen=True, slots=True)
class Value:
    """A value with its type in the file; a tuple is an array of that type."""

    kind: int
    value: Scalar | tuple[int, ...] | bytes

    def encode(self) -> bytes:
        """As the file holds it: the type, then the value."""
        if isinstance(self.value, str):
            text = self.value.encode()
            return pack("<IQ", STRING, len(text)) + text
        if isinstance(self.value, tuple | bytes):
            numbers = pack(f"<{len(self.value)}{SCALARS[self.kind]}", *self.value)
            return pack("<IIQ", ARRAY, self.kind, len(self.value)) + numbers
        return pack(f"<I{SCALARS[self.kind]}", self.kind, self.value)

    @property
    def scalar(self) -> Scalar | None:
        """The value, if it is one that llama.cpp takes beside the file."""
        if isinstance(self.value, tuple | bytes):
            return None
        too_long = isinstance(self.value, str) and len(self.value.encode()) > MAX_OVERRIDE_BYTES
        return None if too_long else self.value


def text(value: str) -> Value:
    """A text."""
    return Value(STRING, value)


def u32(value: int) -> Value:
    """An unsigned number."""
    return Value(U32, value)


def f32(value: float) -> Value:
    """A float."""
    return Value(F32, value)


def i32s(*values: int) -> Value:
    """An array of signed numbers."""
    return Value(I32, values)


def octets(values: bytes) -> Value:
    """An array of bytes."""
    return Value(U8, values)


@dataclass(frozen=True, slots=True)
class Changes:
    """One file's translation.

    Parameters
    ----------
    architecture
        The new `general.architecture`; the keys of the old one move along. Empty: it stays.
    values
        Keys to be set, by their new names.
    removed
        Keys to be left out, by their old names.
    renamed
        Regular expressions for tensor names, and what takes the place of what they find.
    dropped
        Beginnings of the names of tensors that are left out: what is seen and heard with, mostly.
    num_vocab
        Cut the vocabulary to so many tokens. None: leave it.
    joined
        Endings of the names of two tensors of a block: the first is put before the second, and
        both get the second's name.
    in_file
        A file of its own is needed even for scalars: what loads it takes no overrides.
    """

    architecture: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    dropped: tuple[str, ...] = ()
    num_vocab: int | None = None
    joined: tuple[str, str] | None = None
    in_file: bool = False

    @property
    def overrides(self) -> tuple[tuple[str, Scalar], ...] | None:
        """The same as llama.cpp's overrides of keys; None if they cannot do it.

        Only scalars can be overridden, and not the architecture: its required keys are looked up
        in the file first (llama-model-loader.cpp, get_key_or_arr).
        """
        beside = (self.architecture, self.removed, self.renamed, self.dropped, self.in_file)
        if any(beside) or self.num_vocab is not None or self.joined is not None:
            return None
        scalars = [(key, value.scalar) for key, value in self.values.items()]
        known = tuple((key, scalar) for key, scalar in scalars if scalar is not None)
        return known if len(known) == len(scalars) else None
