"""The benchmarks' own page and tables."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
README = (ROOT / "benchmarks" / "README.md").read_text("utf-8")

main = importlib.import_module("benchmarks.__main__")
soak = importlib.import_module("benchmarks.soak")
tables = importlib.import_module("benchmarks.tables")

LINES = [
    {"benchmark": "machine", "processor": "2 cores of X", "commit": "abc"},
    {"benchmark": "throughput", "rows": [{"model": "m", "streams": 4, "ours": 61.5, "ours/llama-server": 1.25}]},
    {"benchmark": "chat", "rows": [{"model": "m", "what": "w", "unit": "turn 1, s", "ours": 0.5, "ours/llama-server": 0.5}]},
    {"benchmark": "soak", "server": {"above_mb": 3.5}, "took_s": 60},
]  # fmt: skip


@pytest.mark.parametrize("script", main.SCRIPTS)
def test_every_script_is_there_and_on_the_page(script: str) -> None:
    assert callable(importlib.import_module(f"benchmarks.{script}").main)
    assert f"`{script}`" in README


def test_lines_become_tables() -> None:
    page = tables.page(LINES)

    assert page.startswith("2 cores of X; abc.\n")
    assert (
        "| model | streams | ours | ours/llama-server |\n| --- | --- | --- | --- |\n| m | 4 | 61.5 | 1.25 |"
        in page
    )
    assert "## soak\n\n| server, above_mb |\n| --- |\n| 3.5 |" in page


def test_a_shorter_wait_is_an_advantage_as_more_tokens_are(tmp_path: Path) -> None:
    assert tables.advantages(LINES) == {
        "throughput, m, 4 streams": 1.25,
        "chat, m, w, turn 1, s": 2.0,
    }

    tables.plot(LINES, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("above", "grown", "seconds", "said"),
    [
        (39.0, 3.0, 600, ""),
        (41.0, 0.0, 40, "above idle"),
        (20.0, 4.5, 600, "grew by"),
        (20.0, 4.5, 40, ""),  # not warm yet
    ],
)
def test_a_soak_fails_by_what_it_took_and_by_how_it_grew(
    above: float, grown: float, seconds: float, said: str
) -> None:
    failure = soak.failure({"above_mb": above, "grown_mb": grown, "mb_a_minute": 1.0}, 40, seconds)

    assert said in failure
    assert bool(said) == bool(failure)


def test_what_keeps_a_connection_alive_is_no_token() -> None:
    """A first token was once told after five seconds, whatever the wait: a heartbeat's."""
    pages = importlib.import_module("benchmarks.servers")
    path = importlib.import_module("benchmarks.models").models(["demo"])["demo"]
    prompt = "Once upon a time there was a cat. " * 200

    async def asked(target: Any) -> tuple[int, list[float]]:
        _, body = target.request(prompt, 4, 1)
        async with pages.open_client() as client:
            answer = await client.post(target.url + "/api/generate", json=body)
            times = [at async for at in pages.tokens(client, target, prompt[8:], 4, 1)]
        return len(answer.text.splitlines()), times

    with pages.ours(path, 1, 4096, OLLAMA_NB_HEARTBEAT="10ms") as target:
        num_messages, times = asyncio.run(asked(target))

    assert len(times) <= 5 < num_messages
