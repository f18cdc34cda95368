"""A server that is compatible with Ollama but not ours, and tells as little as it may.

It answers with the words of the prompt, one a message, and reports no durations. A prompt that
holds `slowly` takes 0.1 s a word, `hang` (in a model's name too) never answers, `break` ends in an error line and
`vanish` cuts the connection in mid-answer, `hush` says no more and leaves it open. A prompt that is to be answered as a whole, not streamed,
and holds `together` waits until as many such are there as `barrier` has parties. `script` are answers of a chat with thoughts and calls.
What it does with models is in `other_models`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from other_models import SHOWN, Models


class OtherOllama(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, token: str | None = None, prefix: str = "", port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.token = token
        self.prefix = prefix
        self.store = Models()
        self.loaded: list[str] = []
        self.closed: list[str] = []  # models that may not be used now
        self.capabilities: dict[str, list[str]] = {}  # of models of which it tells
        self.warning = ""
        self.heartbeat = ""  # seconds, as a server of ours names them
        self.fields = ""  # beyond Ollama's, as a server of ours names them
        self.away: list[tuple[int, dict[str, str], str]] = []  # what a proxy says in its stead
        self.on_request: Callable[[OtherOllama, str], object] = lambda *_: None
        self.script: list[list[dict[str, Any]]] = []  # messages of the next answers of a chat
        self.pause_s = 0.0  # behind each of them
        self.ends = " "  # what stands behind a word
        self.counts = False  # whether a stream's end tells how many there were
        self.as_events = False
        self.beats: list[dict[str, Any]] = []  # the `nb` of heartbeats before the first word
        self.headers: Mapping[str, str] = {}  # of the last request
        self.requests: list[dict[str, Any]] = []
        self.left_early = threading.Event()
        self.barrier = threading.Barrier(1)
        self.nb: dict[str, Any] = {}  # of an answer as a whole
        self.says: dict[str, str] = {}  # as a whole, to a prompt that holds a text
        self.url = f"http://127.0.0.1:{self.server_port}{prefix}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def models(self) -> list[str]:
        return self.store.names

    @models.setter
    def models(self, names: list[str]) -> None:
        self.store.names = names

    def entry(self, name: str) -> dict[str, Any]:
        told = self.capabilities.get(name)
        nb = {"nb": {"closed": "an exam"}} if name in self.closed else {}
        return {"name": name, **({"capabilities": told} if told else {}), **nb}

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: OtherOllama
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        routes = {
            "/api/version": {"version": "0.0-other"},
            "/api/tags": {"models": [self.server.entry(name) for name in self.server.models]},
            "/api/ps": {"models": [{"name": name} for name in self.server.loaded]},
        }
        path = self.path.removeprefix(self.server.prefix)
        if self._is_away():
            return
        if self._is_refused():
            self._send(403, {"error": "no valid token"})
        elif not self.path.startswith(self.server.prefix) or path not in routes:
            self._send(404, {"error": "404 page not found"})
        else:
            self._send(200, routes[path])

    def _is_refused(self) -> bool:
        token = self.server.token
        return token is not None and self.headers.get("Authorization") != f"Bearer {token}"

    def _send(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self._warn()
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_HEAD(self) -> None:
        digest = self.path.rpartition("/")[2]
        if self._is_away():
            return
        self.send_response(200 if digest in self.server.store.blobs else 404)
        self.end_headers()

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        verb = self.path.rpartition("/")[2]
        if self._is_away():
            return
        if self._is_refused():
            self._send(403, {"error": "no valid token"})
        elif "/blobs/" in self.path:
            self._send(*self.server.store.store(verb, data))
        else:
            self._answer(verb, json.loads(data))

    def _is_away(self) -> bool:
        """Whether a proxy has answered in its stead."""
        self.server.on_request(self.server, f"{self.command} {self.path}")
        if not self.server.away:
            return False
        status, headers, text = self.server.away.pop(0)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())
        return True

    def do_DELETE(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._is_away():
            self._answer("delete", body)

    def _answer(self, verb: str, body: dict[str, Any]) -> None:
        self.server.requests.append(body)
        self.server.headers = self.headers
        name = body.get("source") or body["model"]
        if verb in ("pull", "create"):
            self._stream_steps(verb, body)
        elif name not in (*self.server.models, "other"):
            self._send(404, {"error": f"model '{name}' not found"})
        elif verb == "push":
            self._stream_steps(verb, body)
        elif verb == "embed":
            vectors = [[float(len(text)), 1.0, 0.5] for text in body["input"]]
            self._send(200, {"model": name, "embeddings": vectors})
        elif verb in ("tokenize", "score"):
            self._send(404, {"error": "404 page not found"})
        elif verb == "show":
            self._send(200, SHOWN)
        elif verb == "copy":
            self.server.models.append(body["destination"])
            self._send(200, {})
        elif verb == "delete":
            self.server.models.remove(name)
            self._send(200, {})
        else:
            self._stream(verb, body)

    def _stream_steps(self, verb: str, body: dict[str, Any]) -> None:
        try:
            self._begin_stream()
            for step in self.server.store.steps(verb, body):
                self._line(step)
                if "hush" in str(body.get("model")):
                    self._wait_while_hanging("hang")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.server.left_early.set()
            self.close_connection = True

    def _stream(self, verb: str, body: dict[str, Any]) -> None:
        prompt = body.get("prompt", "") if verb == "generate" else body["messages"][-1]["content"]
        try:
            self._wait_while_hanging(f"{body['model']} {prompt}")
            if body.get("stream") is False:
                self._send_whole(verb, body["model"], prompt)
                return
            self._begin_stream()
            self._write_words(verb, body["model"], prompt)
        except OSError:
            self.server.left_early.set()
            self.close_connection = True

    def _send_whole(self, verb: str, model: str, prompt: str) -> None:
        if "vanish" in prompt:
            raise ConnectionAbortedError
        if "break" in prompt:
            self._send(500, {"error": "the model worker was killed"})
            return
        if "together" in prompt:
            self.server.barrier.wait(20)
        said = (answer for text, answer in self.server.says.items() if text in prompt)
        words = next(said, prompt).split()
        counted = {"done": True, "done_reason": "stop", "eval_count": len(words)}
        self._send(
            200, {**self._part(verb, model, " ".join(words)), **counted, "nb": self.server.nb}
        )

    def _wait_while_hanging(self, prompt: str) -> None:
        self.connection.settimeout(10)
        if "hang" in prompt and not self.connection.recv(1):
            raise ConnectionResetError

    def _begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self._warn()
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _warn(self) -> None:
        if self.server.warning:
            self.send_header("X-Ollama-Nb-Warnings", self.server.warning)
        if self.server.fields:
            self.send_header("X-Ollama-Nb-Fields", self.server.fields)
        if self.server.heartbeat:
            self.send_header("X-Ollama-Nb-Heartbeat", self.server.heartbeat)

    def _write_words(self, verb: str, model: str, prompt: str) -> None:
        if "nonsense" in prompt:
            self._line({"response": 5})
        for nb in self.server.beats:
            self._line({**self._part(verb, model, ""), "nb": nb})
        if self.server.script:
            self._write_script(model, self.server.script.pop(0))
            return
        for word in prompt.split():
            if word == "vanish":
                raise ConnectionAbortedError
            if word == "hush":
                self._wait_while_hanging("hang")
            self._line(self._part(verb, model, word + self.server.ends))
            time.sleep(0.1 if "slowly" in prompt else 0)
        counted = {"eval_count": len(prompt.split())} if self.server.counts else {}
        if "break" in prompt:
            self._line({"error": "the model worker was killed"})
        else:
            self._line({**self._part(verb, model, ""), "done": True, **counted})
        self.wfile.write(b"0\r\n\r\n")

    def _write_script(self, model: str, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            said = {"role": "assistant", "content": ""} | message
            self._line({"model": model, "message": said, "done": False})
            time.sleep(self.server.pause_s)
        self._line({**self._part("chat", model, ""), "done": True, "done_reason": "stop"})
        self.wfile.write(b"0\r\n\r\n")

    def _part(self, verb: str, model: str, text: str) -> dict[str, Any]:
        said = {"role": "assistant", "content": text}
        return {"model": model, "done": False} | (
            {"message": said} if verb == "chat" else {"response": text}
        )

    def _line(self, message: object) -> None:
        data = json.dumps(message, ensure_ascii=False).encode() + b"\n"  # as Go writes U+0085
        if self.server.as_events:
            data = b": a comment\n\ndata: " + data + b"\n"
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()
