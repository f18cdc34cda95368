"""Quotas on the page: seen by who manages, changed there, in force at once and after a restart."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable, Iterator

import pytest
from people import ADMIN, Shared

PEOPLE = {"eve": ADMIN, "ana": ("class",), "ben": ("seminar",)}
QUOTAS = (
    'contact = "Ms <Ada>"\n'
    'quotas = [{tokens = 200_000, window = "1d"}, '
    '{tokens = 500_000, window = "1d", groups = ["seminar"]}]\n'
)
SHORT = {"prompt": "Once", "stream": False, "options": {"num_predict": 4, "temperature": 0}}
EVERYBODY = {"users": "", "groups": "", "tokens": "", "compute_seconds": "", "window": "1d"}
OVERRIDES = "ollama_nb/overrides.json"


@pytest.fixture
def start(share: Callable[..., Shared]) -> Callable[[], Shared]:
    return lambda: share(QUOTAS, PEOPLE)


@pytest.fixture(scope="module")
def _served(share: Callable[..., Shared]) -> Shared:
    return share(QUOTAS, PEOPLE)


@pytest.fixture
def shared(_served: Shared) -> Iterator[Shared]:
    """One server for those tests that leave it as the configuration says."""
    yield _served
    _served.page("eve").press("reset-quotas")


def ask(shared: Shared, who: str):
    return shared[who].post("/api/generate", json={"model": "demo", **SHORT})


def key_of(page: str, place: int) -> str:
    """What the page calls one of its quotas."""
    return re.findall('form id="quota-([0-9a-f]+)"', page)[place]


def rows(page: str) -> list[list[str]]:
    """What stands in the fields of the quotas."""
    found = re.findall('<input form="quota-[^"]*" name="[^"]*" value="([^"]*)"', page)
    return [found[n : n + 5] for n in range(0, len(found), 5)]


def test_who_manages_sees_all_quotas_and_what_is_used(shared: Shared) -> None:
    told = ask(shared, "ana").json()
    used = told["prompt_eval_count"] + told["eval_count"]
    page = shared.page("eve")

    assert rows(page.text()) == [
        ["", "", "200,000", "", "1d"],
        ["", "seminar", "500,000", "", "1d"],
    ]
    stand = page.section("standings")
    assert f"ana class {used} of 200,000 tokens in 1 d" in stand
    assert "ben seminar 0 of 500,000 tokens in 1 d" in stand
    assert "eve" not in stand
    quotas = page.section("quotas")
    assert "1 user, at most 0 % used (ana)" in quotas.replace("\N{NO-BREAK SPACE}", " ")


def test_a_user_sees_their_own(shared: Shared) -> None:
    page = shared.page("ana")

    assert "of 200,000 tokens in 1 d" in page.section("meters")
    assert "500,000" not in page.text()
    assert 'id="quotas"' not in page.text()
    assert 'id="standings"' not in page.text()


def test_a_change_holds_at_once_and_outlives_the_server(start: Callable[[], Shared]) -> None:
    shared = start()
    assert ask(shared, "ana").is_success
    page = shared.page("eve")

    changed = page.press("change-quota", key_of(page.text(), 0), **EVERYBODY | {"tokens": "5"})

    assert changed.status_code == 200
    assert "200,000 tokens in 1 d for everybody is changed: 5 tokens in 1 d" in changed.text
    assert "Changed on this page by eve at" in changed.text
    refused = ask(shared, "ana")
    assert refused.status_code == 429
    assert "ana's quota of 5 tokens in 1 d is used up" in refused.json()["error"]
    assert "used up: there is more at" in shared.page("ana").section("meters")
    assert ask(shared, "ben").is_success  # under the quota of a group, which stays
    said = shared.server.log.read_text()
    assert (
        "eve on the page: The quota of 200,000 tokens in 1 d for everybody is changed: "
        "5 tokens in 1 d for everybody." in said
    )
    file = shared.store.root / OVERRIDES
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in file.parent.iterdir() if one.name.startswith(".over")] == []

    shared.restart()

    assert ask(shared, "ana").status_code == 429
    assert "the quotas are not the configuration's: 'eve' changed them" in (
        shared.server.log.read_text()
    )
    assert rows(shared.page("eve").text())[0][2] == "5"


def test_a_new_window_counts_what_was_used_before(start: Callable[[], Shared]) -> None:
    shared = start()
    told = ask(shared, "ana").json()
    used = told["prompt_eval_count"] + told["eval_count"]
    page = shared.page("eve")

    added = page.press(
        "add-quota", **EVERYBODY | {"users": "ana, cleo", "tokens": "6", "window": "7d"}
    )

    assert "New quota: 6 tokens in 7 d for users ana, cleo." in added.text
    assert f"{used} of 6 tokens in 7 d" in page.section("standings")
    assert ask(shared, "ana").status_code == 429
    removed = page.press("remove-quota", key_of(page.text(), 2))
    assert "is removed" in removed.text
    assert ask(shared, "ana").is_success


def test_seconds_of_computing_are_limited_too(shared: Shared) -> None:
    ask(shared, "ben")
    page = shared.page("eve")
    fields = EVERYBODY | {"groups": "seminar", "compute_seconds": "0.000001", "window": "30m"}

    assert page.press("add-quota", **fields).status_code == 200

    assert ask(shared, "ben").status_code == 429
    assert rows(page.text())[2] == ["", "seminar", "", "1e-06", "30m"]
    same = page.press(
        "change-quota", key_of(page.text(), 2), **fields | {"compute_seconds": "3600"}
    )
    assert same.status_code == 200
    assert ask(shared, "ben").is_success


def test_one_goes_back_to_the_configuration(shared: Shared) -> None:
    page = shared.page("eve")
    before = rows(page.text())
    page.press("remove-quota", key_of(page.text(), 0))
    assert rows(page.text()) == before[1:]

    reset = page.press("reset-quotas")

    assert "those of the configuration again" in reset.text
    assert rows(page.text()) == before
    assert "Changed on this page" not in page.text()
    assert json.loads((shared.store.root / OVERRIDES).read_text()) == {}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "a quota limits tokens or seconds of computing"),
        ({"tokens": "many"}, "tokens: 'many' is no whole number, such as 200000 or 200,000"),
        ({"tokens": "-5"}, "tokens: '-5' is no whole number"),
        ({"tokens": "1.5"}, "tokens: '1.5' is no whole number"),
        ({"tokens": "1,00"}, "tokens: '1,00' is no whole number"),
        ({"tokens": "0"}, "tokens: 0 is not between 1 and"),
        ({"tokens": "9" * 30}, "is not between 1 and 1,000,000,000,000,000"),
        ({"compute_seconds": "inf"}, "seconds of computing: 'inf' is no number"),
        ({"compute_seconds": "0"}, "seconds of computing: 0 is not between 0 and"),
        ({"tokens": "5", "window": "soon"}, "window: 'soon' is no time such as 30m, 1h, 7d or 2w"),
        ({"tokens": "5", "window": ""}, "window: '' is no time"),
        ({"tokens": "5", "window": "0s"}, "window: '0s' is too short"),
        ({"tokens": "5", "window": "91d"}, "is forgotten after 90 days: set retention_days"),
        ({"tokens": "5", "users": "a\nb"}, "users: 'a\\nb' is no name"),
        ({"tokens": "7"}, "there is a quota for the same: 200,000 tokens in 1 d for everybody"),
    ],
)
def test_what_cannot_be_meant_is_told_and_changes_nothing(shared: Shared, fields, said) -> None:
    page = shared.page("eve")
    before = rows(page.text())

    refused = page.press("add-quota", **EVERYBODY | fields)

    assert refused.status_code == 400
    assert said in refused.text.replace("&#39;", "'")
    assert rows(page.text()) == before


def test_what_was_typed_is_not_lost(shared: Shared) -> None:
    page = shared.page("eve")
    key = key_of(page.text(), 0)

    refused = page.press("change-quota", key, **EVERYBODY | {"tokens": "5<x>", "users": "cleo"})

    assert refused.status_code == 400
    assert rows(refused.text)[0] == ["cleo", "", "5&lt;x&gt;", "", "1d"]
    assert rows(page.text())[0] == ["", "", "200,000", "", "1d"]


def test_of_two_who_change_one_the_second_is_told(shared: Shared) -> None:
    page = shared.page("eve")
    key = key_of(page.text(), 0)
    page.press("change-quota", key, **EVERYBODY | {"tokens": "7000"})

    for action in ("change-quota", "remove-quota"):
        late = page.press(action, key, **EVERYBODY | {"tokens": "8000"})
        assert late.status_code == 400
        assert "somebody has changed that quota meanwhile" in late.text
    assert rows(page.text())[0][2] == "7,000"


def test_a_name_is_text(shared: Shared) -> None:
    page = shared.page("eve")
    name = '"><script>alert(1)</script>'

    added = page.press("add-quota", **EVERYBODY | {"groups": name, "tokens": "9"})

    assert "<script>alert" not in added.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in added.text
    assert name in page.section("quotas") or "&#34;&gt;&lt;script" in page.text()
    (quota,) = json.loads((shared.store.root / OVERRIDES).read_text())["quotas"]["entries"][2:]
    assert quota["groups"] == [name]


def test_a_file_that_cannot_be_written_is_told_and_changes_nothing(start) -> None:
    shared = start()
    page = shared.page("eve")
    before = rows(page.text())
    (shared.store.root / OVERRIDES).mkdir()

    refused = page.press("add-quota", **EVERYBODY | {"users": "ana", "tokens": "1"})

    assert refused.status_code == 400
    assert "overrides.json: Is a directory" in refused.text
    assert rows(page.text()) == before
    assert ask(shared, "ana").is_success


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "mend it, or delete it"),
        ('{"quota": {}}', "quota: Extra inputs"),
        (
            '{"quotas": {"by": "eve", "at": "2026-11-29T12:00:00Z", "entries": [{"window": 60}]}}',
            "a quota limits tokens",
        ),
        (
            '{"quotas": {"by": "eve", "at": "2026-11-29T12:00:00Z", "entries": '
            '[{"tokens": 5, "window": "100d"}]}}',
            "is forgotten after 90 days",
        ),
    ],
)
def test_a_broken_file_keeps_the_server_from_starting(share, tmp_path, text, said) -> None:
    folder = tmp_path / "models" / "ollama_nb"
    folder.mkdir(parents=True)
    (folder / "overrides.json").write_text(text)

    with pytest.raises(AssertionError, match=said):
        share(QUOTAS, PEOPLE, OLLAMA_MODELS=str(tmp_path / "models"))
