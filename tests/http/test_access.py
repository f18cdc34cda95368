"""Who may call: one table of routes, each allowed and denied, in both apps."""

from __future__ import annotations

import re
import socket
import stat
from collections.abc import Callable

import httpx
import psutil
import pytest
from ollama_nb_server.handlers.origins import host_allowed, is_loopback, origin_allowed
from ollama_nb_server.handlers.rights import Right
from ollama_nb_server.handlers.routes import ROUTES
from ollama_nb_server.sharing.tokens import TokenFile

DIGEST = f"sha256:{'0' * 64}"
REQUESTS = [
    (method, route.path.replace("([^/]+)", DIGEST).replace("[^/]+", "x"))
    for route in ROUTES
    for method in route.methods
]


OPEN = (Right.USE, Right.MAKE)  # to users, the latter for models of their own


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_jupyter_denies_without_and_allows_with_the_token(jupyter_server, method, path) -> None:
    denied = httpx.request(method, jupyter_server.url + path, trust_env=False)
    with jupyter_server.client() as client:
        allowed = client.request(method, path)

    assert denied.status_code == 403
    assert allowed.status_code not in (401, 403) or "cloud" in allowed.text


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_a_wrong_token_is_denied(jupyter_server, method, path) -> None:
    headers = {"Authorization": "Bearer wrong"}

    assert httpx.request(method, jupyter_server.url + path, headers=headers).status_code == 403


@pytest.fixture(scope="module")
def guarded(start_server):
    """A stand-alone server that wants a secret."""
    return start_server(OLLAMA_NB_TOKEN="a secret")


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_standalone_with_a_secret_denies_and_allows_likewise(guarded, method, path) -> None:
    denied = httpx.request(method, guarded.url + path, trust_env=False)
    with guarded.client() as client:
        allowed = client.request(method, path)

    assert denied.status_code == 401
    assert allowed.status_code not in (401, 403) or "cloud" in allowed.text


@pytest.fixture(scope="module")
def shared(start_server, tmp_path_factory):
    """A stand-alone server of named people, and their tokens."""
    folder = tmp_path_factory.mktemp("shared")
    file, config = TokenFile(folder / "tokens.json"), folder / "hub.toml"
    config.write_text('[hub]\nmanagers = ["teachers"]\ncontact = "Ms Ada"\n')
    tokens = {
        "user": file.add("ana", is_admin=False),
        "admin": file.add("eve", is_admin=True),
        "teacher": file.add("tom", is_admin=False, groups=frozenset({"teachers"})),
    }
    return start_server("--tokens", str(file.path), "--config", str(config)), file, tokens


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_standalone_with_names_does_as_their_rights_say(shared, method, path) -> None:
    server, _, tokens = shared
    (right,) = {route.right for route in ROUTES if path in _paths(route)}

    def status(secret: str) -> int:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        answer = httpx.request(method, server.url + path, headers=headers, trust_env=False)
        of_rights = "Ms Ada" in answer.text or method == "HEAD"
        return answer.status_code if answer.status_code == 401 or of_rights else 0

    assert (status(""), status("wrong")) == (401, 401)
    assert status(tokens["user"]) == (status(tokens["admin"]) if right in OPEN else 403)
    assert status(tokens["admin"]) in (0, 200, 404)
    assert status(tokens["teacher"]) == status(tokens["admin"])


def _paths(route) -> set[str]:
    return {path for _, path in REQUESTS if re.fullmatch(route.path, path)}


def test_a_token_that_is_removed_is_refused_within_a_second(shared, eventually) -> None:
    server, file, _ = shared
    headers = {"Authorization": f"Bearer {file.add('gone', is_admin=False)}"}
    url = f"{server.url}/api/version"
    eventually(lambda: httpx.get(url, headers=headers).status_code == 200, "the token is known", 3)

    file.remove("gone")

    eventually(lambda: httpx.get(url, headers=headers).status_code == 401, "it is refused", 3)


def test_a_broken_file_of_tokens_lets_nobody_in(shared, eventually) -> None:
    server, file, tokens = shared
    headers = {"Authorization": f"Bearer {tokens['admin']}"}
    whole = file.path.read_text()
    file.path.write_text("{")

    eventually(lambda: httpx.get(server.url, headers=headers).status_code == 401, "the door", 3)

    file.path.write_text(whole)
    eventually(lambda: httpx.get(server.url, headers=headers).status_code == 200, "the door", 3)


def test_a_server_below_a_path(start_server) -> None:
    server = start_server("--base-url", "/services/ollama/")

    assert server.url.endswith("/services/ollama")
    with server.client() as client:
        assert client.get("/api/version").status_code == 200
        assert client.get("/").text == "Ollama is running"
        asked = {"model": "demo", "prompt": "One day", "options": {"num_predict": 3}}
        assert client.post("/api/generate", json=asked).status_code == 200
    assert (
        httpx.get(server.url.removesuffix("/services/ollama") + "/api/version").status_code == 404
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--base-url", "services"), "begin with /"),
        (("--config", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_what_cannot_be_served_is_named(start_server, arguments, said) -> None:
    with pytest.raises(AssertionError, match=said):
        start_server(*arguments)


@pytest.mark.parametrize("server", ["jupyter_server", "guarded"])
def test_no_log_is_told_what_stands_in_an_address(server: str, request, eventually) -> None:
    asked = request.getfixturevalue(server)
    answer = httpx.get(f"{asked.url}/api/tags?token=a_wrong_one", trust_env=False)
    assert answer.status_code in (401, 403)
    eventually(lambda: "GET" in asked.log.read_text(), "the request in the log")

    assert "a_wrong_one" not in asked.log.read_text()


def test_an_unknown_path_is_denied_too(jupyter_server, guarded) -> None:
    assert httpx.get(f"{jupyter_server.url}/api/nope").status_code == 403
    assert httpx.get(f"{guarded.url}/api/nope").status_code == 401


def test_an_upload_is_denied_before_its_body(jupyter_server) -> None:
    host, port = httpx.URL(jupyter_server.url).host, httpx.URL(jupyter_server.url).port
    head = f"POST /base/ollama/api/blobs/{DIGEST} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {5 << 30}\r\n\r\n"
    with socket.create_connection((host, port), timeout=10) as connection:
        connection.sendall(head.encode())
        answer = connection.recv(4096)

    assert b" 403 " in answer.split(b"\r\n")[0]


def test_the_kernels_of_a_jupyter_server_are_told_where_it_is(jupyter_server) -> None:
    base = jupyter_server.url.removesuffix("ollama")
    with httpx.Client(base_url=base, headers=jupyter_server.headers, timeout=30) as client:
        kernel = client.post("api/kernels", json={"name": "python3"}).json()["id"]
        environ = environment_of_kernel(jupyter_server.process.pid)
        client.delete(f"api/kernels/{kernel}")

    secret = {"Authorization": f"Bearer {environ['JUPYTER_OLLAMA_TOKEN']}"}
    url = environ["JUPYTER_OLLAMA_URL"]
    assert httpx.get(f"{url}/api/version", headers=secret, trust_env=False).status_code == 200
    assert httpx.get(f"{base}api/kernels", headers=secret, trust_env=False).status_code == 403


def environment_of_kernel(server: int) -> dict[str, str]:
    children = psutil.Process(server).children()
    (kernel,) = (p for p in children if any("ipykernel" in word for word in p.cmdline()))
    return kernel.environ()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_open_address_needs_a_secret_or_a_word(start_server, host: str) -> None:
    with pytest.raises(AssertionError, match="OLLAMA_NB_TOKEN"):
        start_server("--host", host)


def test_the_runtime_file_is_for_its_owner_only(start_server) -> None:
    server = start_server(OLLAMA_NB_TOKEN="another")
    facts = server.log.with_name("server.json")

    assert stat.S_IMODE(facts.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost", True), ("http://localhost:3000", True), ("https://127.0.0.1:1", True), ("app://x", True),
        ("file://", True), ("tauri://localhost", True), ("vscode-webview://a", True), ("http://evil.com", False),
        ("http://localhost.evil.com", False), ("null", False), ("chrome-extension://a", False),
    ],
)  # fmt: skip
def test_origins(origin: str, allowed: bool) -> None:
    assert origin_allowed(origin, ()) is allowed


def test_origins_may_be_configured() -> None:
    assert origin_allowed("chrome-extension://a", ("chrome-extension://*",))


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True), ("localhost:11434", True), ("x.localhost", True), ("a.local", True), ("a.internal", True),
        ("10.0.0.1", True), ("[::1]:80", True), ("0.0.0.0", True), ("", True), ("example.com", False), ("8.8.8.8", False),
        ("localhost.evil.com", False),
    ],
)  # fmt: skip
def test_hosts(host: str, allowed: bool) -> None:
    assert host_allowed(host) is allowed


@pytest.mark.parametrize(("host", "loopback"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("box", False)])  # fmt: skip
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def preflight(url: str, origin: str) -> httpx.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return httpx.options(f"{url}/api/chat", headers=headers)


def test_preflights(ollama_server) -> None:
    allowed = preflight(ollama_server.url, "http://localhost:3000")
    denied = preflight(ollama_server.url, "http://evil.com")

    assert (allowed.status_code, denied.status_code) == (204, 403)
    assert allowed.headers["Access-Control-Max-Age"] == "43200"


def test_everybody_may_be_allowed(start_server: Callable) -> None:
    server = start_server(OLLAMA_ORIGINS="*")
    answer = httpx.get(f"{server.url}/api/version", headers={"Origin": "http://evil.com"})

    assert answer.headers["Access-Control-Allow-Origin"] == "*"
