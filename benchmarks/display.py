"""What showing an answer costs a kernel: messages a second and processor time, at 30 tokens/s.

python -m benchmarks.display [--seconds 20] [--rate 30]

A kernel as JupyterLab asks for its cells, and a stand-in for a server that streams at a fixed rate
(a model's speed would differ from run to run). Beside ours the same stream is read by the `ollama`
client, word by word: shown nowhere, and printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil
from jupyter_client.manager import KernelManager

LIMIT_S = 60
MOST_MESSAGES, MOST_PERCENT = 15, 3  # a second; of a core
SHOWN = ("display_data", "update_display_data", "stream")
READ = "for part in ollama.Client({url!r}).generate('stand-in', 'one', stream=True): {what}"
CELLS = {
    "ours, live": "ollama_nb.generate('one', model='stand-in', show=True); None",
    "the client, printed": READ.replace("{what}", "print(part.response, end='', flush=True)"),
    "the client, not shown": READ.replace("{what}", "pass"),
}


class StandIn(ThreadingHTTPServer):
    """Streams an answer as Ollama does, so many words a second."""

    daemon_threads = True

    def __init__(self, rate: float, seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pause_s, self.num_tokens = 1 / rate, round(rate * seconds)
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        body = json.dumps({"version": "0", "models": [{"name": "stand-in"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        began = time.monotonic()
        for number in range(self.server.num_tokens):
            time.sleep(max(began + number * self.server.pause_s - time.monotonic(), 0))
            self._line({"response": f"word{number} ", "done": False})
        self._line({"response": "", "done": True, "done_reason": "stop"})
        self.wfile.write(b"0\r\n\r\n")

    def _line(self, part: dict[str, object]) -> None:
        told = {"model": "stand-in", "created_at": "2026-01-01T00:00:00Z", **part}
        line = json.dumps(told).encode() + b"\n"
        self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")


@contextmanager
def stand_in(rate: float, seconds: float) -> Iterator[StandIn]:
    """A server that runs meanwhile."""
    server = StandIn(rate, seconds)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


class Kernel:
    """A real one, watched as by a page."""

    def __init__(self, url: str) -> None:
        self._manager = KernelManager()
        self._manager.start_kernel()
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=LIMIT_S)
        pid = self._manager.provisioner.pid  # type: ignore[union-attr]
        self._process = psutil.Process(pid)
        self.run(f"import ollama, ollama_nb; ollama_nb.connect({url!r})")

    def run(self, code: str) -> dict[str, Any]:
        """Run a cell; seconds, messages and processor time of it."""
        before, began = self._cpu_s(), time.monotonic()
        identity = self._client.execute(code, allow_stdin=True)
        kinds: Counter[str] = Counter()
        while True:
            message = self._client.get_iopub_msg(timeout=LIMIT_S)
            if message["parent_header"].get("msg_id") != identity:
                continue
            kinds[message["msg_type"]] += 1
            if message["content"].get("execution_state") == "idle":
                break
        seconds = time.monotonic() - began
        assert not kinds["error"], f"the cell failed: {code}"
        cpu_s = self._cpu_s() - before
        return {
            "messages/s": round(sum(kinds[kind] for kind in SHOWN) / seconds, 1),
            "% of a core": round(100 * cpu_s / seconds, 2),
        }

    def _cpu_s(self) -> float:
        used = self._process.cpu_times()
        return float(used.user + used.system)

    def close(self) -> None:
        """End it."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20, help="of each answer")
    parser.add_argument("--rate", type=float, default=30, help="tokens a second")
    options = parser.parse_args()
    rows = []
    with stand_in(options.rate, options.seconds) as server:
        kernel = Kernel(server.url)
        for what, code in CELLS.items():
            kernel.run("pass")
            rows.append({"what": what, **kernel.run(code.replace("{url!r}", repr(server.url)))})
            print(rows[-1], file=sys.stderr)
        kernel.close()
    goals = {"messages/s": MOST_MESSAGES, "% of a core": MOST_PERCENT}
    print(json.dumps({"benchmark": "display", "tokens/s": options.rate, "rows": rows, **goals}))


if __name__ == "__main__":
    main()
