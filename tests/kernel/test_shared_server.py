"""A notebook at a server that others share: what is refused says whom to ask, and nothing else."""

from __future__ import annotations

import pytest
from ollama_nb_server.sharing.tokens import TokenFile

import ollama_nb


@pytest.fixture(scope="module")
def shared(start_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    file, config = TokenFile(folder / "tokens.json"), folder / "hub.toml"
    config.write_text('[hub]\ncontact = "Ms Ada"\n')
    token = file.add("ana", is_admin=False)
    return start_server("--tokens", str(file.path), "--config", str(config)).url, token


@pytest.fixture(autouse=True)
def at_the_shared_server(shared, monkeypatch):
    url, token = shared
    monkeypatch.setenv("OLLAMA_HOST", url)
    monkeypatch.setenv("OLLAMA_API_KEY", token)
    ollama_nb.connect()


def test_a_user_uses_models():
    answer = ollama_nb.generate("Hello", model="demo", options={"num_predict": 3})

    assert answer.stats.answer_tokens == 3


@pytest.mark.parametrize(
    "refused",
    [
        lambda: ollama_nb.pull("llama3.2"),
        lambda: ollama_nb.rm("demo"),
        lambda: ollama_nb.stop("demo"),
    ],
)
def test_what_is_an_administrators_says_whom_to_ask(refused):
    ollama_nb.generate("Hello", model="demo", options={"num_predict": 1})

    with pytest.raises(ollama_nb.NotAllowed, match=r"^ana may not .*: ask Ms Ada$") as failure:
        refused()

    assert "connect" not in str(failure.value)


def test_a_wrong_token_asks_for_another(shared, monkeypatch):
    with pytest.raises(ollama_nb.NoServer, match="refuses the token"):
        ollama_nb.connect(shared[0], token="wrong")
