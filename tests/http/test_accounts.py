"""What users of a shared server have used: rows of real requests, however they end."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path

import httpx
import pytest
from ollama_nb_server.sharing.tokens import TokenFile
from prometheus_client.parser import text_string_to_metric_families

LINES = 'root ::= ([a-z ]{0,50} "\\n")+ "END"'  # an end that no model comes to by itself
ENDLESS = {"temperature": 0, "num_predict": -1, "grammar": LINES}
SHORT = {"num_predict": 4, "temperature": 0}


class Shared:
    """A server that ana and ben use, and that eve manages; started again on the same store."""

    def __init__(self, folder: Path, start: Callable[..., object], config: str = "") -> None:
        self.models, self._start = folder / "models", start
        tokens = TokenFile(folder / "tokens.json")
        self._tokens = {
            "ana": tokens.add("ana", is_admin=False, groups=frozenset({"class"})),
            "ben": tokens.add("ben", is_admin=False),
            "eve": tokens.add("eve", is_admin=True),
        }
        self._options = ["--tokens", str(tokens.path)]
        if config:
            (folder / "hub.toml").write_text(f"[hub]\n{config}")
            self._options += ["--config", str(folder / "hub.toml")]
        self.start()

    def start(self) -> None:
        self.server = self._start(*self._options, OLLAMA_MODELS=str(self.models))

    def client(self, name: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self._tokens[name]}"}
        return httpx.Client(base_url=self.server.url, headers=headers, timeout=60, trust_env=False)

    def usage(self, name: str, **arguments: str) -> dict:
        with self.client(name) as client:
            return client.get("/api/usage", params=arguments).raise_for_status().json()

    def samples(self) -> dict[tuple[str, str], float]:
        """What Prometheus is told, by metric and user."""
        found: dict[tuple[str, str], float] = {}
        with self.client("eve") as client:
            text = client.get("/metrics").raise_for_status().text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = sample.name, sample.labels.get("user", "")
                found[key] = found.get(key, 0.0) + sample.value
        return found


@pytest.fixture(scope="module")
def shared(tmp_path_factory, start_server) -> Iterator[Shared]:
    return Shared(
        tmp_path_factory.mktemp("shared"),
        start_server,
        'contact = "Ms Ada"\nmetrics_by_user = true\n',
    )


def ask(client: httpx.Client, **fields: object) -> httpx.Response:
    body = {"model": "demo", "prompt": "Once upon a time", "stream": False, "options": SHORT}
    return client.post("/api/generate", json=body | fields)


def leave(client: httpx.Client) -> None:
    """Ask for an answer that goes on for long, and leave when it has begun."""
    body = {"model": "demo", "prompt": "Once", "options": ENDLESS}
    with client.stream("POST", "/api/generate", json=body) as response:
        next(response.iter_lines())


def tokens_told(answer: dict) -> int:
    return answer.get("prompt_eval_count", 0) + answer.get("eval_count", 0)


def tokens_kept(rows: list[dict]) -> int:
    return sum(row["prompt_tokens"] + row["answer_tokens"] for row in rows)


def test_totals_are_what_clients_saw_and_what_prometheus_counts(shared: Shared, eventually) -> None:
    told = {}
    for name in ("ana", "ben"):
        with shared.client(name) as client:
            chat = {"messages": [{"role": "user", "content": "Hi"}], "stream": False}
            answers = [
                ask(client),
                client.post("/api/chat", json={"model": "demo", "options": SHORT} | chat),
                client.post("/api/embed", json={"model": "demo", "input": ["a cat", "a dog"]}),
                client.post(
                    "/api/score",
                    json={"model": "demo", "prompt": "Was it?", "choices": ["Yes", "No"]},
                ),
            ]
            told[name] = sum(tokens_told(answer.raise_for_status().json()) for answer in answers)
            leave(client)
            failed = ask(client, truncate=False, prompt="word " * 5000)
            assert failed.is_error
            eventually(
                lambda name=name: len(shared.usage(name, by="status")["totals"]) == 3, "its rows"
            )
    metrics = shared.samples()

    for name in ("ana", "ben"):
        rows = shared.usage(name)["requests"]
        finished = [row for row in rows if row["status"] == "finished"]
        assert [row["verb"] for row in finished] == ["generate", "chat", "embed", "score"]
        assert {row["user"] for row in rows} == {name}
        assert sorted(row["status"] for row in rows if row not in finished) == [
            "cancelled",
            "failed",
        ]
        assert tokens_kept(finished) == told[name] > 0
        assert tokens_kept(rows) > told[name]  # what was computed of the cancelled one
        used = [
            metrics["ollama_nb_prompt_tokens_total", name],
            metrics["ollama_nb_generated_tokens_total", name],
        ]
        assert sum(used) == tokens_kept(rows)
        assert metrics["ollama_nb_requests_total", name] == len(rows) == 6
    (total,) = shared.usage("eve", user="*", by="all")["totals"]
    assert total["prompt_tokens"] + total["answer_tokens"] == sum(
        value
        for (metric, _), value in metrics.items()
        if metric in ("ollama_nb_prompt_tokens_total", "ollama_nb_generated_tokens_total")
    )


def test_a_row_says_what_it_cost_and_nothing_of_what_was_said(shared: Shared) -> None:
    with shared.client("ana") as client:
        answer = ask(client, prompt="My secret is Rumpelstiltskin").json()
    row = shared.usage("ana")["requests"][-1]
    began, ended = (datetime.fromisoformat(row[key].replace("Z", "+00:00")) for key in ("started_at", "ended_at"))  # fmt: skip

    assert (row["prompt_tokens"], row["answer_tokens"]) == (
        answer["prompt_eval_count"],
        answer["eval_count"],
    )
    assert row["prompt_s"] == answer["prompt_eval_duration"] / 1e9
    assert row["eval_s"] == answer["eval_duration"] / 1e9
    assert 0 < row["first_token_s"] <= (ended - began).total_seconds() + 0.01
    assert row["model"] == "demo:latest"
    assert len(row["digest"]) == 64
    files = [path for path in (shared.models / "ollama_nb").iterdir() if "accounts" in path.name]
    assert len(files) >= 2
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert b"Rumpelstiltskin" not in path.read_bytes()
        assert answer["response"].encode() not in path.read_bytes()


def test_one_sees_nothing_of_others(shared: Shared) -> None:
    with shared.client("ana") as client:
        for whose in ("ben", "*"):
            denied = client.get("/api/usage", params={"user": whose})
            assert denied.status_code == 403
            assert denied.json() == {"error": "ana may not see what others use here: ask Ms Ada"}
    for name in ("ana", "ben"):
        with shared.client(name) as client:
            ask(client)

    assert {row["user"] for row in shared.usage("ana", user="ana")["requests"]} == {"ana"}
    assert {row["user"] for row in shared.usage("eve", user="ben")["requests"]} == {"ben"}
    assert {"ana", "ben"} <= {row["user"] for row in shared.usage("eve", user="*")["requests"]}
    assert shared.usage("eve")["requests"] == []
    assert httpx.get(f"{shared.server.url}/api/usage", trust_env=False).status_code == 401


def test_tokenizing_is_free(shared: Shared) -> None:
    before = shared.usage("ana", by="all")
    with shared.client("ana") as client:
        client.post("/api/tokenize", json={"model": "demo", "text": "a"}).raise_for_status()

    assert shared.usage("ana", by="all") == before


def test_totals_by_this_and_that(shared: Shared) -> None:
    with shared.client("ben") as client:
        ask(client)
    by = shared.usage("eve", user="*", by="user,model,day")["totals"]

    assert {row["user"] for row in by} >= {"ben"}
    assert all(row["model"] == "demo:latest" and len(row["day"]) == 10 for row in by)
    assert shared.usage("ben", since="1h", by="verb")["totals"]
    assert shared.usage("ben", since="2999-01-01", by="verb")["totals"] == []
    assert shared.usage("ben", until="1h")["requests"] == []
    latest = shared.usage("ben", limit="1")
    assert len(latest["requests"]) == 1
    assert latest["truncated"]


def test_a_table_for_other_programs(shared: Shared) -> None:
    with shared.client("ana") as client:
        ask(client)
        by_word = client.get("/api/usage", params={"format": "csv"})
        by_header = client.get("/api/usage", headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(by_word.text)))

    assert by_word.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert by_header.text == by_word.text
    assert [row["id"] for row in rows] == [row["id"] for row in shared.usage("ana")["requests"]]
    assert rows[-1]["answer_tokens"] == "4"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"by": "cat"}, "by: 'cat' is none of all, user"),
        ({"since": "soon"}, "since: 'soon' is no time"),
        ({"limit": "0"}, "limit"),
        ({"limit": "100001"}, "limit"),
        ({"format": "xml"}, "format: 'xml'"),
        ({"whose": "ana"}, "whose: there is no such argument"),
    ],
)
def test_what_cannot_be_meant_is_named(shared: Shared, arguments, said: str) -> None:
    with shared.client("ana") as client:
        refused = client.get("/api/usage", params=arguments)

    assert refused.status_code == 400
    assert said in refused.json()["error"]


def test_who_is_alone_has_no_accounts(client: httpx.Client, ollama_server) -> None:
    refused = client.get("/api/usage")

    assert refused.status_code == 404
    assert "keeps no accounts" in refused.json()["error"]


RULES = """
max_prompt_tokens = 50
max_request_mb = 1
max_requests_per_user = 2
metrics_by_user = true
[hub.models]
"hidden" = ["staff"]
[[hub.windows]]
name = "for good"
groups = ["class"]
none = true
"""


@pytest.fixture(scope="module")
def ruled(tmp_path_factory, start_server) -> Shared:
    ruled = Shared(tmp_path_factory.mktemp("ruled"), start_server, RULES)
    with ruled.client("eve") as eve:
        ask(eve)
        copied = eve.post("/api/copy", json={"source": "demo", "destination": "hidden"})
        assert copied.is_success
    return ruled


def test_what_is_refused_has_a_row_that_says_so(ruled: Shared, eventually) -> None:
    long = {"model": "demo", "input": "word " * 100}
    with ruled.client("ana") as ana, ruled.client("ben") as ben:
        answers = [
            ask(ben, model="nobody"),
            ask(ben, model="hidden"),
            ask(ben, prompt="word " * 100),
            ben.post("/api/embed", json=long),
            ask(ben, x="y" * 1_200_000),
            ask(ben, prompt=7),
            ben.post("/api/tokenize", json={"model": "nobody", "text": "a"}),
            ask(ana),
        ]
        body = {"model": "demo", "prompt": "Once", "options": ENDLESS}
        with (
            ben.stream("POST", "/api/generate", json=body) as one,
            ben.stream("POST", "/api/generate", json=body) as other,
        ):
            lines = [one.iter_lines(), other.iter_lines()]  # kept: the answers end with them
            for each in lines:
                next(each)
            answers.append(ask(ben))
    told = [answer.status_code for answer in answers]
    done = ("running", "cancelled")
    eventually(lambda: "running" not in {r["status"] for r in ruled.usage("ben")["requests"]}, "it")
    rows = [row for row in ruled.usage("ben")["requests"] if row["status"] not in done]
    (of_ana,) = ruled.usage("ana")["requests"]
    samples = ruled.samples()

    assert told == [404, 404, 413, 413, 413, 400, 404, 403, 429]
    assert {row["status"] for row in rows} == {"refused"}
    assert sorted((row["verb"], row["model"], row["code"]) for row in rows) == [
        ("embed", "demo:latest", 413),
        ("generate", "", 413),  # of a body that was not read
        ("generate", "", 429),
        ("generate", "demo:latest", 413),
        ("generate", "hidden", 404),
        ("generate", "nobody", 404),
    ]
    assert all(row["times"] == 1 and tokens_kept([row]) == 0 for row in rows)
    assert (of_ana["status"], of_ana["code"], of_ana["model"]) == ("refused", 403, "demo")
    assert samples["ollama_nb_requests_total", "ben"] == len(rows) + 2
    assert ruled.usage("ben", by="code")["totals"][-1] == {
        "code": 429,
        "requests": 1,
        **dict.fromkeys(
            ("prompt_tokens", "cached_tokens", "answer_tokens", "queue_s", "load_s"), 0
        ),
        "prompt_s": 0,
        "eval_s": 0,
    }


def test_a_flood_of_refusals_takes_few_rows_and_is_counted(ruled: Shared) -> None:
    with ruled.client("ana") as ana:
        before = sum(row["requests"] for row in ruled.usage("ana", by="all")["totals"])
        for n in range(300):
            assert ask(ana, model=f"made-up-{n}" if n % 2 else "nobody").status_code == 404
        rows = ruled.usage("ana")["requests"]
        (total,) = ruled.usage("ana", by="all")["totals"]

    assert total["requests"] - before == 300
    assert len(rows) <= 14
    assert max(row["times"] for row in rows) == 150


def test_servers_that_share_a_store_count_together(tmp_path, start_server, eventually) -> None:
    shared = Shared(tmp_path, start_server, 'quotas = [{tokens = 12, window = "7d"}]\n')
    with shared.client("ana") as first:
        shared.start()  # beside it
        with shared.client("ana") as second:
            assert shared.usage("ana")["quotas"][0]["used"] == 0
            used = sum(tokens_told(ask(first).json()) for _ in range(2))
            eventually(lambda: shared.usage("ana")["quotas"][0]["used"] == used, "the news", 15)
            refused = [ask(second).status_code, ask(first).status_code]
        (other,) = shared.usage("ana", by="all")["quotas"]

    assert refused == [429, 429]
    assert other["used"] == used


def test_a_killed_server_loses_only_what_was_running(tmp_path, start_server, eventually) -> None:
    shared = Shared(tmp_path, start_server)
    with shared.client("ana") as client, ThreadPoolExecutor(1) as pool:
        answers = [ask(client).json() for _ in range(3)]
        body = {"model": "demo", "prompt": "Once", "options": ENDLESS}
        with client.stream("POST", "/api/generate", json=body) as response:
            lines = response.iter_lines()
            next(lines)
            other = pool.submit(shared.usage, "ana")
            assert other.result()["requests"][-1]["status"] == "running"
            for process in (shared.server.process, *shared.server.workers()):
                process.kill()  # the server first: it would take note of a worker's death
            shared.server.process.wait(10)
    shared.start()
    rows = shared.usage("ana")["requests"]

    assert [row["status"] for row in rows] == ["finished"] * 3 + ["failed"]
    assert tokens_kept(rows) == sum(map(tokens_told, answers))
    assert rows[-1]["ended_at"] is None
    left = [path.name for path in (shared.models / "ollama_nb").glob("accounts-*.lock")]
    assert len(left) == 1  # the new server's


def test_a_server_beside_another_one_leaves_its_requests_alone(tmp_path, start_server) -> None:
    first = Shared(tmp_path, start_server)
    body = {"model": "demo", "prompt": "Once", "options": ENDLESS}
    with first.client("ana") as client, client.stream("POST", "/api/generate", json=body) as answer:
        lines = answer.iter_lines()  # kept: the answer ends with it
        next(lines)
        first.start()
        assert [row["status"] for row in first.usage("ana")["requests"]] == ["running"]
        with first.client("ana") as other:
            ask(other)
        assert [row["status"] for row in first.usage("ana")["requests"]] == ["running", "finished"]


def test_old_rows_go(tmp_path, start_server) -> None:
    shared = Shared(tmp_path, start_server, "retention_days = 2\n")
    with shared.client("ana") as client:
        for _ in range(3):
            ask(client)
    shared.usage("ana")
    shared.server.stop()
    with sqlite3.connect(shared.models / "ollama_nb" / "accounts.sqlite") as file:
        file.execute("UPDATE requests SET asked_at = asked_at - 3 * 86400 WHERE number <= 2")
    file.close()
    shared.start()

    assert [row["id"][-2:] for row in shared.usage("ana")["requests"]] == ["-3"]


def test_a_quota_ends_and_frees_up(tmp_path, start_server, eventually) -> None:
    config = (
        'quotas = [{tokens = 12, window = "8s"}, {tokens = 1000, window = "8s", users = ["ben"]}]\n'
    )
    shared = Shared(tmp_path, start_server, config)
    with shared.client("ana") as client, shared.client("ben") as ben, shared.client("eve") as eve:
        ask(eve)  # loads the model
        used = tokens_told(ask(client).json()) + tokens_told(ask(client).json())
        refused = ask(client)
        (quota,) = shared.usage("ana", by="all")["quotas"]
        assert refused.status_code == 429, used
        assert (
            "ana's quota of 12 tokens in 8 s is used up: there is more at"
            in refused.json()["error"]
        )
        assert 1 <= int(refused.headers["Retry-After"]) <= 8
        assert quota["used"] == used >= quota["limit"] == 12
        streamed = ask(client, stream=True)
        assert streamed.status_code == 429
        assert ask(ben).is_success
        assert ask(eve).is_success
        eventually(lambda: ask(client).is_success, "more", 15)
        assert shared.usage("ana", by="status,code")["totals"][-1]["status"] == "refused"
        assert shared.usage("ana", by="status,code")["totals"][-1]["code"] == 429
        assert shared.usage("eve", by="all")["quotas"] == []


def test_what_waits_when_a_quota_is_used_up_is_not_answered(tmp_path, start_server) -> None:
    config = 'express_slots = 0\nquotas = [{tokens = 60, window = "1h"}]\n'
    shared = Shared(tmp_path, partial(start_server, OLLAMA_NUM_PARALLEL="1"), config)
    long = {"temperature": 0, "num_predict": 40}
    with shared.client("ana") as client, ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: ask(client, options=long), range(12)))
        (quota,) = shared.usage("ana", by="all")["quotas"]

    assert {answer.status_code for answer in answers} == {200, 429}
    assert quota["used"] < 60 + 60  # what ran when it was used up: 40 tokens and a prompt


def test_what_was_spent_outlives_the_server(tmp_path, start_server) -> None:
    shared = Shared(tmp_path, start_server, 'quotas = [{tokens = 5, window = "7d"}]\n')
    with shared.client("ana") as client:
        assert ask(client).is_success
    shared.server.stop()
    shared.start()
    with shared.client("ana") as client:
        refused = ask(client)

    assert refused.status_code == 429
    assert json.loads(refused.text).keys() == {"error"}


def test_one_long_report_of_a_user_is_made_at_a_time(tmp_path, start_server) -> None:
    shared = Shared(tmp_path, start_server)
    with shared.client("ana") as client:
        assert ask(client).is_success
    eighty_thousand(shared.models / "ollama_nb" / "accounts.sqlite", "ana")
    path = "/api/usage?limit=100000"

    with shared.client("ana") as one, shared.client("ana") as other, shared.client("ben") as ben:
        with one.stream("GET", path) as unread:
            with pytest.raises(httpx.ReadTimeout):  # 1001 rows take no time, but their turn
                other.get("/api/usage?limit=1001", timeout=2)
            assert len(other.get("/api/usage?limit=1000").json()["requests"]) == 1000
            assert ben.get(path).json()["requests"] == []
            rows = json.loads(unread.read())["requests"]
        assert len(rows) == len(other.get(path).json()["requests"]) == 80_001


def eighty_thousand(file: Path, user: str) -> None:
    """Rows of a server that is over: more bytes of a report than any system keeps unread."""
    columns = "server, number, user, verb, model, digest, asked_at, status"
    now = time.time()
    with closing(sqlite3.connect(file, timeout=30)) as connection, connection:
        connection.executemany(
            f"INSERT INTO requests ({columns}) VALUES (99, ?, ?, 'chat', 'demo', ?, ?, 'finished')",
            [(number, user, "0" * 64, now - number) for number in range(80_000)],
        )


def test_quotas_need_names(tmp_path, start_server) -> None:
    (tmp_path / "hub.toml").write_text('[hub]\nquotas = [{tokens = 5, window = "7d"}]\n')

    with pytest.raises(AssertionError, match="quotas need names"):
        start_server("--config", str(tmp_path / "hub.toml"))
