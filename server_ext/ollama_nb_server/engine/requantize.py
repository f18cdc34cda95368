"""A process that rewrites a GGUF file: `python -m ollama_nb_server.engine.requantize SRC DST TYPE`.

TYPE is a number of llama.h's `llama_ftype`, or `copy`. Writes `done total` lines (tensors) to
stdout and llama.cpp's log to stderr; the exit code is 0 if DST is whole. A process of its own,
because a broken file may abort it.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys

import llama_cpp as ll

STEP = re.compile(rb"\[\s*(\d+)/\s*(\d+)\]")
Q8_0, F16 = 8, 1  # ggml_type
WARNING = 3  # ggml_log_level
FOUR_BIT = (14, 15)  # llama_ftype of Q4_K_S and Q4_K_M
# Tensors that a 4-bit model of an architecture keeps at more bits (ollama-models.md 4.7).
KEPT: dict[str, dict[str, int]] = {
    "qwen35": {r"nextn\.eh_proj": Q8_0},
    "qwen35moe": {r"nextn\.eh_proj": Q8_0},
    "gemma3n": {r"per_layer_token_embd": F16},
    "deepseek2": dict.fromkeys(
        ("attn_k_b", "attn_q_a", "attn_q_b", "attn_v_b", "attn_kv_a_mqa"), Q8_0
    ),
    "glm4": dict.fromkeys((r"token_embd\.weight", r"^output\.weight"), F16),
    "glmocr": dict.fromkeys((r"token_embd\.weight", r"^output\.weight"), F16),
}


def tell(level: int, text: bytes, _: object) -> None:
    """Pass llama.cpp's log on; its lines about tensors are the progress."""
    try:
        if step := STEP.match(text):
            sys.stdout.write(f"{step[1].decode()} {step[2].decode()}\n")
            sys.stdout.flush()
        elif level >= WARNING:
            sys.stderr.buffer.write(text)
            sys.stderr.buffer.flush()
    except BrokenPipeError:
        os._exit(1)  # whoever wanted this is gone; an exception would stay inside the callback


def overrides(architecture: str) -> ctypes.Array[ll.llama_model_tensor_override]:
    """The patterns of an architecture, ended by an empty one."""
    rules = KEPT.get(architecture, {})
    array = (ll.llama_model_tensor_override * (len(rules) + 1))()
    for slot, (pattern, kind) in zip(array, rules.items(), strict=False):
        slot.pattern, slot.type = pattern.encode(), kind
    return array


def main() -> int:
    """Quantise or copy a GGUF file in a process of its own: llama.cpp may abort on a bad one."""
    source, target, kind, architecture = sys.argv[1:]
    if hasattr(os, "nice"):
        os.nice(10)  # answers come first
    callback = ll.llama_log_callback(tell)
    ll.llama_log_set(callback, ctypes.c_void_p(0))
    params = ll.llama_model_quantize_default_params()
    params.allow_requantize, params.only_copy = True, kind == "copy"
    params.ftype = 0 if kind == "copy" else int(kind)
    kept = overrides(architecture)
    if params.ftype in FOUR_BIT:
        params.tt_overrides = ctypes.cast(kept, type(params.tt_overrides))
    return int(ll.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)))


if __name__ == "__main__":
    sys.exit(main())
