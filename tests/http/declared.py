"""Requests that declare a large body, as a client sends them that looks for an answer meanwhile."""

from __future__ import annotations

import select
import socket
from dataclasses import dataclass

import httpx
import psutil

DECLARED = 400_000_000
SENT_AT_MOST = 2_000_000
PIECE = bytes(1 << 16)
WAIT_S = 0.5  # for an answer between two pieces: a loaded machine takes its time


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


@dataclass
class Heard:
    """What came back, and how much had been sent by then."""

    status: int
    body: bytes
    sent: int


def send(
    url: str, method: str, path: str, head: str = "", declared: int | None = DECLARED
) -> Heard:
    """Declare a body (None: in chunks of unknown number), and send it until an answer is there."""
    target = httpx.URL(url)
    length = "Transfer-Encoding: chunked" if declared is None else f"Content-Length: {declared}"
    lines = [f"{method} {target.path.rstrip('/')}{path} HTTP/1.1", "Host: localhost", length, head]
    with socket.create_connection((target.host, target.port), timeout=20) as connection:
        connection.sendall("\r\n".join(filter(None, lines)).encode() + b"\r\n\r\n")
        sent = pushed(connection, declared)
        answer = bytearray()
        try:
            while b"\r\n\r\n" not in answer or not is_whole(answer, method):
                piece = connection.recv(1 << 16)
                if not piece:
                    break
                answer += piece
        except ConnectionResetError:
            pass
    said, _, body = bytes(answer).partition(b"\r\n\r\n")
    assert said, f"nothing came back, {sent} bytes were sent"
    return Heard(int(said.split(b" ", 2)[1]), body, sent)


def pushed(connection: socket.socket, declared: int | None) -> int:
    """Send slowly enough that an answer can come between two pieces."""
    sent = 0
    while sent < (DECLARED if declared is None else declared):
        readable, _, _ = select.select([connection], [], [], WAIT_S)
        if readable:
            break
        framed = b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if declared is None else PIECE
        try:
            connection.sendall(framed)
        except (BrokenPipeError, ConnectionResetError):
            break
        sent += len(PIECE)
    return sent


def is_whole(answer: bytes, method: str) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    lengths = [
        line.split(b":")[1] for line in head.lower().split(b"\r\n") if b"content-length" in line
    ]
    return method == "HEAD" or (bool(lengths) and len(body) >= int(lengths[0]))


def half_sent(url: str, token: str, size: int) -> socket.socket:
    """A request whose body is announced, and does not come to its end."""
    target = httpx.URL(url)
    connection = socket.create_connection((target.host, target.port), timeout=20)
    head = f"POST /api/generate HTTP/1.1\r\nHost: localhost\r\n{bearer(token)}\r\nContent-Length: {size}\r\n\r\n"
    connection.sendall(head.encode() + b"{")
    return connection


def is_answered(connection: socket.socket) -> bool:
    """Whether there is something to read."""
    return bool(select.select([connection], [], [], 0)[0])


class Memory:
    """Whether a process grows."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._before = self._process.memory_info().rss

    @property
    def grown(self) -> int:
        return self._process.memory_info().rss - self._before
