"""Another way to a text's vector: the whole text in one batch, pooled by llama.cpp itself."""

from __future__ import annotations

import llama_cpp as ll
import numpy as np
import numpy.typing as npt
from ollama_nb_server.engine.native import AbortSwitch, Batch, Context, Model


def mean_of_a_whole_text(model: Model, text: str) -> npt.NDArray[np.float64]:
    """The mean of its tokens' vectors, of length 1."""
    tokens = model.tokenize(text, add_special=True)
    params = ll.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = len(tokens)
    params.embeddings, params.pooling_type = True, ll.LLAMA_POOLING_TYPE_MEAN
    context = Context(model, params, AbortSwitch())
    batch = Batch(len(tokens))
    batch.fill([(0, 0, tokens, True)])
    batch.all_outputs()
    assert context.decode(batch)
    pointer = ll.llama_get_embeddings_seq(context.pointer, 0)
    vector = np.ctypeslib.as_array(pointer, (model.num_embd,)).astype(np.float64)
    context.close()
    return vector / np.linalg.norm(vector)
