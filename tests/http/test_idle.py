"""A server that was started for one notebook ends when nobody asks it any more, and not before."""

from __future__ import annotations

import hashlib
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

IDLE_S = "0.5"


@pytest.fixture
def server(start_server: Callable):
    return start_server("--idle-timeout", IDLE_S)


@contextmanager
def half_an_upload(url: str) -> Iterator[socket.socket]:
    """A connection on which half of a blob has been sent, and that the server has accepted."""
    place, data = urlsplit(url), b"x" * 100_000
    digest = hashlib.sha256(data).hexdigest()
    head = f"POST /api/blobs/sha256:{digest} HTTP/1.1\r\nHost: {place.netloc}\r\n"
    with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
        connection.sendall(
            f"{head}Content-Length: {len(data)}\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 100"), "it takes the body"
        connection.sendall(data[:50_000])
        yield connection


def ends(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


def test_a_server_that_nobody_asks_ends(server, eventually: Callable) -> None:
    eventually(lambda: ends(server.process), "the end of the server")

    assert server.process.returncode == 0


def test_an_upload_that_is_broken_off_keeps_no_server_alive(server, eventually: Callable) -> None:
    with half_an_upload(server.url):
        pass

    eventually(lambda: ends(server.process), "the end of the server")


def test_a_client_that_leaves_an_answer_keeps_no_server_alive(server, eventually) -> None:
    asked = {"model": "demo", "prompt": "Once", "options": {"num_predict": 2000}}
    with server.client() as client, client.stream("POST", "/api/generate", json=asked) as answer:
        next(answer.iter_lines())

    eventually(lambda: ends(server.process), "the end of the server")


def test_an_upload_that_takes_its_time_keeps_the_server(server, start_server, eventually) -> None:
    """Another server, asked by nobody and started later, ends meanwhile."""
    with half_an_upload(server.url):
        other = start_server("--idle-timeout", IDLE_S)
        eventually(lambda: ends(other.process), "the end of the other server")

        assert not ends(server.process)
        assert httpx.get(f"{server.url}/api/version", trust_env=False).is_success
