"""Who may call the service of a Hub: one table of routes, each for everybody there is."""

from __future__ import annotations

import httpx
import pytest
from declared import SENT_AT_MOST, Memory, bearer, send
from ollama_nb_server.handlers.rights import Right
from ollama_nb_server.handlers.routes import ROUTES

pytestmark = pytest.mark.slow

DIGEST = f"sha256:{'0' * 64}"
REQUESTS = [
    (method, route.path.replace("([^/]+)", DIGEST).replace("[^/]+", "x"), route.right)
    for route in ROUTES
    for method in route.methods
]
CALLERS = ["nobody", "stranger", "without", "user", "teacher", "admin"]
MANAGERS = ("teacher", "admin")
FOR_ALL = (Right.USE, Right.MAKE)


@pytest.fixture(scope="session")
def tokens(hub):
    """A token of each kind of caller."""
    return {
        "nobody": "",
        "stranger": "0" * 32,
        "without": hub.token_of("eve", "users:activity!user"),
        "user": hub.token_of("ann", "access:services!service=ollama"),
        "teacher": hub.token_of("tina", "access:services!service=ollama"),
        "admin": hub.token_of("boss", "access:services!service=ollama"),
    }


def expected(caller: str, right: Right) -> set[int]:
    """The refusals that a caller may meet; empty: none."""
    if caller == "nobody":
        return {401}
    if caller in ("stranger", "without"):
        return {403}
    return set() if right in FOR_ALL or caller in MANAGERS else {403}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(("method", "path", "right"), REQUESTS)
def test_every_route_for_everybody(hub, tokens, method, path, right, caller) -> None:
    answer = hub.call(method, path, tokens[caller])

    refused = answer.status_code in (401, 403) and "cloud" not in answer.text
    assert refused == bool(expected(caller, right)), answer.text
    assert not refused or answer.status_code in expected(caller, right)
    assert not refused or method == "HEAD" or "error" in answer.json()


@pytest.mark.parametrize("caller", ["nobody", "stranger", "without"])
@pytest.mark.parametrize(("method", "path"), [(method, path) for method, path, _ in REQUESTS])
def test_who_may_not_call_is_refused_before_the_body(hub, tokens, method, path, caller) -> None:
    memory = Memory(hub.service_process().pid)
    heard = send(
        f"http://127.0.0.1:{hub.service_port}/base/services/ollama",
        method,
        path,
        bearer(tokens[caller]) if tokens[caller] else "",
    )

    assert heard.status in expected(caller, Right.USE)
    assert heard.sent < SENT_AT_MOST
    assert memory.grown < 20_000_000


def test_so_are_strangers_to_a_user_s_own_server(alice) -> None:
    heard = send(f"{alice.url}ollama", "POST", "/api/generate")

    assert heard.status == 403
    assert heard.sent < SENT_AT_MOST


@pytest.mark.parametrize(
    ("caller", "path", "said"),
    [
        ("nobody", "/api/tags", "it in OLLAMA_API_KEY"),
        ("stranger", "/api/tags", "does not know this token"),
        ("without", "/api/tags", "eve may not use the models of this Hub: ask Ms Ada"),
        ("user", "/metrics", "ask Ms Ada"),
    ],
)
def test_a_refusal_says_what_to_do(hub, tokens, caller, path, said) -> None:
    assert said in hub.call("GET", path, tokens[caller]).json()["error"]


@pytest.mark.parametrize("way", ["cookie", "query"])
def test_a_token_counts_in_the_header_only(hub, tokens, way) -> None:
    secret = tokens["user"]
    more = {"cookies": {"service-ollama": secret}} if way == "cookie" else {}
    query = f"?token={secret}" if way == "query" else ""

    answer = httpx.get(f"{hub.service}/api/tags{query}", trust_env=False, **more)

    assert answer.status_code == 401


def test_who_may_manage_by_a_scope_needs_no_group(hub) -> None:
    secret = hub.made_token("tina", "access:services!service=ollama", "custom:ollama:manage")

    assert hub.call("POST", "/api/copy", secret["token"], json={}).status_code != 403


def test_a_revoked_token_ends_within_the_time_that_is_set(hub, eventually) -> None:
    made = hub.made_token("ann", "access:services!service=ollama")
    assert hub.call("GET", "/api/tags", made["token"]).status_code == 200

    assert hub.api.delete(f"users/ann/tokens/{made['id']}").status_code == 204

    eventually(lambda: hub.call("GET", "/api/tags", made["token"]).status_code == 403, "the end", 4)


def test_a_user_s_token_opens_no_other_s_server(hub, alice, tokens) -> None:
    for secret in (tokens["user"], hub.token_of("bob")):
        answer = httpx.get(
            f"{alice.url}ollama/api/tags",
            headers={"Authorization": f"token {secret}"},
            trust_env=False,
        )
        assert answer.status_code == 403


def test_a_service_of_the_hub_is_a_caller_of_its_own(hub) -> None:
    answer = hub.call("GET", "/api/tags", hub.token)

    assert "service/tests may not use the models" in answer.json()["error"]
