"""Two users of one server: neither learns from counts or times what the other has asked."""

from __future__ import annotations

import json
from statistics import median

import httpx
import pytest
from ollama_nb_server.sharing.tokens import TokenFile

SECRET = "My cat is called Tim and my number is 4711. " * 20
SYSTEM = "You are a kind storyteller who tells of animals in the wood. " * 8
DOCUMENT = "A fox met a crow. The crow had a piece of cheese. " * 10


@pytest.fixture(scope="module")
def users(start_server, tmp_path_factory):
    """Clients of Ana, Ben and Eve, who is an administrator; `story` is public, `own` is not."""
    folder = tmp_path_factory.mktemp("users")
    (folder / "document.txt").write_text(DOCUMENT)
    tokens = TokenFile(folder / "tokens.json")
    made = {name: tokens.add(name, is_admin=name == "eve") for name in ("ana", "ben", "eve")}
    said = {"public": ["story"], "public_documents": [str(folder / "document.txt")]}
    server = start_server("--tokens", str(tokens.path), OLLAMA_NB_SHARING=json.dumps(said))
    clients = {
        name: httpx.Client(
            base_url=server.url,
            headers={"Authorization": f"Bearer {token}", "X-Ollama-Nb-Extras": "1"},
            timeout=60,
        )
        for name, token in made.items()
    }
    for model, system in {"story": SYSTEM, "own": SYSTEM, "quiet": SYSTEM.upper()}.items():
        body = {"model": model, "from": "demo", "system": system, "stream": False}
        clients["eve"].post("/api/create", json=body).raise_for_status()
    yield clients
    for client in clients.values():
        client.close()


def ask(client: httpx.Client, prompt: str, model: str = "own", **fields: object) -> dict:
    body = {"model": model, "prompt": prompt, "stream": False, "options": {"num_predict": 1}}
    return client.post("/api/generate", json=body | fields).raise_for_status().json()


def cached(client: httpx.Client, prompt: str, model: str = "own", **fields: object) -> int:
    return ask(client, prompt, model, **fields)["nb"]["cached_tokens"]


def test_a_guess_is_a_miss_and_one_s_own_prompt_is_not(users) -> None:
    first, guess = (cached(users[name], "1 " + SECRET) for name in ("ana", "ben"))

    assert (first, guess) == (0, 0)
    assert cached(users["ana"], "1 " + SECRET) > 200
    assert cached(users["eve"], "1 " + SECRET) == 0


def test_a_guess_takes_as_long_as_any_prompt(users) -> None:
    def seconds(client: httpx.Client, prompt: str) -> float:
        return ask(client, prompt)["prompt_eval_duration"] / 1e9

    guesses, others, own = [], [], []
    for number in range(9):
        ask(users["ana"], f"a{number} {SECRET}")
        guesses.append(seconds(users["ben"], f"a{number} {SECRET}"))
        others.append(seconds(users["ben"], f"b{number} {SECRET}"))
        own.append(seconds(users["ana"], f"a{number} {SECRET}"))

    assert 0.6 < median(guesses) / median(others) < 1.6
    assert median(own) < 0.6 * median(guesses)


def test_scores_are_as_blind(users) -> None:
    def score(name: str, begins: str) -> int:
        body = {"model": "own", "prompt": begins + SECRET, "choices": ["Yes", "No"]}
        answer = users[name].post("/api/score", json=body).raise_for_status()
        return answer.json()["nb"]["cached_tokens"]

    ask(users["ana"], "2 " + SECRET)
    guess, other = score("ben", "2 "), score("ben", "3 ")

    assert guess == other
    assert score("ana", "2 ") > guess + 200


def chat(client: httpx.Client, text: str, model: str) -> int:
    messages = [{"role": "user", "content": text}]
    body = {"model": model, "messages": messages, "stream": False, "options": {"num_predict": 1}}
    answer = client.post("/api/chat", json=body).raise_for_status()
    return answer.json()["nb"]["cached_tokens"]


def test_the_system_text_of_a_public_model_is_everybody_s(users) -> None:
    chat(users["ana"], "Tell of my cat Tim.", "story")
    public = chat(users["ben"], "Hello", "story")

    assert public > 60
    assert chat(users["ben"], "Tell of my cat Tim.", "story") - public < 8  # his own greeting
    assert chat(users["eve"], "Tell of my cat Tim.", "story") == public


def test_the_system_text_of_another_model_is_not(users) -> None:
    first, other, again = (chat(users[name], "Hello", "quiet") for name in ("ana", "ben", "ana"))

    assert max(first, other) < 10
    assert again > 60


def test_a_system_text_of_one_s_own_is_one_s_own_on_a_public_model_too(users) -> None:
    own = {"system": "5 " + SECRET}
    cached(users["ana"], "Hello", "story", **own)

    assert cached(users["ben"], "Hello", "story", **own) < 10
    assert cached(users["ana"], "Hello", "story", **own) > 200


def test_a_public_document_is_everybody_s_what_is_asked_about_it_is_not(users) -> None:
    prompt = f"{DOCUMENT.strip()}\n\nIs my cat Tim in it?"
    cached(users["ana"], prompt, "story")
    public = cached(users["ben"], prompt, "story")

    assert public > cached(users["eve"], "Is it?", "story") + 60
    assert public < ask(users["ana"], prompt, "story")["prompt_eval_count"] - 5


def test_a_user_s_own_model_is_never_public(start_server, tmp_path) -> None:
    (tmp_path / "document.txt").write_text(DOCUMENT)
    tokens = TokenFile(tmp_path / "tokens.json")
    made = {name: tokens.add(name, is_admin=name == "eve") for name in ("ana", "eve")}
    said = {"public": ["*", "ana/*"], "public_documents": [str(tmp_path / "document.txt")]}
    server = start_server("--tokens", str(tokens.path), OLLAMA_NB_SHARING=json.dumps(said))

    def client(name: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {made[name]}", "X-Ollama-Nb-Extras": "1"}
        return httpx.Client(base_url=server.url, headers=headers, timeout=60)

    with client("ana") as ana, client("eve") as eve:
        for owner, model in ((ana, "brief"), (eve, "open")):
            body = {"model": model, "from": "demo", "system": SYSTEM, "stream": False}
            owner.post("/api/create", json=body).raise_for_status()
        first = [cached(ana, DOCUMENT + "Who?", model) for model in ("brief", "open")]
        of_hers = cached(eve, DOCUMENT + "What?", "ana/brief")
        of_all = cached(eve, DOCUMENT + "What?", "open")

    assert first[0] == of_hers == 0
    assert of_all > 60
