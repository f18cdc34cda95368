"""A small registry that is real enough: tokens, ranges, uploads; and that misbehaves on request."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.manifest import (
    CONFIG_TYPE,
    LAYER_TYPE,
    MANIFEST_TYPE,
    Layer,
    Manifest,
)
from ollama_nb_server.registry import Limits

PART_BYTES = 64 * 1024
QUICK = Limits(
    min_part_bytes=PART_BYTES,
    first_pause_s=0.002,
    progress_bytes=PART_BYTES,
    stall_s=0.3,
    head_s=1.0,
    stagger_s=0.0,
    checkpoint_bytes=16 * 1024,
    orphan_s=0.1,
    foreign_s=0.4,
)

CONFIG = b'{"model_format":"gguf","architecture":"amd64","os":"linux"}\n'
EMPTY = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()
TOKEN = "a-token-of-the-far-registry"
SLICE_BYTES = 4096


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True)
class Seen:
    """One request, as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes = b""

    @property
    def first_byte(self) -> int:
        return int(re.match(r"bytes=(\d+)", self.headers["range"])[1])


Act = Callable[["Handler"], object]


@dataclass
class Fault:
    """What is done instead of answering, so many times."""

    method: str
    path: str
    act: Act
    times: int
    locating: bool  # the question where a blob is, not the one for its bytes


@dataclass
class Far:
    """What the registry has, what it was asked, and how it is to misbehave."""

    port: int = 0
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)
    mountable: set[str] = field(default_factory=set)
    demands_token: bool = False
    realm: str = ""  # where tokens are to be had, if not here
    challenge: list[str] = field(default_factory=list)  # the demand in other words, line by line
    tokens: set[str] = field(default_factory=set)
    elsewhere: str = ""  # a host name that blobs are redirected to
    redirects_uploads: bool = False
    relative_uploads: bool = False
    ignores_ranges: bool = False
    direct_parts: dict[int, bytes] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def publish(
        self, *layers: bytes, name: str = "u/m", tag: str = "latest", **kinds: bytes
    ) -> str:
        """Offer a model of these weights, and layers of other kinds; its full name."""
        parts = [("model", data) for data in layers] + list(kinds.items())
        described = tuple(
            Layer(LAYER_TYPE + kind, Digest.parse(digest_of(data)), len(data))
            for kind, data in parts
        )
        config = Layer(CONFIG_TYPE, Digest.parse(digest_of(CONFIG)), len(CONFIG))
        self.blobs |= {digest_of(data): data for data in (*(d for _, d in parts), CONFIG)}
        self.manifests[f"{name}:{tag}"] = Manifest(config, described).encode().rstrip(b"\n")
        return f"{self.host}/{name}:{tag}"

    def misbehave(
        self, method: str, path: str, act: Act, times: int = 1, *, locating: bool = False
    ) -> None:
        """Let requests whose path has this in it go wrong."""
        self.faults.append(Fault(method, path, act, times, locating))

    def asked(self, method: str, path: str = "") -> list[Seen]:
        return [seen for seen in self.seen if seen.method == method and path in seen.path]

    def ranges(self) -> list[tuple[int, int]]:
        """The pieces of blobs that were asked for, without the question where they are."""
        found = [re.fullmatch(r"bytes=(\d+)-(\d+)", s.headers.get("range", "")) for s in self.seen]
        pieces = [(int(match[1]), int(match[2])) for match in found if match]
        return [piece for piece in pieces if piece != (0, 0)]

    def count(self) -> Counter[tuple[str, str]]:
        return Counter((seen.method, seen.path) for seen in self.seen)


# --- ways to misbehave ----------------------------------------------------------------------------


def status(code: int, **headers: str) -> Act:
    return lambda handler: handler.answer(code, b"so it is", headers)


def cut(after: int) -> Act:
    """End the connection after so many bytes of a blob."""
    return lambda handler: handler.blob(end_after=after)


def hang_up(handler: Handler) -> None:
    """End the connection without an answer."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def stall(after: int) -> Act:
    """Send so many bytes of a blob, then nothing more."""
    return lambda handler: handler.blob(stall_after=after)


def slow(pause_s: float) -> Act:
    """Send a blob in small pieces."""
    return lambda handler: handler.blob(pause_s=pause_s)


def corrupt(handler: Handler) -> None:
    """Send other bytes."""
    handler.blob(change=lambda data: bytes(byte ^ 1 for byte in data))


def late(seconds: float) -> Act:
    """Answer as ever, but only after so long."""

    def act(handler: Handler) -> None:
        handler.server.far.stopped.wait(seconds)
        handler.behave()

    return act


def commit_in_silence(handler: Handler) -> None:
    """Take a whole blob, and end the connection before that is said."""
    handler.commit(handler.parts.path.rpartition("/")[2])
    hang_up(handler)


def redirect(location: str, code: int = 307) -> Act:
    return lambda handler: handler.answer(code, b"", {"Location": location})


def endless_head(handler: Handler) -> None:
    """Never come to the end of the head."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    with contextlib.suppress(OSError):
        while not handler.server.far.stopped.is_set():
            handler.wfile.write(b"X-More: " + b"x" * 1000 + b"\r\n")
    handler.close_connection = True


def endless_body(handler: Handler) -> None:
    """Send far more than anybody wants."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    with contextlib.suppress(OSError):
        while not handler.server.far.stopped.is_set():
            handler.wfile.write(b"x" * 65536)
    handler.close_connection = True


# --- how it behaves -------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()

    def handle_any(self) -> None:
        far, parts = self.server.far, urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        self.parts, self.query = parts, parse_qs(parts.query, keep_blank_values=True)
        headers = {key.lower(): value for key, value in self.headers.items()}
        with far.lock:
            far.seen.append(Seen(self.command, parts.path, self.query, headers, self.body))
            fault = next((f for f in far.faults if self._meets(f)), None)
            if fault is not None:
                fault.times -= 1
        fault.act(self) if fault is not None else self.behave()

    def _meets(self, fault: Fault) -> bool:
        fits = fault.method == self.command and fault.path in self.path
        locating = self.headers.get("Range") == "bytes=0-0"
        return fits and fault.times > 0 and fault.locating == locating

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = handle_any

    def behave(self) -> None:
        far, path = self.server.far, self.parts.path
        if path == "/token":
            self.token()
        elif path.startswith("/direct/"):
            self.direct()
        elif far.demands_token and self.headers.get("Authorization", "")[7:] not in far.tokens:
            scope = (
                "repository:u/m:pull" if self.command in ("GET", "HEAD") else "repository:u/m:push"
            )
            realm = far.realm or f"http://{far.host}/token"
            challenge = f'Bearer realm="{realm}",service="{far.host}",scope="{scope}"'
            self.challenged(far.challenge or [challenge])
        elif found := re.fullmatch(r"/v2/(.+)/manifests/(.+)", path):
            self.manifest(f"{found[1]}:{found[2]}")
        elif "/blobs/uploads/" in path:
            self.upload()
        elif "/blobs/" in path:
            self.elsewhere() if far.elsewhere and self.command == "GET" else self.blob()
        else:
            self.answer(404)

    def answer(self, code: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for key, value in (headers or {}).items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def challenged(self, lines: list[str]) -> None:
        self.send_response(401)
        for line in lines:
            self.send_header("WWW-Authenticate", line)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def token(self) -> None:
        """Give a token to whoever signed this very address."""
        far = self.server.far
        public, _, signature = self.headers["Authorization"].partition(":")
        text = f"GET,http://{far.host}{self.path},{EMPTY}"
        key = load_ssh_public_key(f"ssh-ed25519 {public}".encode())
        try:
            key.verify(base64.b64decode(signature), text.encode())
        except InvalidSignature:
            self.answer(401, b"the signature is wrong")
            return
        far.tokens.add(token := f"{TOKEN}-{len(far.tokens)}")
        self.answer(200, json.dumps({"token": token}).encode())

    def manifest(self, name: str) -> None:
        far = self.server.far
        if self.command == "PUT":
            far.manifests[name] = self.body
            self.answer(201)
        elif name in far.manifests:
            self.answer(200, far.manifests[name], {"Content-Type": MANIFEST_TYPE})
        else:
            self.answer(404)

    def elsewhere(self) -> None:
        far = self.server.far
        place = f"http://{far.elsewhere}:{far.port}/direct/{self.parts.path.rpartition('/')[2]}"
        self.answer(307, b"", {"Location": f"{place}?signed=secret"})

    def direct(self) -> None:
        if self.command == "PUT":
            part = int(self.parts.path.rpartition("/")[2])
            self.server.far.direct_parts[part] = self.body
            self.answer(200)
        else:
            self.blob()

    def blob(
        self,
        *,
        end_after: int | None = None,
        stall_after: int | None = None,
        pause_s: float = 0.0,
        change: Callable[[bytes], bytes] = bytes,
    ) -> None:
        far = self.server.far
        data = far.blobs.get(self.parts.path.rpartition("/")[2])
        if data is None:
            self.answer(404)
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked is None or far.ignores_ranges:
            self.send_response(200)
        else:
            start, end = int(asked[1]), int(asked[2]) + 1
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
            data = data[start:end]
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        data = change(data)
        last = min(x for x in (len(data), end_after, stall_after) if x is not None)
        step = SLICE_BYTES if pause_s else max(last, 1)
        for start in range(0, last, step):
            self.wfile.write(data[start : min(start + step, last)])
            far.stopped.wait(pause_s)
        if stall_after is not None:
            far.stopped.wait(60)
        self.close_connection = last < len(data) or self.close_connection

    def upload(self) -> None:
        """Chained or redirected parts; the last PUT makes a blob of them."""
        far = self.server.far
        base = self.parts.path[: self.parts.path.index("/blobs/uploads/")] + "/blobs/uploads/"
        prefix = "" if far.relative_uploads else f"http://{far.host}"
        if self.command == "POST":
            if self.query.get("mount", [""])[0] in far.mountable:
                self.answer(201)
                return
            far.uploads[name := f"up{len(far.uploads)}"] = b""
            self.answer(202, b"", {"Location": f"{prefix}{base}{name}?_state=a%2Fb"})
            return
        name = self.parts.path.rpartition("/")[2]
        if name not in far.uploads:
            self.answer(404, b"blob upload unknown")
        elif self.command == "PUT":
            self.answer(201) if self.commit(name) else self.answer(400, b"digest invalid")
        elif far.redirects_uploads:
            part = len([seen for seen in far.seen if seen.method == "PATCH"]) - 1
            here = f"http://{far.host}{base}{name}"
            place = f"http://localhost:{far.port}/direct/{part}"
            self.answer(307, b"", {"Location": place, "Docker-Upload-Location": here})
        else:
            far.uploads[name] += self.body
            self.answer(202, b"", {"Location": f"{prefix}{base}{name}?_state=a%2Fb"})

    def commit(self, name: str) -> bool:
        """Make a blob of an upload, which is over then; False if it is not the right one."""
        far, wanted = self.server.far, self.query["digest"][0]
        data = far.uploads[name] or b"".join(far.direct_parts[i] for i in sorted(far.direct_parts))
        if digest_of(data) != wanted:
            return False
        far.blobs[wanted] = data
        del far.uploads[name]
        far.direct_parts.clear()
        return True


class Server(ThreadingHTTPServer):
    daemon_threads = True
    far: Far

    def handle_error(self, *_: object) -> None:
        """A client that has gone is none of ours."""


@contextlib.contextmanager
def far_registry():
    server = Server(("127.0.0.1", 0), Handler)
    server.far = far = Far(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield far
    finally:
        far.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()


def wait_for(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)
