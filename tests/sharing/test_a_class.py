"""Windows, pins and load options on a real server: an exam for a group, models that are kept."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest
from people import ADMIN, Shared

PEOPLE = {"eve": ADMIN, "ana": ("class",), "ben": ()}
ASK = {"prompt": "Once", "stream": False}
SHORT = {**ASK, "options": {"num_predict": 2}}
LINES = 'root ::= ([a-z ]{0,50} "\\n")+ "END"'  # an end that no model comes to by itself
WARNINGS = "X-Ollama-Nb-Warnings"


def window(name: str, **fields: str) -> str:
    """One that holds for two hours around now."""
    return "[[hub.windows]]\n" + "".join(
        f"{key} = {value}\n"
        for key, value in {"name": f'"{name}"', **times(), "groups": '["class"]', **fields}.items()
    )


def times(start_h: float = -1, until_h: float = 1) -> dict[str, str]:
    now = datetime.now(timezone.utc)
    shown = [(now + timedelta(hours=hours)).strftime('"%H:%M"') for hours in (start_h, until_h)]
    return {"from": shown[0], "until": shown[1]}


def ask(shared: Shared, who: str, model: str, **fields: object):
    return shared[who].post("/api/generate", json={"model": model, **SHORT, **fields})


def until(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def running(shared: Shared) -> dict[str, datetime]:
    models = shared["eve"].get("/api/ps").json()["models"]
    return {m["name"]: datetime.fromisoformat(m["expires_at"][:19]) for m in models}


@pytest.fixture(scope="module")
def exam(share) -> Shared:
    config = 'time_zone = "UTC"\n' + window("Statistics", allow='["demo"]', num_predict="5")
    return share(config, PEOPLE, ("other",))


def test_outside_the_list_of_a_window_nothing_may_be_used(exam) -> None:
    ends = datetime.now(timezone.utc) + timedelta(hours=1)
    for verb, fields in (
        ("generate", SHORT),
        ("chat", {"messages": []}),
        ("embed", {"input": "a"}),
    ):
        answer = exam["ana"].post(f"/api/{verb}", json={"model": "other", **fields})
        assert answer.status_code == 403
        said = answer.json()["error"]
        assert "other:latest may not be used during 'Statistics'" in said
        assert f"{ends:at %H:}" in said
        assert said.endswith(": use demo")
    assert ask(exam, "ana", "demo").is_success
    assert exam["ana"].post("/api/show", json={"model": "other"}).is_success


def test_lists_tell_a_notebook_what_may_be_used(exam) -> None:
    for who, closed in (("ana", {"other:latest": "Statistics"}), ("ben", {})):
        models = exam[who].get("/api/tags", headers={"X-Ollama-Nb-Extras": "1"}).json()["models"]
        assert {m["name"]: m["nb"]["closed"] for m in models if "nb" in m} == closed
    assert '"nb"' not in exam["ana"].get("/api/tags").text


def test_a_private_name_is_no_way_around_it(exam) -> None:
    made = exam["ana"].post("/api/create", json={"model": "demo", "from": "other", "stream": False})
    assert made.is_success, made.text

    assert ask(exam, "ana", "demo").status_code == 403
    exam["ana"].request("DELETE", "/api/delete", json={"model": "demo"}).raise_for_status()


@pytest.mark.parametrize(("allowed", "status"), [('["*:small"]', 403), ('["*/cheat:small"]', 200)])
def test_a_pattern_of_tags_means_no_model_that_a_user_has_named_so(
    share, allowed: str, status: int
) -> None:
    exam = share('time_zone = "UTC"\n' + window("Tags", allow=allowed), PEOPLE, ("other",))
    body = {"source": "other", "destination": "cheat:small"}
    exam["ana"].post("/api/copy", json=body).raise_for_status()

    assert ask(exam, "ana", "cheat:small").status_code == status


def test_answers_end_at_the_windows_number_and_say_so(exam) -> None:
    asked = {"model": "demo", **ASK, "options": {"grammar": LINES}}
    long = exam["ana"].post("/api/generate", json=asked)
    short = ask(exam, "ana", "demo")

    assert (long.json()["eval_count"], long.json()["done_reason"]) == (5, "length")
    assert "window 'Statistics': answers end after 5 tokens" in long.headers[WARNINGS]
    assert WARNINGS not in short.headers


@pytest.mark.parametrize("who", ["ben", "eve"])
def test_others_are_not_concerned(exam, who: str) -> None:
    answer = ask(exam, who, "other", options={"num_predict": 12, "temperature": 0})

    assert answer.is_success
    assert WARNINGS not in answer.headers


def test_no_access_at_all_and_times_that_are_over(share) -> None:
    closed = share('time_zone = "UTC"\n' + window("closed", none="true"), PEOPLE)
    over = times(-2, -1)
    open_again = share('time_zone = "UTC"\n' + window("over", none="true", **over), PEOPLE)

    assert "models may not be used during 'closed'" in ask(closed, "ana", "demo").json()["error"]
    assert ask(open_again, "ana", "demo").is_success


def pin(*models: str, **fields: str) -> str:
    facts = {**times(), **fields, "models": str(list(models)).replace("'", '"')}
    return 'time_zone = "UTC"\n[[hub.pins]]\n' + "".join(f"{k} = {v}\n" for k, v in facts.items())


def test_a_pinned_model_is_loaded_before_anybody_asks_and_stays(share) -> None:
    shared = share(pin("demo"), PEOPLE, OLLAMA_KEEP_ALIVE="200ms")

    until(lambda: shared.server.workers())
    until(lambda: "demo:latest" in running(shared))
    (worker,) = shared.server.workers()
    assert ask(shared, "ben", "demo").is_success
    time.sleep(0.6)  # three times its keep-alive
    assert [w.pid for w in shared.server.workers()] == [worker.pid]
    left = running(shared)["demo:latest"] - datetime.now()
    assert timedelta(minutes=50) < left or left < timedelta(0), "until the pin ends, in local time"


def test_a_pin_that_cannot_be_loaded_is_told_and_harms_nothing(share) -> None:
    shared = share(pin("nowhere", "demo"), PEOPLE)

    until(lambda: "demo:latest" in running(shared))
    assert "nowhere is pinned, but: model 'nowhere' not found" in shared.server.log.read_text()
    assert ask(shared, "ben", "demo").is_success


def test_who_manages_may_unload_a_pinned_model(share) -> None:
    shared = share(pin("demo"), PEOPLE)
    until(lambda: "demo:latest" in running(shared))

    shared["eve"].post("/api/generate", json={"model": "demo", "keep_alive": 0}).raise_for_status()

    until(lambda: not shared.server.workers())


@pytest.fixture(scope="module")
def loaded(share) -> tuple[Shared, int]:
    shared = share("", PEOPLE)
    ask(shared, "ben", "demo").raise_for_status()
    (worker,) = shared.server.workers()
    return shared, worker.pid


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("num_ctx", 8192), ("num_gpu", 0), ("num_batch", 64), ("main_gpu", 1), ("use_mmap", False),
        ("use_mlock", True), ("numa", True), ("num_thread", 1), ("rope_frequency_base", 5000.0),
        ("rope_frequency_scale", 0.5),
    ],
)  # fmt: skip
def test_a_users_options_load_nothing_anew_and_that_is_told(loaded, option, value) -> None:
    shared, pid = loaded
    headers = {"X-Ollama-Nb-Extras": "1"}
    body = {"model": "demo", **ASK, "options": {"num_predict": 2, option: value}}
    answer = shared["ana"].post("/api/generate", json=body, headers=headers)
    text = (
        f"option '{option}' has no effect here: administrators set it for all who share the model"
    )

    assert answer.is_success, answer.text
    assert text.replace(";", ",") in answer.headers[WARNINGS]
    assert text in answer.json()["nb"]["warnings"]
    assert [worker.pid for worker in shared.server.workers()] == [pid]


@pytest.mark.parametrize("keep_alive", [0, -1, "1ms", "10h"])
def test_a_users_keep_alive_changes_nothing_and_that_is_told(loaded, keep_alive) -> None:
    shared, pid = loaded
    answer = ask(shared, "ana", "demo", keep_alive=keep_alive)
    stays = running(shared)["demo:latest"]

    assert answer.is_success
    assert "option 'keep_alive'" in answer.headers[WARNINGS]
    assert [worker.pid for worker in shared.server.workers()] == [pid]
    assert abs((stays - datetime.now()).total_seconds() % 3600 - 300) < 60


def test_a_user_unloads_nothing(loaded) -> None:
    shared, pid = loaded
    for body in ({"prompt": ""}, {}):
        answer = shared["ana"].post(
            "/api/generate", json={"model": "demo", "keep_alive": 0, **body}
        )
        assert answer.status_code == 403
    talk = {"model": "demo", "messages": [], "keep_alive": 0}
    assert shared["ana"].post("/api/chat", json=talk).status_code == 403
    assert [worker.pid for worker in shared.server.workers()] == [pid]


def test_a_smaller_context_is_the_requests_own(loaded) -> None:
    shared, pid = loaded
    answer = ask(shared, "ana", "demo", options={"num_ctx": 64, "num_predict": 2})

    assert answer.is_success
    assert WARNINGS not in answer.headers
    assert [worker.pid for worker in shared.server.workers()] == [pid]


def test_an_administrators_options_load_anew(share) -> None:
    shared = share("", PEOPLE)
    ask(shared, "ben", "demo").raise_for_status()
    (before,) = shared.server.workers()
    options = {"num_batch": 64, "num_predict": 2}

    assert ask(shared, "eve", "demo", options=options).is_success
    assert before.pid not in [worker.pid for worker in shared.server.workers()]
