"""A process that loads GGUF files in llama.cpp, cuts a text into tokens and decodes it once.

`python loading.py FILE... [--adapter FILE]` writes a line of JSON for each; a broken file may abort it.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
from pathlib import Path
from typing import Any

import llama_cpp as ll
import numpy as np

TEXT = b"the hat, the boats\n\n123 ab"
ENCODERS = ("bert", "nomic-bert", "gemma-embedding")
NO_LOG = ll.llama_log_callback(
    lambda level, text, data: sys.stderr.write(text.decode("utf-8", "replace"))
)


def model_of(path: Path) -> Any:
    params = ll.llama_model_default_params()
    params.n_gpu_layers, params.use_mmap = 0, True
    model = ll.llama_model_load_from_file(str(path).encode(), params)
    assert model, f"{path.name} does not load"
    return model


def tokens_of(model: Any, text: bytes = TEXT) -> list[int]:
    room = (ll.llama_token * 256)()
    count = ll.llama_tokenize(
        ll.llama_model_get_vocab(model), text, len(text), room, 256, True, False
    )
    assert count > 0, f"tokenize returns {count}"
    return list(room[:count])


def decoded(model: Any, tokens: list[int], *, embeds: bool, adapter: Any = None) -> Any:
    """Logits of the last token, or the embedding."""
    params = ll.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch, params.n_threads = 256, 256, 256, 1
    params.embeddings, params.pooling_type = embeds, -1
    context = ll.llama_init_from_model(model, params)
    assert context, "no context"
    if adapter is not None:
        adapters = (ll.llama_adapter_lora_p_ctypes * 1)(adapter)
        code = ll.llama_set_adapters_lora(context, adapters, 1, (ctypes.c_float * 1)(1.0))
        assert code == 0, f"llama_set_adapters_lora returns {code}"
    array = (ll.llama_token * len(tokens))(*tokens)
    code = ll.llama_decode(context, ll.llama_batch_get_one(array, len(tokens)))
    assert code == 0, f"llama_decode returns {code}"
    if embeds:
        values = ll.llama_get_embeddings_seq(context, 0)
        size = ll.llama_model_n_embd(model)
    else:
        values = ll.llama_get_logits_ith(context, -1)
        size = ll.llama_vocab_n_tokens(ll.llama_model_get_vocab(model))
    found = np.ctypeslib.as_array(values, (size,)).copy()
    ll.llama_free(context)
    return found


def said(path: Path, adapter: Path | None) -> dict[str, Any]:
    model = model_of(path)
    tokens = tokens_of(model)
    lora = ll.llama_adapter_lora_init(model, str(adapter).encode()) if adapter else None
    assert adapter is None or lora, f"{adapter} does not load"
    values = decoded(model, tokens, embeds=path.stem in ENCODERS, adapter=lora)
    ll.llama_model_free(model)
    finite = bool(np.isfinite(values).all())
    return {"name": path.stem, "tokens": tokens, "finite": finite, "values": values[:8].tolist()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--adapter", type=Path)
    options = parser.parse_args()
    ll.llama_log_set(NO_LOG, ctypes.c_void_p(0))
    for path in options.files:
        sys.stdout.write(json.dumps(said(path, options.adapter)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
