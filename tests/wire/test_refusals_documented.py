"""docs/http-api.md has every refusal of a shared server as it is said, with status and Retry-After."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path

import pytest
from ollama_nb_server.handlers.connections import SENTENCE
from ollama_nb_server.handlers.gate import Gate
from ollama_nb_server.scheduling.errors import QueueFull, QuotaSpent, TooManyWaiting
from ollama_nb_server.wire.errors import (
    BodiesTooLarge,
    BodyTooLarge,
    ClosedNow,
    DeadlinePassed,
    EndedOnThePage,
    NoRoomOfTheirOwn,
    NotAllowed,
    OwnBodiesTooLarge,
    PromptOverLimit,
    describe,
)

PAGE = Path(__file__).parents[2] / "docs/http-api.md"
CONTACT = "Ms Ada, room 12"
LATER = datetime(2099, 11, 29, 14, 5, 12, tzinfo=timezone.utc)
ERRORS = [
    NotAllowed("ana", "change the models that all share", CONTACT),
    ClosedNow("demo:latest", "Statistics 1", "on Tue 01 Dec at 12:00 (CET)", ("llama3.2",)),
    BodyTooLarge(100_000_000, CONTACT),
    BodyTooLarge(256 << 20),
    PromptOverLimit(9000, 4000, CONTACT),
    QuotaSpent("ana", "200,000 tokens in 1 d", LATER),
    TooManyWaiting("ana", 256, 2.0),
    OwnBodiesTooLarge(190_000_000, 250_000_000),
    BodiesTooLarge(1_000_000_000),
    QueueFull(512),
    EndedOnThePage(),
    DeadlinePassed("X-Ollama-Nb-Timeout", "30"),
    NoRoomOfTheirOwn(400_000_000, 700_000_000, 1_000_000_000, [(700_000_000, "brief:latest")]),
]


def rows() -> list[tuple[str, str, str]]:
    """Status, sentence and Retry-After of each row."""
    (section,) = [p for p in PAGE.read_text("utf-8").split("\n## ") if p.startswith("Refusals")]
    return re.findall(r"^\| (\d+) \| .*? \| `(.+?)` \| (.*?) \|$", section, re.M)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_refusal_is_documented_as_it_is_said(error: Exception) -> None:
    status, sentence = describe(error, "generate") or (0, "")
    waits = "yes" if hasattr(error, "retry_after_s") else "no"

    assert (str(status), sentence, waits) in rows()


def test_so_is_what_is_said_at_the_door() -> None:
    closing, busy = Gate(is_closing=True), Gate(most=400)
    for number in range(400):
        busy.enter(number, "ana")
    refusals = [closing.enter(1, "ana"), busy.enter(400, "ana")]
    connections = re.search(r'"error":"(.+)"', SENTENCE.decode())

    assert [(str(r.status), r.sentence, "yes") in rows() for r in refusals if r] == [True, True]
    assert connections is not None
    assert ("503", connections[1], "yes") in rows()
