"""What `/ollama` of a user's server lets through to a Hub's model server, and what it keeps."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest


class Recording(BaseHTTPRequestHandler):
    """A service that notes what it is asked, with cookies and repeated headers in its answers."""

    asked: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.asked.append((self.path, dict(self.headers)))
        self.send_response(200)
        for name, value in (("Vary", "A"), ("Vary", "B"), ("Set-Cookie", "a=1"), ("X-Own", "yes")):
            self.send_header(name, value)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self) -> None:
        """Die without a word, behind a proxy that leaves the connection open."""
        self.send_response(200)
        self.send_header("X-Ollama-Nb-Heartbeat", "1")
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"{}")
        self.wfile.flush()
        self.rfile.read()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[ThreadingHTTPServer]:
    kind = type("Here", (Recording,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def asked(service: ThreadingHTTPServer) -> list[tuple[str, dict[str, str]]]:
    found: list[tuple[str, dict[str, str]]] = service.RequestHandlerClass.asked  # type: ignore[attr-defined]
    return found


@pytest.fixture
def relay(start_jupyter: Callable[..., Any], service: ThreadingHTTPServer) -> Any:
    """A user's server on a Hub whose model server is below /services/ollama."""
    return on_a_hub(start_jupyter, f"http://127.0.0.1:{service.server_port}/services/ollama", "t0")


def on_a_hub(start_jupyter: Callable[..., Any], url: str, token: str) -> Any:
    named = {"JUPYTERHUB_USER": "ana", "JUPYTER_OLLAMA_URL": url, "JUPYTER_OLLAMA_TOKEN": token}
    return start_jupyter("--ServerApp.allow_remote_access=True", **named)


@pytest.mark.parametrize("up", ["..", "%2e%2e", "%2E."])
def test_no_path_leads_out_of_the_service(relay, service, up: str) -> None:
    place = httpx.URL(relay.url)
    connection = http.client.HTTPConnection(place.host, place.port, timeout=10)
    connection.request("GET", f"{place.path}/{up}/{up}/hub/api/user", headers=relay.headers)
    answer = connection.getresponse()
    connection.close()

    assert answer.status == 404
    assert not [path for path, _ in asked(service) if "user" in path]


def test_what_a_browser_sends_for_jupyter_stays_there(relay, service) -> None:
    of_jupyter = {"Cookie": "a=secret", "Referer": "http://hub.example/lab?token=secret"}
    with relay.client() as client:
        client.get(f"/api/tags?token={relay.token}&a=1", headers=of_jupyter).raise_for_status()

    path, headers = asked(service)[-1]
    assert path == "/services/ollama/api/tags?a=1"
    assert headers["Authorization"] == "Bearer t0"
    assert not {"secret", relay.token} & set(str(headers).replace("=", "'").split("'"))


def test_headers_come_back_as_often_as_they_were_sent_but_no_cookies(relay) -> None:
    with relay.client() as client:
        answer = client.get("/api/tags")

    assert answer.headers.get_list("Vary") == ["A", "B"]
    assert answer.headers["X-Own"] == "yes"
    assert "a=1" not in answer.headers.get_list("Set-Cookie")


@pytest.mark.slow
def test_who_streams_through_it_hears_that_the_service_has_died(relay) -> None:
    with relay.client() as client, pytest.raises(httpx.RemoteProtocolError):
        client.post("/api/generate", timeout=120)


def test_a_page_of_the_hub_s_own_address_may_call(start_server, start_jupyter) -> None:
    there = start_server(OLLAMA_NB_TOKEN="t1")
    relay = on_a_hub(start_jupyter, there.url, "t1")
    page = {"Host": "hub.example", "Origin": "http://hub.example"}
    with relay.client() as client:
        answer = client.post("/api/show", json={"model": "demo"}, headers=page)

    assert answer.status_code == 200, answer.text
