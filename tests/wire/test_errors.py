"""The table of statuses: what each error is to a client."""

import pytest
from ollama_nb_server.engine.errors import CannotEmbed
from ollama_nb_server.wire.errors import describe


@pytest.mark.parametrize("route", ["embed", "embeddings"])
def test_a_model_without_vectors_is_the_request_s_mistake(route):
    status, sentence = describe(CannotEmbed(), route)

    assert status == 400
    assert "choose a model that embeds" in sentence
