"""Models that are there for some groups only: for all others they do not exist, anywhere."""

from __future__ import annotations

import pytest
from ollama_nb_server.sharing import BadSharing, Sharing
from people import ADMIN, Shared

CONFIG = """
[hub.models]
"Secret*" = ["seminar", "staff"]
"both" = ["seminar"]
"bo??:latest" = ["class"]
"""
PEOPLE = {"eve": ADMIN, "ana": ("class",), "ben": ("seminar",), "cy": ()}
MODELS = ("secret", "both", "open")
VERBS = [
    ("POST", "show", {}),
    ("POST", "generate", {"prompt": "Once", "stream": False, "options": {"num_predict": 1}}),
    ("POST", "generate", {"prompt": "", "keep_alive": 0}),
    ("POST", "chat", {"messages": [], "stream": False}),
    ("POST", "embed", {"input": "Once"}),
    ("POST", "embeddings", {"prompt": "Once"}),
    ("POST", "score", {"prompt": "Once", "choices": ["a", "b"]}),
    ("POST", "tokenize", {"text": "Once"}),
    ("POST", "detokenize", {"tokens": [1]}),
]


@pytest.fixture(scope="module")
def shared(share) -> Shared:
    return share(CONFIG, PEOPLE, MODELS)


def listed(shared: Shared, name: str, route: str = "tags") -> set[str]:
    models = shared[name].get(f"/api/{route}").raise_for_status().json()["models"]
    return {model["name"].removesuffix(":latest") for model in models}


@pytest.mark.parametrize(
    ("name", "models"),
    [
        ("eve", {"demo", "secret", "both", "open"}),
        ("ana", {"demo", "both", "open"}),
        ("ben", {"demo", "secret", "both", "open"}),
        ("cy", {"demo", "open"}),
    ],
)
def test_the_list_has_what_is_there_for_the_caller(shared, name: str, models: set[str]) -> None:
    assert listed(shared, name) == models


@pytest.mark.parametrize(("method", "verb", "fields"), VERBS)
@pytest.mark.parametrize("spelling", ["secret", "SECRET", "library/secret:latest"])
def test_what_is_not_there_is_not_found_as_what_does_not_exist(
    shared, method: str, verb: str, fields: dict, spelling: str
) -> None:
    nothing = spelling.replace("ecret", "ecrex").replace("ECRET", "ECREX")
    denied = shared["ana"].request(method, f"/api/{verb}", json={"model": spelling, **fields})
    missing = shared["ana"].request(method, f"/api/{verb}", json={"model": nothing, **fields})

    assert denied.status_code == missing.status_code == 404
    assert denied.text == missing.text.replace("ecrex", "ecret").replace("ECREX", "ECRET")


@pytest.mark.parametrize(("method", "verb", "fields"), VERBS[1:2] + VERBS[3:])
def test_a_member_may_use_it(shared, method: str, verb: str, fields: dict) -> None:
    answer = shared["ben"].request(method, f"/api/{verb}", json={"model": "secret", **fields})

    assert answer.status_code == 200, answer.text


def test_a_loaded_model_goes_by_a_name_that_is_there_for_the_caller(shared) -> None:
    asked = {"model": "secret", "prompt": "Once", "stream": False, "options": {"num_predict": 1}}
    shared["eve"].post("/api/generate", json={"model": "secret", "keep_alive": 0})
    shared["ben"].post("/api/generate", json=asked).raise_for_status()

    told = shared["ana"].get("/api/ps").json()["models"]
    assert listed(shared, "ben", "ps") == {"secret"}
    assert [model["name"] for model in told if "secret" in str(model)] == []
    assert len(told) == 1


def test_groups_that_manage_see_all(share) -> None:
    shared = share('managers = ["class"]\n' + CONFIG, {"ana": ("class",)}, MODELS)

    assert listed(shared, "ana") == {"demo", *MODELS}


@pytest.mark.parametrize(
    "models", ['"a b" = ["x"]', '"" = []', '"m" = "class"', '"m{1,2}" = []', '"m" = [1]']
)
def test_what_is_no_pattern_or_no_list_of_groups_is_named(tmp_path, models: str) -> None:
    path = tmp_path / "hub.toml"
    path.write_text(f"[hub.models]\n{models}\n")

    with pytest.raises(BadSharing, match=r"hub\.toml: models\."):
        Sharing.from_file(path)


@pytest.mark.parametrize(
    ("pattern", "name", "means"),
    [
        ("llama3.2", "llama3.2:latest", True),
        ("llama3.2", "llama3.2:1b", True),
        ("llama3.2:1b", "llama3.2:latest", False),
        ("llama*", "LLaMa3.2:1b", True),
        ("llama*", "alice/llama:latest", False),
        ("alice/*", "alice/llama:latest", True),
        ("*", "alice/llama:latest", True),
        ("hf.co/*:Q4_*", "hf.co/u/m:Q4_K_M", True),
        ("localhost:5000/u/*", "localhost:5000/u/m:latest", True),
    ],
)
def test_patterns(pattern: str, name: str, means: bool) -> None:
    sharing = Sharing(models={pattern: frozenset({"them"})})

    assert sharing.may_see(name, frozenset({"them"}))
    assert sharing.may_see(name, frozenset({"others"})) is not means
