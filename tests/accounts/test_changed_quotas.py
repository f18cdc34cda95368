"""Quotas that change while a server runs: nothing that was spent is lost, or counted twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ollama_nb_server.accounts import Accounts
from ollama_nb_server.engine.client import End, Ending
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.scheduling.usage import Asked, Usage
from ollama_nb_server.sharing import Quota

ANA = Caller("ana", manages=False)
TOKENS = 7  # of each request
DAILY = Quota(tokens=10**6, window="1d")
WEEKLY = Quota(tokens=10**6, window="7d")


def used(number: int) -> Usage:
    asked = Asked(number, "ana", "generate", "demo:latest", "d", time.time())
    return Usage(asked, Ending(End.FINISHED, 3, 4, 1), time.time(), 0.5, 1, 2, 3, 4)


def counted(accounts: Accounts) -> list[int]:
    """How many requests each of ana's quotas knows of."""
    return [state.used // TOKENS for state in accounts.quotas(ANA)]


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    accounts = Accounts(tmp_path, 90, [DAILY])
    await accounts.opened()
    yield accounts
    await accounts.close()


async def test_a_window_that_was_counted_goes_on(accounts: Accounts) -> None:
    for number in range(5):
        accounts.record(used(number))

    await accounts.change_quotas([Quota(tokens=10, window="1d")])

    assert counted(accounts) == [5]
    accounts.record(used(5))
    assert counted(accounts) == [6]
    await accounts.change_quotas([])
    assert counted(accounts) == []


async def test_a_new_window_knows_what_was_spent_before(accounts: Accounts) -> None:
    for number in range(5):
        accounts.record(used(number))

    await accounts.change_quotas([DAILY, WEEKLY])

    assert counted(accounts) == [5, 5]


async def test_what_is_spent_meanwhile_counts_once(accounts: Accounts) -> None:
    for number in range(500):
        accounts.record(used(number))
    change = asyncio.create_task(accounts.change_quotas([DAILY, WEEKLY]))
    number = 500
    while not change.done():
        accounts.record(used(number))
        number += 1
        await asyncio.sleep(0)
    await change

    assert number > 500
    assert counted(accounts) == [number, number]


@pytest.mark.parametrize("before", [[], [DAILY]])
async def test_what_another_server_spends_counts_once(
    tmp_path: Path, eventually, before: list[Quota]
) -> None:
    accounts, other = Accounts(tmp_path, 90, before), Accounts(tmp_path, 90, [DAILY])
    await accounts.opened()
    await other.opened()
    for number in range(50):
        other.record(used(number))
    await asyncio.to_thread(other.flush)

    await accounts.change_quotas([DAILY, WEEKLY])

    assert counted(accounts) == [50, 50]
    for number in range(50, 60):
        other.record(used(number))
    await other.close()
    await asyncio.to_thread(eventually, lambda: counted(accounts) == [60, 60], "the later ones", 10)
    accounts.record(used(60))
    assert counted(accounts) == [61, 61]
    await accounts.close()


async def test_a_file_that_cannot_be_read_has_them_count_from_now_on(
    tmp_path: Path, caplog
) -> None:
    (tmp_path / "ollama_nb").write_text("no folder")
    accounts = Accounts(tmp_path, 90, [DAILY])
    accounts.record(used(1))

    await accounts.change_quotas([DAILY, WEEKLY])

    assert counted(accounts) == [1, 0]
    accounts.record(used(2))
    assert counted(accounts) == [2, 1]
    assert "new quotas count from now on" in caplog.text
    await accounts.close()


async def test_users_are_known_by_what_they_ask(accounts: Accounts) -> None:
    assert accounts.callers == {}
    accounts.record(used(1))
    assert accounts.callers == {"ana": None}
    accounts.admit(ANA)
    assert accounts.callers == {"ana": ANA}
