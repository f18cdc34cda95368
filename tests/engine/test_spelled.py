"""Text that is written for a model: its own tokens, and nothing before them."""

import pytest
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.engine.native import Model, NativeLog

TEXTS = [
    "</think>",
    "ink>",
    " the end",
    "\n",
    "a",
    "",
    "\n\n{",
    "<tool_call>",
    "ü 日",
    "<|im_end|>",
]


@pytest.fixture(scope="module", params=["demo_gguf", "tagged_gguf", "pieces_gguf"])
def model(request):
    """Of GPT-2's kind, and of SentencePiece's, which puts a blank before a text."""
    model = Model(LoadSpec(str(request.getfixturevalue(request.param))), NativeLog())
    yield model
    model.close()


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_behind_others_is_spelled_as_it_is(model, text):
    assert b"".join(map(model.name, model.spelled(text))) == text.encode()


def test_a_special_token_is_spelled_by_itself(model):
    token = model.special("<|im_end|>")

    assert model.spelled("<|im_end|>") == [token]
