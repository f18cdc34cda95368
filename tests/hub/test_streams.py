"""Streams through the Hub's proxy, and through a user's own server: lines come as they are made."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import httpx
import pytest

pytestmark = pytest.mark.slow

ENDLESS = {"num_predict": -1, "temperature": 0, "grammar": 'root ::= ([a-z ]{0,50} "\\n")+ "END"'}
BODY = {"model": "demo", "prompt": "Write a story.", "options": ENDLESS}
SPREAD_S = 2.0
WAYS = [(way, kind) for way in ("service", "user's server") for kind in ("lines", "events")]


def made_s(line: str) -> float:
    """When the server made a line; Go's nanoseconds are more than Python reads."""
    text = json.loads(line.removeprefix("data: "))["created_at"][:26].rstrip("Z")
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f")
    return moment.replace(tzinfo=timezone.utc).timestamp()


def arrivals(url: str, headers: dict[str, str]) -> list[tuple[float, float]]:
    """When each line of a stream came, and when it was made, for some seconds."""
    came: list[tuple[float, float]] = []
    how = {"json": BODY, "headers": headers, "timeout": 60}
    with (
        httpx.Client(trust_env=False) as client,
        client.stream("POST", f"{url}/api/generate", **how) as answer,
    ):
        for line in filter(None, answer.iter_lines()):
            came.append((time.time(), made_s(line)))
            if came[-1][1] - came[0][1] > SPREAD_S:
                break
    return came


@pytest.fixture(scope="module")
def streams(hub, alice):
    """All ways at once: the lines that came on each."""
    token = hub.token_of("alice", "access:services!service=ollama")
    places = {
        "service": (hub.service, {"Authorization": f"Bearer {token}"}),
        "user's server": (f"{alice.url}ollama", alice.headers),
    }
    accepted = {"lines": {}, "events": {"Accept": "text/event-stream"}}
    with ThreadPoolExecutor(len(WAYS)) as threads:
        asked = {
            (way, kind): threads.submit(arrivals, places[way][0], places[way][1] | accepted[kind])
            for way, kind in WAYS
        }
        return {way: future.result() for way, future in asked.items()}


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_lines_come_as_they_are_made(streams, way, record_property) -> None:
    came = streams[way]
    lags = [arrived - made for arrived, made in came]
    record_property("first_ms", round(1000 * lags[0], 1))
    record_property("largest_ms", round(1000 * max(lags), 1))

    assert lags[0] < 1, "the first line, since it was made"
    assert came[0][0] < came[-1][1], "it came before the last one was made"
