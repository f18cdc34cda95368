"""Who may not send a body is refused before it is read, and users send so much at once and no more."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from declared import DECLARED, PIECE, SENT_AT_MOST, Memory, bearer, half_sent, is_answered, send
from ollama_nb_server.handlers.body_memory import BodyLimits, BodyMemory
from ollama_nb_server.handlers.rights import Right
from ollama_nb_server.handlers.routes import ROUTES
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.sharing import BadSharing, Sharing
from ollama_nb_server.sharing.tokens import TokenFile
from ollama_nb_server.wire.errors import BodiesTooLarge, BodyTooLarge, OwnBodiesTooLarge

DIGEST = f"sha256:{'0' * 64}"
REQUESTS = [
    (method, route.path.replace("([^/]+)", DIGEST).replace("[^/]+", "x"))
    for route in ROUTES
    for method in route.methods
]
OPEN = (Right.USE, Right.MAKE)
GUARDED = [(m, p) for r in ROUTES if r.right not in OPEN for m in r.methods for p in [r.path]]


@pytest.fixture(scope="module")
def people(start_server, tmp_path_factory):
    """A server of named people, and their tokens."""
    folder = tmp_path_factory.mktemp("people")
    file = TokenFile(folder / "tokens.json")
    tokens = {name: file.add(name, is_admin=name == "eve") for name in ("ana", "ben", "eve")}
    said = {"max_request_mb": 2, "max_bodies_mb": 12, "contact": "Ms Ada"}
    server = start_server(
        "--tokens", str(file.path), OLLAMA_NB_SHARING=json.dumps(said), OLLAMA_NO_CLOUD="1"
    )
    return server, tokens


@pytest.fixture(scope="module")
def memory_of_people(people) -> Iterator[None]:
    server, _ = people
    memory = Memory(server.process.pid)
    yield
    assert memory.grown < 20_000_000, "of what strangers have sent"


@pytest.mark.usefixtures("memory_of_people")
@pytest.mark.parametrize(("method", "path"), [*REQUESTS, ("POST", "/api/nope")])
def test_a_stranger_is_refused_before_the_body(people, method, path) -> None:
    server, _ = people
    for head, declared in [("", DECLARED), (bearer("wrong"), DECLARED), ("", None)]:
        heard = send(server.url, method, path, head, declared)

        assert heard.status == 401
        assert heard.sent < SENT_AT_MOST
        assert method == "HEAD" or b"unauthorized" in heard.body


@pytest.mark.parametrize("declared", [10, DECLARED, None])
def test_who_was_refused_is_in_the_log_once(people, eventually, declared) -> None:
    server, _ = people
    path = f"/api/logged-{declared}"
    assert send(server.url, "POST", path, declared=declared).status == 401
    line = f"401 POST {path} "
    eventually(lambda: line in server.log.read_text(), "the line", 10)
    time.sleep(0.1)

    assert server.log.read_text().count(line) == 1


def test_who_sends_on_is_cut_off(people) -> None:
    server, _ = people
    target, sent = httpx.URL(server.url), 0
    head = f"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {DECLARED}\r\n\r\n"
    with socket.create_connection((target.host, target.port), timeout=20) as connection:
        connection.sendall(head.encode())
        with suppress(ConnectionError):
            while sent < DECLARED:
                connection.sendall(PIECE)
                sent += len(PIECE)

    assert sent < 20_000_000  # what the system's own buffers hold


@pytest.mark.parametrize(("method", "path"), [*REQUESTS, ("POST", "/api/nope")])
def test_so_is_a_stranger_to_jupyter(jupyter_server, method, path) -> None:
    memory = Memory(jupyter_server.process.pid)
    for head in ("", bearer("wrong")):
        heard = send(jupyter_server.url, method, path, head)

        assert heard.status == 403
        assert heard.sent < SENT_AT_MOST
    assert memory.grown < 20_000_000


READERS_ONLY = """
from jupyter_server.auth.authorizer import Authorizer


class ReadersOnly(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        return resource != "ollama" or action == "read"
"""


def test_so_is_a_user_of_jupyter_whom_its_authorizer_refuses(start_jupyter, tmp_path) -> None:
    (tmp_path / "readers_only.py").write_text(READERS_ONLY)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    chosen = "--ServerApp.authorizer_class=readers_only.ReadersOnly"
    server = start_jupyter(chosen, PYTHONPATH=path)
    heard = send(server.url, "POST", "/api/show", bearer(server.token))

    assert heard.status == 403
    assert heard.sent < SENT_AT_MOST
    assert b"may not use the models" in heard.body
    with server.client() as client:
        assert client.get("/api/tags").is_success


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_a_user_without_the_right_is_refused_before_the_body(people, method, path) -> None:
    server, tokens = people
    heard = send(server.url, method, path, bearer(tokens["ana"]))

    assert heard.status == 403
    assert heard.sent < SENT_AT_MOST
    assert b"Ms Ada" in heard.body


@pytest.mark.parametrize("declared", [DECLARED, None])
def test_a_user_s_request_has_its_own_length(people, declared) -> None:
    server, tokens = people
    memory = Memory(server.process.pid)
    heard = send(server.url, "POST", "/api/generate", bearer(tokens["ana"]), declared)

    assert heard.status == 413
    assert heard.sent < SENT_AT_MOST + 3_000_000
    assert json.loads(heard.body)["error"] == (
        "the request is larger than 2 MB: send less at once, or ask Ms Ada"
    )
    assert memory.grown < 20_000_000


def test_a_body_of_an_administrator_may_be_longer(people) -> None:
    server, tokens = people
    body = json.dumps({"model": "demo", "x": "y" * 3_000_000})
    headers = {"Authorization": f"Bearer {tokens['eve']}"}
    answer = httpx.post(f"{server.url}/api/show", content=body, headers=headers, trust_env=False)

    assert answer.status_code == 200


def test_a_file_without_bytes_is_one_too(people) -> None:
    server, tokens = people
    headers = {"Authorization": f"Bearer {tokens['eve']}"}
    nothing = f"sha256:{hashlib.sha256().hexdigest()}"
    statuses = [
        httpx.post(f"{server.url}/api/blobs/{digest}", headers=headers, trust_env=False).status_code
        for digest in (nothing, DIGEST, "sha256:1")
    ]

    assert statuses == [201, 400, 400]


def test_uploads_stream_whatever_their_length(people) -> None:
    server, tokens = people
    memory = Memory(server.process.pid)
    headers = {"Authorization": f"Bearer {tokens['eve']}"}
    pieces = (PIECE for _ in range(1000))
    answer = httpx.post(f"{server.url}/api/blobs/{DIGEST}", content=pieces, headers=headers, timeout=60, trust_env=False)  # fmt: skip

    assert answer.status_code == 400
    assert "digest mismatch" in answer.json()["error"]
    assert memory.grown < 40_000_000


def test_bodies_have_a_bound_together_and_a_user_a_fourth_of_it(people, eventually) -> None:
    server, tokens = people
    clients = {
        name: httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        for name, token in tokens.items()
    }  # fmt: skip
    large = json.dumps({"model": "demo", "x": "y" * 1_900_000})
    mine = [half_sent(server.url, tokens["ana"], 1_900_000)]

    def is_full(name: str, held: list[socket.socket], who: str, size: int, status: int) -> bool:
        """Whether there is no room for a user; what found none itself is sent again."""
        if is_answered(held[-1]):
            held.append(half_sent(server.url, tokens[who], size))
        return clients[name].post("/api/show", content=large).status_code == status

    eventually(lambda: is_full("ana", mine, "ana", 1_900_000, 429), "ana's bound", 10)

    own = clients["ana"].post("/api/show", content=large)
    others = clients["ben"].post("/api/show", content=large)
    admins = [half_sent(server.url, tokens["eve"], 9_500_000)]
    eventually(lambda: is_full("ben", admins, "eve", 9_500_000, 503), "the bound of all", 10)
    busy = clients["ben"].post("/api/show", content=large)
    small = clients["ben"].post("/api/show", json={"model": "demo"})
    for connection in (*mine, *admins):
        connection.close()

    assert own.status_code == 429
    assert "have 1.9 MB already, and 3 MB are allowed" in own.json()["error"]
    assert int(own.headers["Retry-After"]) > 0
    assert others.status_code == small.status_code == 200
    assert busy.status_code == 503
    assert "requests of 12 MB together" in busy.json()["error"]
    assert int(busy.headers["Retry-After"]) > 0
    eventually(lambda: clients["ana"].post("/api/show", content=large).is_success, "a place", 10)
    for client in clients.values():
        client.close()


def test_a_refused_client_may_go_on_where_its_body_was_short(people) -> None:
    server, tokens = people
    target = httpx.URL(server.url)
    with socket.create_connection((target.host, target.port), timeout=20) as connection:
        said = b""
        for secret in ("wrong", tokens["ana"]):
            head = f"POST /api/show HTTP/1.1\r\nHost: localhost\r\n{bearer(secret)}\r\nContent-Length: 16\r\n\r\n"
            connection.sendall(head.encode())
            time.sleep(0.2)
            connection.sendall(b'{"model":"demo"}')
            said += connection.recv(1 << 16)

    assert said.startswith(b"HTTP/1.1 401")
    assert b"HTTP/1.1 200" in said


SILENT = """
import ollama_nb_server.handlers.early as early
early.SILENT_S = 0.5
"""


def test_a_body_that_stops_coming_ends(start_server, tmp_path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SILENT)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    server = start_server(PYTHONPATH=path)
    with half_sent(server.url, "", 1000) as connection:
        said = connection.recv(1 << 16)

    assert said.startswith(b"HTTP/1.1 408")
    assert b"nothing of the body came for 0.5 s" in said


ANA, EVE = Caller("ana", manages=False), Caller("eve")
LIMITS = BodyLimits(one=10, own=15, all=40)


def test_a_body_is_held_until_its_request_is_over() -> None:
    bodies = BodyMemory()
    bodies.hold(1, ANA, 10, LIMITS)
    bodies.hold(1, ANA, 9, LIMITS)
    with pytest.raises(OwnBodiesTooLarge):
        bodies.hold(2, ANA, 7, LIMITS)
    with pytest.raises(BodyTooLarge):
        bodies.hold(2, EVE, 11, LIMITS)
    for key in (3, 4, 5):
        bodies.hold(key, Caller(str(key)), 10, LIMITS)
    with pytest.raises(BodiesTooLarge):
        bodies.hold(6, EVE, 2, LIMITS)
    bodies.free(1)
    bodies.free(1)

    assert bodies.num_bytes == 30
    bodies.hold(6, EVE, 10, LIMITS)


def test_the_limits_of_users_and_of_who_manages() -> None:
    sharing = Sharing(max_request_mb=100, max_bodies_mb=200)

    user, admin = BodyLimits.of(sharing, ANA), BodyLimits.of(sharing, EVE)
    assert (user.one, user.own, user.all) == (100_000_000, 100_000_000, 200_000_000)
    assert (admin.one, admin.own, admin.all) == (256 << 20, 200_000_000, 200_000_000)
    for name in ("max_request_mb", "max_bodies_mb"):
        with pytest.raises(BadSharing, match=name):
            Sharing.of({name: 0}, "here")
