"""`ollama-nb serve --hub` without a Hub around it: what it wants, and a Hub that does not answer."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys

import httpx
import psutil
import pytest

HUB = {
    "JUPYTERHUB_API_TOKEN": "t",
    "JUPYTERHUB_API_URL": "http://127.0.0.1:9/hub/api",  # nothing answers there
    "JUPYTERHUB_SERVICE_NAME": "ollama",
}


def test_a_hub_that_does_not_answer_is_said(start_server) -> None:
    server = start_server("--hub", **HUB)
    headers = {"Authorization": "Bearer whatever"}

    answer = httpx.get(f"{server.url}/api/tags", headers=headers, trust_env=False)

    assert server.url.endswith("/services/ollama")
    assert answer.status_code == 503
    assert "does not answer" in answer.json()["error"]
    assert answer.headers["Retry-After"] == "5"
    assert httpx.get(f"{server.url}/api/tags", trust_env=False).status_code == 401


KILLED = """
import os, subprocess, sys
service = subprocess.Popen([sys.executable, "-m", "ollama_nb_server", "serve", "--hub"])
print(service.pid, flush=True)
service.wait()
"""


def test_the_service_of_a_hub_that_is_killed_ends_and_makes_room(tmp_path, eventually) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"http://127.0.0.1:{probe.getsockname()[1]}/services/ollama/"
    more = {"JUPYTERHUB_SERVICE_URL": address, "OLLAMA_MODELS": str(tmp_path)}
    hub = subprocess.Popen(
        [sys.executable, "-c", KILLED], env={**os.environ, **HUB, **more}, stdout=subprocess.PIPE
    )
    service = psutil.Process(int(hub.stdout.readline()))
    try:
        eventually(lambda: answers(address), "the service", 30)

        hub.kill()
        hub.wait()

        eventually(lambda: not service.is_running(), "its end", 30)
    finally:
        hub.stdout.close()
        for process in (hub, service):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}api/version", trust_env=False).status_code == 401
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        ([], HUB | {"JUPYTERHUB_API_URL": ""}, "JUPYTERHUB_API_URL"),
        (["--allow-anyone"], HUB, "leave out --allow-anyone"),
        (["--tokens", "x"], HUB, "leave out --tokens"),
        ([], HUB | {"OLLAMA_NB_TOKEN": "s"}, "leave out OLLAMA_NB_TOKEN"),
    ],
)
def test_what_does_not_go_with_a_hub_is_refused(start_server, arguments, environ, said) -> None:
    with pytest.raises(AssertionError, match=said):
        start_server("--hub", *arguments, **environ)


def test_a_page_of_a_service_that_runs_elsewhere_sends_to_the_hub_s_login(start_server) -> None:
    server = start_server("--hub", **HUB, JUPYTERHUB_SERVICE_PREFIX="/base/services/ollama/")

    answer = httpx.get(f"{server.url}/", headers={"Accept": "text/html"}, trust_env=False)

    login = httpx.URL(answer.headers["Location"])
    assert (answer.status_code, login.path) == (302, "/base/hub/api/oauth2/authorize")
    assert login.params["client_id"] == "service-ollama"
    assert login.params["redirect_uri"] == "/base/services/ollama/oauth_callback"
