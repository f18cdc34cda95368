"""The processors that llama.cpp can compute on besides the CPU, and the memory that they have.

`Devices` is what a load asks; `NativeDevices` answers with ggml's figures and the host's.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import llama_cpp as ll

from ollama_nb_server.engine.hardware.host_memory import HostMemory

GPU, INTEGRATED = 1, 2  # enum ggml_backend_dev_type, ggml-backend.h


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """A device and its memory in bytes. A GPU that is part of the processor shares the host's."""

    name: str
    free_bytes: int
    total_bytes: int


class Devices(Protocol):
    """What a load wants to know of the machine; asked anew each time."""

    def gpus(self) -> list[DeviceMemory]:
        """The GPUs, numbered as `main_gpu` numbers them."""

    def host(self) -> HostMemory:
        """The memory of the CPU."""


class NativeDevices:
    """The devices of this machine that this build of llama.cpp can use."""

    def gpus(self) -> list[DeviceMemory]:
        """As llama.cpp chooses them: integrated ones only where there are no others."""
        found = list(_devices())
        kinds = {kind for kind, _ in found}
        chosen = GPU if GPU in kinds else INTEGRATED
        return [memory for kind, memory in found if kind == chosen]

    def host(self) -> HostMemory:
        """What the system and the control groups leave."""
        return HostMemory.now()


def _devices() -> Iterator[tuple[int, DeviceMemory]]:
    """Kind and memory of every device, the CPU included."""
    for number in range(ggml_function("ggml_backend_dev_count", ctypes.c_size_t)()):
        device = ggml_function("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)(number)
        yield (
            ggml_function("ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p)(device),
            _memory(device),
        )


def _memory(device: int) -> DeviceMemory:
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    pointers = ctypes.c_void_p, ctypes.c_void_p
    ask = ggml_function("ggml_backend_dev_memory", None, ctypes.c_void_p, *pointers)
    ask(device, ctypes.byref(free), ctypes.byref(total))
    name = ggml_function("ggml_backend_dev_name", ctypes.c_char_p, ctypes.c_void_p)(device)
    return DeviceMemory(name.decode("utf-8", "replace"), free.value, total.value)


@cache
def ggml_function(name: str, result: Any, *arguments: Any) -> Any:
    """A function of ggml. The bindings have none of these; libllama was linked to them.

    Where a library does not show what it is linked to (Windows), ggml's own are asked: they are
    in the process already.
    """
    function = None
    for library in (ll.llama_cpp._lib, "ggml", "ggml-base"):
        try:
            loaded = ctypes.CDLL(library) if isinstance(library, str) else library
            function = getattr(loaded, name)
            break
        except (AttributeError, OSError):
            continue
    if function is None:
        raise ImportError(f"llama.cpp's libraries have no function {name}")
    function.restype, function.argtypes = result, arguments
    return function
