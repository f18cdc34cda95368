"""Asks llama.cpp which tensors a model of some metadata has: `python shapes.py HEADER.gguf`.

Prints `name dims...` lines, those that llama.cpp can do without among them. A process of its own: the
bindings abort it where metadata are wrong.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import llama_cpp as ll

NE_AT = 16  # struct ggml_tensor: type, padding, buffer, then four int64


class InitParams(ctypes.Structure):
    _fields_ = (("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p))


def main() -> int:
    library = ctypes.CDLL(next(Path(ll.__file__).parent.glob("lib/*ggml-base*")))
    library.gguf_init_from_file.restype = ctypes.c_void_p
    library.gguf_init_from_file.argtypes = [ctypes.c_char_p, InitParams]
    library.ggml_get_name.restype = ctypes.c_char_p
    library.ggml_get_name.argtypes = [ctypes.c_void_p]
    ll.llama_backend_init()

    @ll.llama_model_set_tensor_data_t
    def tell(tensor: int, _: object) -> None:
        dims = (ctypes.c_int64 * 4).from_address(tensor + NE_AT)
        sys.stdout.write(f"{library.ggml_get_name(tensor).decode()} {' '.join(map(str, dims))}\n")

    header = library.gguf_init_from_file(sys.argv[1].encode(), InitParams(True, None))
    params = ll.llama_model_default_params()
    params.use_extra_bufts = False
    return 0 if ll.llama_model_init_from_user(header, tell, None, params) else 1


if __name__ == "__main__":
    sys.exit(main())
