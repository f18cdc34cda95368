"""Pins on the page: for good and at times; what cannot be loaded at its time is loaded when it can."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path

import pytest
from ollama_nb_server.library.names import ModelName
from people import ADMIN, Shared, copied

PEOPLE = {"eve": ADMIN, "ana": ("class",)}
SOON = """
import sys
if "serve" in sys.orig_argv:
    from ollama_nb_server.answering import pinning
    pinning.Pinning.__init__.__defaults__ = (pinning.utc, 0.5)
"""  # a minute until something is tried again, put forward


@pytest.fixture
def soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a server that tries again every half second."""
    folder = tmp_path / "soon"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SOON)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path, "OLLAMA_KEEP_ALIVE": "200ms"}


def running(shared: Shared) -> list[str]:
    return [model["name"] for model in shared["eve"].get("/api/ps").json()["models"]]


def ask(shared: Shared, model: str):
    options = {"num_predict": 2}
    body = {"model": model, "prompt": "Once", "stream": False, "options": options}
    return shared["ana"].post("/api/generate", json=body)


def config(**fields: str) -> str:
    """A pin of `late` that holds for two hours around now."""
    now = datetime.now(timezone.utc)
    times = {
        name: (now + timedelta(hours=hours)).strftime('"%H:%M"')
        for name, hours in (("from", -1), ("until", 1))
    }
    said = {"models": '["late"]', **times, **fields}
    pin = "".join(f"{name} = {value}\n" for name, value in said.items())
    return f'time_zone = "UTC"\n[[hub.pins]]\n{pin}'


@pytest.fixture(scope="module")
def _served(share: Callable[..., Shared]) -> Shared:
    return share('time_zone = "UTC"\n', PEOPLE, ("other", "third"), OLLAMA_KEEP_ALIVE="200ms")


@pytest.fixture
def shared(_served: Shared, eventually) -> Iterator[Shared]:
    """One server, on which nothing is pinned before and after."""
    yield _served
    _served.page("eve").press("reset-pins")
    eventually(lambda: not running(_served), "all have gone")


def test_a_model_is_pinned_and_unpinned(shared: Shared, eventually) -> None:
    page = shared.page("eve")

    pinned = page.press("pin", "other:latest")

    assert "New pin: other:latest for good." in pinned.text
    eventually(lambda: running(shared) == ["other:latest"], "it is loaded before anybody asks")
    time.sleep(0.6)  # three times its keep-alive
    assert running(shared) == ["other:latest"]
    assert "other:latest pinned" in page.section("loaded")
    assert "other:latest for good holds" in page.section("pins")
    assert "Load Unpin" in page.section("models-there")

    unpinned = page.press("unpin", "other:latest")

    assert "other:latest is pinned no more" in unpinned.text
    assert "No model is pinned" in page.section("pins")
    eventually(lambda: not running(shared), "its usual time is over")
    log = shared.server.log.read_text()
    assert "eve on the page: New pin: other:latest for good." in log


def test_a_pin_of_the_page_outlives_the_server(share: Callable[..., Shared], eventually) -> None:
    shared = share("", PEOPLE, ("other",))
    shared.page("eve").press("pin", "other")

    shared.restart()

    eventually(lambda: running(shared) == ["other:latest"], "it is loaded before anybody asks")


def test_a_pin_at_times_holds_at_these(shared: Shared, eventually) -> None:
    page, now = shared.page("eve"), datetime.now(timezone.utc)
    hours = [(now + timedelta(hours=n)).strftime("%H:%M") for n in (-1, 1, 2)]
    later = {"days": "mon, tue wed thu fri sat sun", "from": hours[1], "until": hours[2]}

    first = page.press("pin-at", "third", **{"days": "", "from": hours[0], "until": hours[1]})
    second = page.press("pin-at", "other", **later)

    assert f"New pin: third:latest, every day, {hours[0]} to {hours[1]}." in first.text
    assert second.status_code == 200
    eventually(lambda: running(shared) == ["third:latest"], "what is pinned now is loaded")
    told = page.section("pins")
    assert "third:latest every day" in told
    assert "holds until" in told
    assert "other:latest every day" in told
    assert "begins" in told
    assert "Load Pin" in page.section("models-there")  # it is not pinned for good


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"value": "nowhere"}, 404, "model 'nowhere' not found"),
        ({"value": "<i>"}, 400, "invalid model name"),
        ({"value": ""}, 400, "model is required"),
        ({"days": "moonday"}, 400, "'moonday' is no day"),
        ({"from": "9"}, 400, "'9' is no time of day"),
        ({"until": "24:30"}, 400, "'24:30' is no time of day"),
        ({"from": "10:00", "until": "10:00"}, 400, "it lasts no time"),
    ],
)
def test_what_cannot_be_pinned_is_told(shared: Shared, fields, status: int, said: str) -> None:
    page = shared.page("eve")

    refused = page.press("pin-at", **{"value": "other"} | fields)

    assert refused.status_code == status
    assert said in refused.text.replace("&#39;", "'")
    assert "No model is pinned" in page.section("pins")


def test_what_is_unpinned_while_it_loads_is_loaded_no_further(
    share: Callable[..., Shared], held_load, eventually
) -> None:
    gate, environ = held_load
    shared = share("", PEOPLE, ("other", "third"), OLLAMA_KEEP_ALIVE="200ms", **environ)
    page = shared.page("eve")
    page.press("pin", "other")
    eventually(lambda: running(shared) == ["other:latest"], "it is being loaded")

    page.press("unpin", "other")

    eventually(lambda: not running(shared), "nobody waits for it")
    page.press("pin", "third")
    gate.touch()
    eventually(
        lambda: "third:latest is loaded, and pinned" in shared.server.log.read_text(), "third"
    )


def test_what_is_unpinned_while_another_loads_goes_at_once(
    share: Callable[..., Shared], held_load, eventually, talker_gguf: Path
) -> None:
    gate, environ = held_load
    gate.touch()
    shared = share("", PEOPLE, ("other",), OLLAMA_KEEP_ALIVE="200ms", **environ)
    data, digest = talker_gguf.read_bytes(), sha256(talker_gguf.read_bytes()).hexdigest()
    shared["eve"].post(f"/api/blobs/sha256:{digest}", content=data).raise_for_status()
    body = {"model": "talker", "files": {"it.gguf": f"sha256:{digest}"}, "stream": False}
    shared["eve"].post("/api/create", json=body).raise_for_status()
    page = shared.page("eve")
    page.press("pin", "other")
    eventually(lambda: "other:latest is loaded, and pinned" in shared.server.log.read_text(), "it")
    gate.unlink()
    page.press("pin", "talker")
    eventually(lambda: "talker:latest" in running(shared), "the other one is being loaded")

    page.press("unpin", "other")

    eventually(lambda: running(shared) == ["talker:latest"], "only that is there", 20)
    gate.touch()
    eventually(lambda: "talker:latest is loaded" in shared.server.log.read_text(), "it too")


def test_pins_of_the_configuration_are_changed_and_come_back(
    share: Callable[..., Shared], eventually
) -> None:
    shared = share(config(models='["demo"]'), PEOPLE, OLLAMA_KEEP_ALIVE="200ms")
    eventually(lambda: running(shared) == ["demo:latest"], "the pin of the configuration")
    page = shared.page("eve")
    key = _key_of_pin(page.text())

    assert "is removed" in page.press("remove-pin", key).text
    eventually(lambda: not running(shared), "it is not pinned any more")
    assert "the pins of the configuration do not count" in page.section("pins")
    assert "changed that pin meanwhile" in page.press("remove-pin", key).text

    page.press("reset-pins")
    eventually(lambda: running(shared) == ["demo:latest"], "the pin of the configuration")


def _key_of_pin(page: str) -> str:
    found = re.search(
        'name="value" value="([0-9a-f]+)"><button name="action" value="remove-pin"', page
    )
    assert found is not None
    return found[1]


def test_a_model_that_comes_after_its_time_is_loaded_then(
    share: Callable[..., Shared], soon, eventually
) -> None:
    shared = share(config(), PEOPLE, **soon)
    page = shared.page("eve")
    log = shared.server.log
    eventually(lambda: "late is pinned, but: model 'late' not found" in log.read_text(), "told")
    assert "late:latest is not loaded: model" in page.section("pins")

    copied(shared.store, "late")

    eventually(lambda: "late:latest" in running(shared), "it is loaded though nobody asks")
    time.sleep(0.6)
    assert "late:latest" in running(shared)
    eventually(lambda: "is not loaded" not in page.section("pins"), "nothing is amiss")


def test_a_model_that_does_not_load_at_its_time_is_loaded_when_it_can(
    share: Callable[..., Shared], soon, eventually
) -> None:
    shared = share(config(), PEOPLE, ("late",), **soon)
    eventually(lambda: running(shared) == ["late:latest"], "it is pinned")
    blob = _weights(shared)
    whole = blob.read_bytes()
    assert b"llama" in whole
    blob.write_bytes(whole.replace(b"llama", b"ahama"))  # an architecture that nobody knows
    (worker,) = shared.server.workers()
    worker.kill()

    log, page = shared.server.log, shared.page("eve")
    eventually(lambda: "late is pinned, but does not load" in log.read_text(), "it fails")
    failed = log.read_text().count("does not load (tried again in 0.5 s)")
    assert "late:latest is not loaded:" in page.section("pins")
    eventually(lambda: log.read_text().count("does not load (tried") > failed, "it fails again")
    assert running(shared) == []

    blob.write_bytes(whole)

    eventually(lambda: running(shared) == ["late:latest"], "it is loaded though nobody asks")
    time.sleep(0.6)
    assert running(shared) == ["late:latest"]
    eventually(lambda: "is not loaded" not in page.section("pins"), "nothing is amiss")
    assert ask(shared, "late").is_success


def _weights(shared: Shared) -> Path:
    return shared.store.model(ModelName.parse("late")).weights


def test_a_user_is_told_of_the_window_that_holds(share: Callable[..., Shared]) -> None:
    now = datetime.now(timezone.utc)
    hours = [(now + timedelta(hours=n)).strftime("%H:%M") for n in (-1, 1)]
    shared = share(
        f'time_zone = "UTC"\n[[hub.windows]]\nname = "Exam <1>"\nfrom = "{hours[0]}"\n'
        f'until = "{hours[1]}"\ngroups = ["class"]\nallow = ["demo"]\nnum_predict = 300\n',
        PEOPLE,
    )

    told = shared.page("ana").section("holding")

    assert told.startswith("Exam <1>, until ")
    assert told.endswith("only demo may be used, answers end after 300 tokens.")
    assert shared.page("eve").section("holding") == ""
    assert (
        f"Exam <1> class only demo may be used, answers end after 300 tokens every day {hours[0]}"
        in (shared.page("eve").section("windows"))
    )
