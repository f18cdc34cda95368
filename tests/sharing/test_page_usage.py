"""What was used, drawn by day: the numbers of the accounts, in words where there are none."""

from __future__ import annotations

import html
import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from ollama_nb_server.accounts import table
from ollama_nb_server.sharing.folder import folder
from people import ADMIN, Page, Shared

PEOPLE = {"eve": ADMIN, "ana": (), "ben": ()}
ZONE = ZoneInfo("Pacific/Kiritimati")  # 14 hours ahead: its days are hardly ever UTC's
HOSTILE = '<img src=x onerror="alert(1)">&{{7*7}}'
SVG = "{http://www.w3.org/2000/svg}"


def moment(days_ago: int, hour: int = 12) -> float:
    day = datetime.now(ZONE) - timedelta(days=days_ago)
    return day.replace(hour=hour, minute=0, second=0).timestamp()


def write(shared: Shared, *rows: tuple[str, str, float, int, int]) -> None:
    """Rows of requests that are over: user, model, when, tokens read and written; a second each."""
    connection = table.opened(folder(shared.store.root) / table.FILE)
    with table.transaction(connection):
        connection.execute("INSERT INTO servers (key, pid, started_at) VALUES ('old', 1, 0)")
        (server,) = connection.execute("SELECT id FROM servers WHERE key = 'old'").fetchone()
        for number, (user, model, asked_at, read, written) in enumerate(rows):
            connection.execute(
                "INSERT INTO requests (server, number, user, verb, model, digest, asked_at, status,"
                " ended_at, prompt_count, eval_count, prompt_ns, eval_ns) "
                "VALUES (?, ?, ?, 'chat', ?, 'd', ?, 'finished', ?, ?, ?, 250000000, 750000000)",
                (server, number, user, model, asked_at, asked_at + 1, read, written),
            )
    connection.close()


@pytest.fixture(scope="module")
def shared(share: Callable[..., Shared]) -> Shared:
    shared = share('contact = "Ms Ada"\ntime_zone = "Pacific/Kiritimati"\n', PEOPLE)
    write(
        shared,
        ("ana", "demo:latest", moment(3, 0), 100, 20),  # just after midnight there
        ("ana", "demo:latest", moment(3, 23), 1000, 200),
        ("ana", "other:latest", moment(2), 7, 3),
        ("ben", "demo:latest", moment(2), 40_000, 5_000),
        ("ana", "demo:latest", moment(40), 11, 1),
        (HOSTILE, HOSTILE, moment(1), 5, 5),
    )
    return shared


def day(days_ago: int) -> str:
    return (datetime.now(ZONE) - timedelta(days=days_ago)).date().isoformat()


def plots(page: str) -> list[ET.Element]:
    found = re.findall('<svg class="plot".*?</svg>', page, re.S)
    return [ET.fromstring(one.replace("<svg ", f'<svg xmlns="{SVG[1:-1]}" ', 1)) for one in found]


def said(plot: ET.Element) -> list[str]:
    """What the bars say that are pointed at."""
    return [title.text or "" for title in plot.iterfind(f".//{SVG}rect/{SVG}title")]


def numbers(page: Page, address: str = "/") -> list[list[str]]:
    """The table of the numbers."""
    (found,) = re.findall("<details>.*?</details>", page.text(address), re.S)
    rows = re.findall("<tr>(<td>.*?)</tr>", found, re.S)
    return [re.findall("<td[^>]*>(.*?)</td>", row) for row in rows]


def test_a_users_own_days_are_drawn_and_told(shared: Shared) -> None:
    page = shared.page("ana")

    assert numbers(page) == [
        [day(2), "other:latest", "1", "7", "3", "1.0"],
        [day(3), "demo:latest", "2", "1,100", "220", "2.0"],
    ]
    tokens, seconds = plots(page.text())
    assert said(tokens) == [
        f"{day(3)}, demo:latest: 1,320 tokens",
        f"{day(2)}, other:latest: 10 tokens",
    ]
    assert said(seconds) == [
        f"{day(3)}, demo:latest: 2 seconds of computing",
        f"{day(2)}, other:latest: 1 seconds of computing",
    ]
    assert "ben" not in page.section("history")


def test_who_does_not_see_a_plot_is_told_what_it_shows(shared: Shared) -> None:
    for plot, unit in zip(plots(shared.page("ana").text()), ("tokens", "seconds"), strict=True):
        assert plot.get("role") == "img"
        named = (plot.get("aria-labelledby") or "").split()
        texts = {each.get("id"): each.text for each in plot if each.get("id")}
        title, description = (texts[name] or "" for name in named)
        assert title.startswith(unit)
        assert title.endswith("by day")
        assert f"most on {day(3)}" in description


def test_bars_are_as_high_as_their_numbers(shared: Shared) -> None:
    tokens, _ = plots(shared.page("eve").text())
    heights = {
        title.text: float(rect.get("height") or 0)
        for rect in tokens.iterfind(f"{SVG}rect")
        for title in rect
    }
    large = heights[f"{day(2)}, demo:latest: 45,000 tokens"]
    small = heights[f"{day(3)}, demo:latest: 1,320 tokens"]

    assert large / small == pytest.approx(45_000 / 1_320, rel=0.01)
    assert all(0 < float(rect.get("y") or 0) < 190 for rect in tokens.iterfind(f"{SVG}rect"))


def test_administrators_see_everybody_by_model_or_by_user(shared: Shared) -> None:
    page = shared.page("eve")

    by_user = {row[1]: row for row in numbers(page, "/?by=user") if row[0] == day(2)}
    assert by_user["ana"][2:] == ["1", "7", "3", "1.0"]
    assert by_user["ben"][2:] == ["1", "40,000", "5,000", "1.0"]
    assert len(numbers(page, "/?days=90")) == len(numbers(page)) + 1
    assert numbers(page, "/?days=7&by=model") == numbers(page)
    asked = page.client.get("/api/usage", params={"by": "day", "user": "*"})
    assert asked.status_code == 401  # a cookie opens no route


@pytest.mark.parametrize(
    ("who", "address", "status", "told"),
    [
        ("ana", "/?by=user", 403, "ana may not see what others use here: ask Ms Ada"),
        ("ana", "/?days=8", 400, "days: '8' is none of 7, 30, 90"),
        ("eve", "/?by=<b>", 400, "by: '<b>' is none of model, user"),
    ],
)
def test_what_cannot_be_shown_is_told(shared: Shared, who, address, status: int, told) -> None:
    answer = shared.page(who).client.get(address)

    assert answer.status_code == status
    assert told in html.unescape(answer.text)


def test_names_are_text(shared: Shared) -> None:
    for address in ("/?by=user", "/?by=model"):
        page = shared.page("eve").text(address)
        assert "<img" not in page
        assert "&lt;img src=x onerror=&#34;alert(1)&#34;&gt;&amp;{{7*7}}" in page
        assert plots(page)  # well-formed


def test_of_many_the_largest_have_a_colour_and_the_rest_one_more(
    share: Callable[..., Shared],
) -> None:
    shared = share("", PEOPLE)
    write(shared, *[("ana", f"m{n:02}:latest", time.time(), 10 * n, 0) for n in range(1, 12)])

    page = shared.page("ana")

    legend = re.search('<ul class="legend".*?</ul>', page.text(), re.S)
    assert legend is not None
    names = re.findall("</svg> (.*?)</li>", legend[0])
    assert names == [f"m{n:02}:latest" for n in (11, 10, 9, 8, 7, 6)] + ["all others"]
    tokens, _ = plots(page.text())
    assert said(tokens)[-1].endswith("all others: 150 tokens")
    assert len(numbers(page)) == 11


def test_where_nothing_was_asked_that_is_said(share: Callable[..., Shared]) -> None:
    page = share("", PEOPLE).page("ana")

    assert "Nothing was used in the last 30 days." in page.section("history")
    assert "Nothing was used today." in page.section("used")
    assert plots(page.text()) == []


def test_accounts_that_cannot_be_read_are_no_reason_to_show_nothing(
    share: Callable[..., Shared],
) -> None:
    shared = share("", PEOPLE)
    page = shared.page("ana")
    path = shared.store.root / "ollama_nb" / table.FILE
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)
    path.write_bytes(b"no accounts" * 1000)

    assert "The accounts cannot be read" in page.section("used")
    assert "The accounts cannot be read" in page.section("history")
    assert page.section("loaded")


def test_the_page_looks_anew_without_what_does_not_change(shared: Shared) -> None:
    part = shared.page("eve").text("/?part=live")

    assert 'id="loaded"' in part
    assert 'id="history"' not in part
    assert "<script" not in part
    assert "<style" not in part
