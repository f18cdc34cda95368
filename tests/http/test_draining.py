"""A server that is told to end: running answers finish, new requests hear when to come again."""

from __future__ import annotations

import json
import signal
import threading
import time

import httpx
import pytest

GRAMMAR = 'root ::= ([a-z ]{0,50} "\\n")+ "END"'  # an end that no model comes to by itself


def answering(server, num_predict: int) -> tuple[threading.Thread, list[dict]]:
    """A request under way, of which a first line has come; its lines."""
    lines, begun = [], threading.Event()

    def ask() -> None:
        options = {"temperature": 0, "num_predict": num_predict, "grammar": GRAMMAR}
        body = {"model": "demo", "prompt": "Write a story.", "options": options}
        try:
            with server.client() as client, client.stream("POST", "/api/generate", json=body) as r:
                for line in r.iter_lines():
                    lines.append(json.loads(line))
                    begun.set()
        except httpx.TransportError:
            lines.append({"cut": True})

    thread = threading.Thread(target=ask)
    thread.start()
    assert begun.wait(40)
    return thread, lines


def lost(server, num_predict: int) -> tuple[str, list[dict]]:
    """The path of an answer under way whose connection is lost, and its lines so far."""
    options = {"temperature": 0, "num_predict": num_predict, "grammar": GRAMMAR}
    body = {"model": "demo", "prompt": "Write a story.", "options": options}
    how = {"json": body, "headers": {"X-Ollama-Nb-Resume": "1"}}
    with server.client() as client, client.stream("POST", "/api/generate", **how) as answer:
        lines = [json.loads(line) for line, _ in zip(answer.iter_lines(), range(3), strict=False)]
        path = f"/api/stream/{answer.headers['X-Ollama-Nb-Stream']}"
    return path, lines


def ended(server, seconds: float = 15) -> float:
    began = time.monotonic()
    server.process.wait(seconds)
    return time.monotonic() - began


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_running_answers_finish_and_new_ones_are_told_to_come_again(start_server, name) -> None:
    server = start_server()
    thread, lines = answering(server, 1500)
    server.process.send_signal(name)

    with server.client() as client:
        refused = client.post("/api/generate", json={"model": "demo", "prompt": "Hi"})
    thread.join(30)
    ended(server)

    assert refused.status_code == 503
    assert "about to end" in refused.json()["error"]
    assert int(refused.headers["Retry-After"]) > 0
    assert lines[-1]["done"]
    assert lines[-1]["eval_count"] == 1500
    assert server.process.returncode == 0


def test_a_second_signal_ends_at_once(start_server, eventually) -> None:
    server = start_server()
    thread, lines = answering(server, 20_000)
    server.process.terminate()
    eventually(lambda: "may finish" in server.log.read_text(), "the first signal")
    server.process.terminate()

    took_s = ended(server)
    thread.join(10)
    assert took_s < 8
    assert not lines[-1].get("done")
    assert "broken off" in server.log.read_text()


def test_who_takes_longer_than_allowed_is_broken_off(start_server) -> None:
    server = start_server("--drain", "0.3")
    thread, lines = answering(server, 20_000)
    server.process.terminate()

    took_s = ended(server)
    thread.join(10)
    assert 0.3 <= took_s < 8
    assert not lines[-1].get("done")


def test_who_lost_the_connection_may_come_back_for_the_rest(start_server, eventually) -> None:
    server = start_server()
    path, lines = lost(server, 1500)
    eventually(lambda: "connection is lost" in server.log.read_text(), "the loss")
    server.process.terminate()
    eventually(lambda: "may finish" in server.log.read_text(), "the signal")

    with server.client() as client:
        refused = client.post("/api/generate", json={"model": "demo", "prompt": "Hi"})
        time.sleep(2)  # by now the answer may be whole, and is still kept
        rest = client.get(path, params={"from": len(lines)}).text.splitlines()
    took_s = ended(server)

    assert refused.status_code == 503
    assert json.loads(rest[-1])["eval_count"] == 1500
    assert took_s < 10  # nobody else is waited for
    assert server.process.returncode == 0
    assert "broken off" not in server.log.read_text()


def test_who_lost_the_connection_is_waited_for_as_long_as_ever(start_server, eventually) -> None:
    server = start_server(OLLAMA_NB_UNREAD="1s")
    lost(server, 100_000)
    eventually(lambda: "connection is lost" in server.log.read_text(), "the loss")
    server.process.terminate()

    ended(server)

    assert "broken off" not in server.log.read_text()


def test_who_lost_the_connection_is_waited_for_within_the_limit(start_server, eventually) -> None:
    server = start_server("--drain", "0.5")
    lost(server, 100_000)
    eventually(lambda: "connection is lost" in server.log.read_text(), "the loss")
    server.process.terminate()

    ended(server)

    assert "1 requests are broken off" in server.log.read_text()


def test_a_second_signal_waits_for_nobody_who_lost_the_connection(start_server, eventually) -> None:
    server = start_server()
    lost(server, 100_000)
    eventually(lambda: "connection is lost" in server.log.read_text(), "the loss")
    server.process.terminate()
    eventually(lambda: "may finish" in server.log.read_text(), "the first signal")
    server.process.terminate()

    assert ended(server) < 8
    assert "1 requests are broken off" in server.log.read_text()
