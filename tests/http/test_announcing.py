"""Any client of Ollama works in the kernels and terminals of a Jupyter server with the extension."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import pytest
import websocket
from ollama_nb_server.announcing import HOST, KEY, MARK, TOKEN, URL, announce, service
from ollama_nb_server.environment import Settings

OURS = {URL: "http://j/ollama", TOKEN: "s", HOST: "http://j/ollama", KEY: "s", MARK: "1"}
OUTER = {name: value.replace("j", "outer") for name, value in OURS.items()} | {TOKEN: "o", KEY: "o"}
LIST = "import ollama; print([model.model for model in ollama.list().models])"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, OURS),
        ({HOST: "gpu-box"}, {HOST: "gpu-box"}),
        ({HOST: "gpu-box", KEY: "k"}, {HOST: "gpu-box", KEY: "k"}),
        ({KEY: "k"}, {KEY: "k", URL: OURS[URL], TOKEN: "s"}),
        ({URL: "http://hub/ollama"}, {URL: "http://hub/ollama"}),
        (OUTER, OURS),
        (OUTER | {HOST: "gpu-box"}, {HOST: "gpu-box"}),
        (OUTER | {KEY: "k"}, {KEY: "k", URL: OURS[URL], TOKEN: "s"}),
    ],
)
def test_both_are_told_or_neither_and_what_a_person_set_stays(given, told) -> None:
    environ = dict(given)

    announce(environ, OURS[URL], "s")

    assert environ == told


HUBS = {URL: "http://p/services/ollama", TOKEN: "own", MARK: "hub", "JUPYTERHUB_USER": "ana"}
HUBS |= {HOST: HUBS[URL], KEY: "own"}


def test_what_a_hub_has_told_stays_in_a_user_s_server_and_in_a_jupyter_within() -> None:
    environ = dict(HUBS)

    announce(environ, OURS[URL], "s")

    assert environ == HUBS
    assert service(environ) == (HUBS[URL], "own")
    assert Settings.from_environ(environ).host == "127.0.0.1"


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, None),
        (OURS, None),
        (OURS | {"JUPYTERHUB_USER": "ana"}, None),
        ({URL: "http://by-hand/ollama"}, None),
        ({"JUPYTERHUB_USER": "ana"}, None),
        (HUBS | {HOST: "gpu-box"}, (HUBS[URL], "own")),
        (
            {URL: "http://h/x/", "JUPYTERHUB_USER": "ana", "JUPYTERHUB_API_TOKEN": "t"},
            ("http://h/x", "t"),
        ),
    ],
)
def test_a_server_of_a_hub_is_told_from_one_of_jupyter(environ, named) -> None:
    assert service(environ) == named


def test_an_address_that_no_client_can_call_is_told_to_ours_only() -> None:
    environ: dict[str, str] = {}

    announce(environ, "http+unix://%2Ftmp%2Fj.sock/ollama", "s")

    assert set(environ) == {URL, TOKEN}


def test_a_server_does_not_listen_on_the_address_of_jupyter() -> None:
    elsewhere = OURS | {HOST: "0.0.0.0:99"}

    assert Settings.from_environ(OURS).host == "127.0.0.1"
    assert Settings.from_environ(elsewhere).port == 99


@pytest.fixture(scope="module")
def jupyter(start_jupyter):
    """A Jupyter server that lists a model: the bundled one is there once it was asked for."""
    server = start_jupyter()
    with server.client() as client:
        assert client.post("/api/show", json={"model": "demo"}).status_code == 200
    return server


@pytest.fixture
def api(jupyter):
    base = jupyter.url.removesuffix("ollama")
    with httpx.Client(base_url=base, headers=jupyter.headers, timeout=30) as client:
        yield client


@pytest.fixture
def connect(jupyter, api):
    """Open a websocket of the Jupyter server."""
    opened: list[websocket.WebSocket] = []

    def connect(path: str) -> websocket.WebSocket:
        address = f"{api.base_url}{path}".replace("http", "ws", 1)
        header = {"Authorization": f"token {jupyter.token}"}
        opened.append(websocket.create_connection(address, timeout=60, header=header))
        return opened[-1]

    yield connect
    for socket in opened:
        socket.close()


@pytest.fixture
def kernel(api, connect):
    """A kernel that the server has started: the websocket of its channels."""
    identity = api.post("api/kernels", json={"name": "python3"}).json()["id"]
    yield connect(f"api/kernels/{identity}/channels")
    api.delete(f"api/kernels/{identity}")


def printed(kernel: websocket.WebSocket, code: str) -> str:
    """What a cell prints; an error's traceback too."""
    identity = uuid4().hex
    header = {"msg_id": identity, "msg_type": "execute_request", "session": "s", "username": ""}
    request = {"channel": "shell", "header": header | {"version": "5.3"}, "parent_header": {}}
    kernel.send(json.dumps(request | {"metadata": {}, "content": {"code": code, "silent": False}}))
    text = ""
    while True:
        message = json.loads(kernel.recv())
        if message["parent_header"].get("msg_id") != identity:
            continue
        content = message["content"]
        if message["msg_type"] in ("stream", "error"):
            text += content.get("text") or "\n".join(content["traceback"])
        elif content.get("execution_state") == "idle":
            return text.strip()


def test_the_ollama_package_works_in_a_kernel(kernel) -> None:
    assert printed(kernel, LIST) == "['demo:latest']"


def test_the_secret_goes_to_no_other_server(kernel, ollama_server) -> None:
    code = f"""
import ollama_nb
client = ollama_nb.connect({ollama_server.url!r}).client
seen = []
client._client.event_hooks["response"].append(lambda answer: seen.append(answer.request.headers))
client.list()
print("authorization" in seen[0])"""

    assert printed(kernel, code) == "False"


@pytest.fixture
def terminal(api, connect):
    """A terminal that the server has started: a function that types a line."""
    name = api.post("api/terminals").json()["name"]
    socket = connect(f"terminals/websocket/{name}")
    yield lambda line: socket.send(json.dumps(["stdin", f"{line}\r"]))
    api.delete(f"api/terminals/{name}")


def typed(terminal, eventually, command: str, folder: Path) -> str:
    """What a command in a terminal prints."""
    out, done = folder / "out", folder / "done"
    terminal(f"{command} > {out} 2>&1; touch {done}")
    eventually(done.exists, "the end of the command", 60)
    return out.read_text()


def test_the_ollama_package_works_in_a_terminal(terminal, eventually, tmp_path) -> None:
    command = f'{sys.executable} -c "{LIST}"'

    assert typed(terminal, eventually, command, tmp_path).strip() == "['demo:latest']"


def test_a_server_in_a_terminal_keeps_its_own_port(terminal, eventually, tmp_path) -> None:
    command = f"{sys.executable} -m ollama_nb_server serve --help"

    assert "one (11434)" in " ".join(typed(terminal, eventually, command, tmp_path).split())


def test_a_jupyter_within_a_jupyter_tells_of_itself(kernel, jupyter, start_jupyter) -> None:
    read = f"import os, json; print(json.dumps([os.environ.get(n) for n in {list(OURS)!r}]))"
    outer = dict(zip(OURS, json.loads(printed(kernel, read)), strict=True))
    nested = start_jupyter(**outer)
    base = nested.url.removesuffix("ollama")
    httpx.post(f"{base}api/kernels", headers=nested.headers, json={}, timeout=30, trust_env=False)
    (child,) = (
        process for process in psutil.Process(nested.process.pid).children()
        if any("ipykernel" in word for word in process.cmdline())
    )  # fmt: skip
    inner = child.environ()

    assert outer[HOST] == outer[URL] != inner[URL] == inner[HOST]
    assert inner[KEY] == inner[TOKEN] != outer[KEY]
    headers = {"Authorization": f"Bearer {inner[KEY]}"}
    answer = httpx.get(f"{inner[HOST]}/api/tags", headers=headers, trust_env=False)
    assert answer.status_code == 200
