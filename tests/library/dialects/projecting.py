"""Whether llama.cpp takes a projector: `python projecting.py TEXT.gguf PROJECTOR.gguf`."""

from __future__ import annotations

import sys

import llama_cpp as ll
from llama_cpp import mtmd_cpp


def main() -> int:
    text, projector = (path.encode() for path in sys.argv[1:])
    ll.llama_backend_init()
    model = ll.llama_model_load_from_file(text, ll.llama_model_default_params())
    params = mtmd_cpp.mtmd_context_params_default()
    return 0 if mtmd_cpp.mtmd_init_from_file(projector, model, params) else 1


if __name__ == "__main__":
    sys.exit(main())
