"""A real JupyterHub with its proxy: started, watched and ended; its users' servers and kernels."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
import websocket
from configurations import of_the_readme

PROXY = "configurable-http-proxy"
START_S, STOP_S = 40.0, 30.0
ADMIN = "boss"
SETTINGS = """
c.JupyterHub.bind_url = {url!r}
c.JupyterHub.hub_port = {hub}
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r}
c.Spawner.args = ["--allow-root"]
c.Authenticator.admin_users = {{"boss"}}
c.JupyterHub.load_groups = {{"teachers": {{"users": ["tina"]}}}}
c.JupyterHub.services = [{{"name": "tests", "api_token": {token!r}}}]
c.JupyterHub.load_roles = [
    {{"name": "tests", "services": ["tests"], "scopes": ["admin:users", "admin:servers", "tokens", "access:servers"]}},
]
c.JupyterHub.custom_scopes = {{"custom:tests:nothing": {{"description": "opens nothing"}}}}
"""


def installed_proxy(folder: Path) -> list[str]:
    """The command of the Hub's proxy, installed once by npm into a folder that stays."""
    program = folder / "node_modules" / ".bin" / PROXY
    if not program.exists():
        npm = shutil.which("npm")
        done = npm and subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), PROXY],
            capture_output=True,
            text=True,
            check=False,
        )
        if not done or done.returncode:
            said = done.stderr if done else "npm is not installed: apt-get install nodejs npm"
            assert os.environ.get("CI") != "true", said
            pytest.skip(f"no {PROXY}: {said}")
    return [str(program)]


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@dataclass
class RealHub:
    """A Hub at `url` (ends with a slash); `token` lets the tests start servers and make tokens."""

    url: str
    service_port: int
    log: Path
    process: subprocess.Popen[bytes]
    token: str
    api: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        headers = {"Authorization": f"token {self.token}"}
        base = f"{self.url}hub/api/"
        self.api = httpx.Client(base_url=base, headers=headers, timeout=60, trust_env=False)

    @property
    def service(self) -> str:
        return f"{self.url}services/ollama"

    def is_up(self) -> bool:
        try:
            return httpx.get(f"{self.service}/api/version", trust_env=False).status_code == 401
        except httpx.TransportError:
            return False

    def ensure_user(self, name: str) -> None:
        self.api.post(f"users/{name}")

    def token_of(self, name: str, *scopes: str) -> str:
        """A new token of a user's, with these scopes or all that the user has."""
        made = self.made_token(name, *scopes)
        return str(made["token"])

    def made_token(self, name: str, *scopes: str) -> dict[str, Any]:
        self.ensure_user(name)
        body = {"scopes": list(scopes)} if scopes else {}
        answer = self.api.post(f"users/{name}/tokens", json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def start_servers(self, names: Iterable[str], eventually: Any) -> dict[str, UserServer]:
        """Start users' own servers, all at once, and wait until they answer."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(self._begin_server, names))
        for name in names:
            eventually(lambda at=f"users/{name}": self.api.get(at).json()["server"], name)
        return {name: UserServer(f"{self.url}user/{name}/", self.token) for name in names}

    def _begin_server(self, name: str) -> None:
        self.ensure_user(name)
        answer = self.api.post(f"users/{name}/server")  # the Hub waits for it up to 10 s
        assert answer.status_code in (201, 202), answer.text

    def service_process(self) -> psutil.Process | None:
        """The process of the model server."""
        for child in psutil.Process(self.process.pid).children():
            if "--hub" in _words(child):
                return child
        return None

    def call(self, method: str, path: str, token: str, **more: Any) -> httpx.Response:
        """Ask the service through the proxy."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{self.service}{path}"
        return httpx.request(method, url, headers=headers, timeout=60, trust_env=False, **more)

    def stop(self) -> None:
        """End it, with all that it has started, and wait."""
        self.api.close()
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(STOP_S)
        _, left = psutil.wait_procs(children, timeout=STOP_S)
        for process in left:
            process.kill()
        assert not left, f"outlived the Hub: {left}"


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


@dataclass
class UserServer:
    """A user's own server, called through the proxy."""

    url: str
    token: str
    kernels: list[Kernel] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    def kernel(self) -> Kernel:
        """A new kernel, as a front end gets one."""
        path = f"{self.url}api/kernels"
        answer = httpx.post(path, headers=self.headers, json={"name": "python3"}, trust_env=False)
        answer.raise_for_status()
        address = f"{path}/{answer.json()['id']}/channels".replace("http", "ws", 1)
        channels = websocket.create_connection(address, timeout=60, header=self.headers)
        self.kernels.append(Kernel(channels))
        return self.kernels[-1]


@dataclass
class Kernel:
    """A kernel whose cells are run through the proxy."""

    channels: websocket.WebSocket
    shown: str = ""  # of the cell that runs, as it stands

    def run(self, code: str) -> str:
        """What a cell prints and shows as text; an error's traceback too."""
        identity = uuid4().hex
        header = {"msg_id": identity, "msg_type": "execute_request", "session": "s", "username": ""}
        content = {"code": code, "silent": False, "allow_stdin": False}
        request = {"channel": "shell", "header": header | {"version": "5.3"}, "parent_header": {}}
        self.channels.send(json.dumps(request | {"metadata": {}, "content": content}))
        text = ""
        while True:
            message = json.loads(self.channels.recv())
            if message["parent_header"].get("msg_id") != identity:
                continue
            said = message["content"]
            match message["msg_type"]:
                case "stream":
                    text += said["text"]
                case "error":
                    text += "\n".join(said["traceback"])
                case "display_data" | "execute_result":
                    text += said["data"].get("text/plain", "")
                    self.shown = said["data"].get("text/plain", "")
                case "update_display_data":
                    self.shown = said["data"].get("text/plain", "")
                case "status" if said["execution_state"] == "idle":
                    return text.strip()


def start(folder: Path, proxy: list[str], eventually: Any, *arguments: str) -> RealHub:
    """Start a Hub as the README says, in a folder of its own."""
    port, hub_port, api, service = free_ports(4)
    token, url = uuid4().hex, f"http://127.0.0.1:{port}/base/"
    before = SETTINGS.format(
        url=url,
        hub=hub_port,
        api=api,
        proxy=proxy,
        token=token,
        homes=f"{folder}/homes/{{username}}",
    )
    environment = {
        "OLLAMA_MODELS": str(folder / "models"),
        "OLLAMA_NB_CACHE": str(folder / "cache"),
        "OLLAMA_NO_CLOUD": "1",
    }
    told = [f'url="http://127.0.0.1:{service}"', f"environment={environment!r}", *arguments]
    readme = of_the_readme()
    assert readme.count("configure(c)") == 1
    config = folder / "jupyterhub_config.py"
    config.write_text(before + readme.replace("configure(c)", f"configure(c, {', '.join(told)})"))
    log = folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(config)],
            cwd=folder,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    hub = RealHub(url, service, log, process, token)
    eventually(lambda: hub.is_up() or process.poll() is not None, "the Hub", START_S)
    assert process.poll() is None, log.read_text()
    return hub
