"""A text whose vector is no number fails alone: nothing of it reaches others' numbers."""

import pytest
from altered import write_altered
from ollama_nb_server.engine.messages import Failed
from serving import Serving

CAT = "the cat sat on a red mat."
LONG, SHORT = CAT * 50, CAT * 10  # the short one has tiles with cells that nobody fills
TAINTED = "x" * 100


@pytest.fixture(scope="module")
def serving(demo_gguf, demo_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("tainted") / "tainted.gguf"
    tainted = demo_model.tokenize(TAINTED, add_special=False)

    def without_numbers(rows):
        rows = rows.copy()
        rows[tainted] = float("nan")
        return rows

    write_altered(demo_gguf, path, {"token_embd.weight": without_numbers})
    serving = Serving(path, num_ctx=2048, num_parallel=1)
    yield serving
    serving.close()


def failed(serving, request):
    end = serving.answers[request].end
    return isinstance(end, Failed) and end.error == "EmbeddingNotFinite"


def test_the_next_text_in_its_place_is_whole(serving):
    clean = serving.vectors(SHORT)
    request = serving.embed(TAINTED)
    serving.run()

    assert failed(serving, request)
    assert serving.vectors(SHORT) == clean


def test_a_text_that_is_partly_computed_is_computed_again(serving):
    clean = serving.vectors(LONG)
    long, tainted = serving.embed(LONG), serving.embed("a cat", TAINTED)
    serving.run()

    assert failed(serving, tainted)
    assert serving.answers[long].end.vectors == clean
