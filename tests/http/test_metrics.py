"""What Prometheus is told, on real servers: exactly what was done, and what goes on meanwhile."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from ollama_nb_server.metrics.labels import OTHERS, Labels
from ollama_nb_server.metrics.metrics import REASONS
from ollama_nb_server.scheduling import decisions
from ollama_nb_server.sharing.tokens import TokenFile
from prometheus_client.parser import text_string_to_metric_families

PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"
LINES = 'root ::= ([a-z ]{0,50} "\\n")+ "END"'  # an end that no model comes to by itself
ENDLESS = {"temperature": 0, "num_predict": -1, "grammar": LINES}
# Holds up a worker at its start until a file is there: a load that takes as long as a test wants.
GATE = """
import os, sys, time
while "ollama_nb_server.engine.worker" in sys.orig_argv and not os.path.exists({gate!r}):
    time.sleep(0.01)
"""
Values = dict[str, float]


@dataclass
class Scraped:
    """A server, and where its metrics are."""

    server: object
    url: str

    def text(self) -> str:
        answer = httpx.get(self.url, headers=self.server.headers, trust_env=False, timeout=60)
        return answer.raise_for_status().text

    def values(self) -> Values:
        """Samples of ours, by name, with the labels beside the model behind it; models summed."""
        found: Values = {}
        for family in text_string_to_metric_families(self.text()):
            for sample in family.samples:
                labels = {k: v for k, v in sample.labels.items() if k not in ("model", "le")}
                name = " ".join([sample.name.removeprefix("ollama_nb_"), *labels.values()])
                if "le" not in sample.labels:
                    found[name] = found.get(name, 0.0) + sample.value
        return found

    def since(self, before: Values) -> Values:
        """What has been added."""
        return {name: value - before.get(name, 0.0) for name, value in self.values().items()}


@pytest.fixture(params=["standalone", "jupyter", "below ollama"])
def scraped(request: pytest.FixtureRequest) -> Scraped:
    if request.param == "standalone":
        server = request.getfixturevalue("ollama_server")
        return Scraped(server, f"{server.url}/metrics")
    server = request.getfixturevalue("jupyter_server")
    own = request.param == "below ollama"
    return Scraped(server, f"{server.url if own else server.url.removesuffix('/ollama')}/metrics")


@pytest.fixture(scope="module")
def narrow(start_server: Callable[..., object]) -> Scraped:
    """A server whose models have one slot."""
    server = start_server(OLLAMA_NUM_PARALLEL="1")
    return Scraped(server, f"{server.url}/metrics")


def ask(client: httpx.Client, **fields: object) -> httpx.Response:
    body = {"model": "demo", "prompt": "Once upon a time", "stream": False, **fields}
    return client.post("/api/generate", json=body)


@contextmanager
def streaming(client: httpx.Client) -> Iterator[Iterator[str]]:
    """The lines of an answer that goes on for long; the first one is there."""
    body = {"model": "demo", "prompt": "Once", "options": ENDLESS}
    with client.stream("POST", "/api/generate", json=body) as response:
        lines = response.iter_lines()
        next(lines)
        yield lines


def test_counts_are_what_was_done(scraped: Scraped, eventually) -> None:
    before = scraped.values()
    with scraped.server.client() as client:
        answer = ask(client, options={"num_predict": 8, "seed": 1}).json()
        texts = {"model": "demo", "input": ["a cat", "two cats and a dog"]}
        embedded = client.post("/api/embed", json=texts).json()
    after = scraped.since(before)

    prompts = answer["prompt_eval_count"] + embedded["prompt_eval_count"]
    assert after["prompt_tokens_total"] == prompts
    assert after["generated_tokens_total"] == answer["eval_count"] > 0
    assert after["requests_total finished"] == 2
    assert after["time_to_first_token_seconds_count"] == 1
    assert 0 < after["time_to_first_token_seconds_sum"] <= answer["total_duration"] / 1e9
    steps = "engine_step_seconds_count"
    eventually(lambda: 0 < scraped.since(before)[steps] <= 1 + answer["eval_count"], "its steps")


def test_who_runs_who_waits_and_who_leaves(narrow: Scraped, eventually) -> None:
    before = narrow.values()
    with narrow.server.client() as client, ThreadPoolExecutor(1) as pool:
        with streaming(client):
            waits = pool.submit(ask, client, options={"num_predict": 2})
            eventually(lambda: narrow.values()["requests_waiting"] == 1, "the second request")
            now = narrow.values()
            eventually(lambda: narrow.values()["slots live"] == 1, "what the worker tells")
        assert waits.result().is_success
        with streaming(client):
            eventually(lambda: narrow.values()["slots live"] == 1, "what the worker tells")
    eventually(lambda: narrow.values()["slots live"] == 0, "the end of all work")
    after = narrow.values()

    assert now["requests_running"] == 1
    assert now.get("requests_total finished", 0) == before.get("requests_total finished", 0)
    assert narrow.since(before)["requests_total cancelled"] == 2
    assert narrow.since(before)["requests_total finished"] == 1
    assert (after["requests_running"], after["requests_waiting"]) == (0, 0)
    assert after["slots live"] + after["slots idle"] + after["slots empty"] == 1
    assert after["kv_cache_tokens"] == 0


def test_what_was_computed_for_another_request_counts(narrow: Scraped, eventually) -> None:
    asked = {"prompt": "Once upon a time there was a fox. " * 12, "options": {"num_predict": 2}}
    with narrow.server.client() as client:
        ask(client, **asked)
        eventually(lambda: narrow.values()["slots idle"] == 1, "the kept slot")
        before = narrow.values()
        client.headers["X-Ollama-Nb-Extras"] = "1"
        answer = ask(client, **asked).json()
    after = narrow.since(before)

    assert after["cached_prompt_tokens_total"] == answer["nb"]["cached_tokens"] > 0
    assert after["prompt_tokens_total"] == answer["prompt_eval_count"]


def test_a_worker_that_crashes_counts_and_takes_no_count_along(narrow: Scraped, eventually) -> None:
    with narrow.server.client() as client:
        ask(client, options={"num_predict": 8})
        eventually(lambda: narrow.values().get("engine_step_seconds_count", 0) > 0, "its steps")
        before = narrow.values()
        with streaming(client) as lines:
            (worker,) = narrow.server.workers()
            psutil.Process(worker.pid).kill()
            *_, last = lines
        after = narrow.since(before)

    assert "error" in json.loads(last)
    assert after["worker_crashes_total"] == 1
    assert after["requests_total worker_died"] == 1
    assert after["engine_step_seconds_count"] >= 0
    assert not any(name.startswith("model_unloads_total") for name, n in after.items() if n)


def test_loads_and_unloads_count(narrow: Scraped, eventually) -> None:
    with narrow.server.client() as client:
        ask(client, keep_alive=0)
        eventually(lambda: not narrow.server.workers(), "its end")
        before = narrow.values()
        ask(client, options={"num_predict": 1})
        ask(client, keep_alive=0)
        eventually(lambda: not narrow.server.workers(), "its end")
    after = narrow.since(before)

    assert after["model_load_seconds_count finished"] == 1
    assert after["model_load_seconds_sum finished"] > 0
    assert after["model_unloads_total keep_alive"] == 1
    assert after["worker_crashes_total"] == 0


def test_a_load_holds_up_no_scrape(start_server, tmp_path: Path, eventually) -> None:
    gate = tmp_path / "gate"
    (tmp_path / "sitecustomize.py").write_text(GATE.format(gate=str(gate)))
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    server = start_server(PYTHONPATH=path, OLLAMA_MAX_QUEUE="1")
    loading = Scraped(server, f"{server.url}/metrics")
    with server.client() as client, ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(ask, client, options={"num_predict": 1}) for _ in range(2)]
        eventually(lambda: loading.values().get("requests_waiting") == 2, "both requests")
        refused = ask(client)
        during = loading.values()
        gate.touch()
        assert all(answer.result().is_success for answer in answers)
    after = loading.values()

    assert refused.status_code == 503
    assert during["requests_total refused"] == 1
    assert "model_load_seconds_count finished" not in during
    assert after["model_load_seconds_count finished"] == 1
    assert after["requests_waiting"] == 0


def test_a_scraper_may_ask_for_open_metrics(ollama_server) -> None:
    headers = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = httpx.get(f"{ollama_server.url}/metrics", headers=headers, trust_env=False)

    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_the_page_lists_what_there_is(narrow: Scraped) -> None:
    rows = re.findall(
        r"^\| `(ollama_nb_\w+)` \| (\w+) \| ([^|]*) \|", PAGE.read_text("utf-8"), re.M
    )
    told = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    with narrow.server.client() as client:
        ask(client, options={"num_predict": 1})
    found = {}
    for family in text_string_to_metric_families(narrow.text()):
        if family.name.startswith("ollama_nb_") and not family.name.endswith("_created"):
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = {label for sample in family.samples for label in sample.labels}
            found[name] = family.type, labels - {"le"} or told[name][1]

    assert found == told


def test_the_dashboard_shows_only_what_there_is(shared_metrics: str) -> None:
    """Each metric and label of the dashboard is in what a shared server tells."""
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(shared_metrics):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
        labels.setdefault(family.name + ("_total" if family.type == "counter" else ""), set())
    dashboard = json.loads(PAGE.with_name("grafana.json").read_text("utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [
        v["query"]["query"] for v in dashboard["templating"]["list"] if v["type"] == "query"
    ]
    told = set(re.findall(r"^\| `(ollama_nb_\w+)` ", PAGE.read_text("utf-8"), re.M))

    shown = set()
    for query in queries:
        names = re.findall(r"ollama_nb_\w+", query)
        assert names
        assert set(names) <= set(labels), query
        shown |= {re.sub("_(bucket|count|sum)$", "", name) for name in names}
        selected = re.findall(r"(\w+)(?:=~|!=|=)\"", query)
        summed = [word for by in re.findall(r"by \(([^)]*)\)", query) for word in by.split(", ")]
        for label in {*selected, *summed}:
            assert all(label in labels[name] for name in names if labels[name]), (query, label)
    assert shown == told


@pytest.fixture(scope="module")
def shared_metrics(tmp_path_factory, start_server, eventually) -> str:
    """What a shared server tells by user when it has answered, unloaded, and answered again."""
    folder = tmp_path_factory.mktemp("shared")
    tokens = TokenFile(folder / "tokens.json")
    headers = {"Authorization": f"Bearer {tokens.add('eve', is_admin=True)}"}
    (folder / "hub.toml").write_text("[hub]\nmetrics_by_user = true\n")
    server = start_server("--tokens", str(tokens.path), "--config", str(folder / "hub.toml"))
    with httpx.Client(base_url=server.url, headers=headers, timeout=60, trust_env=False) as client:
        ask(client, options={"num_predict": 4}, keep_alive=0).raise_for_status()
        eventually(lambda: not server.workers(), "its end")
        ask(client, options={"num_predict": 4}).raise_for_status()
        return client.get("/metrics").raise_for_status().text


def test_every_reason_to_unload_has_its_word() -> None:
    reasons = {v for k, v in vars(decisions).items() if k.isupper() and isinstance(v, str)}

    assert len(reasons) >= 5
    assert reasons == set(REASONS)


def test_so_many_models_have_a_label_of_their_own() -> None:
    label = Labels(limit=2)

    assert [label(name) for name in ("a", "b", "c", "a", "d")] == ["a", "b", OTHERS, "a", OTHERS]
