"""`%stats`, `%%bench` and `%%compare` in a real kernel, against a real server."""

from __future__ import annotations

import pytest
from cells import Cells, kernel_environ

OF_THE_LAST = "stats().iloc[-1]"


@pytest.fixture(scope="module")
def real(ollama_server, tmp_path_factory):
    kernel = Cells(kernel_environ(ollama_server.url, tmp_path_factory.mktemp("home")))
    kernel.run("import ollama_nb; from ollama_nb import *")
    yield kernel
    kernel.close()


def test_a_call_knows_its_cell(real):
    number = int(real.run("get_ipython().execution_count").result)
    real.run("%generate -m demo -o num_predict=2 Hello")
    real.run("embed(['a'], model='demo')")

    assert real.run("stats()['cell'].tolist()[-2:]").result == f"[{number + 1}, {number + 2}]"


def test_what_a_widget_asks_belongs_to_no_cell(real):
    real.run(
        "from ollama_nb.asking.chatting import chat_request\n"
        "from ollama_nb.asking.streaming import ask_async\n"
        "request = chat_request('Hi', model='demo', options={'num_predict': 1})\n"
        "answer = await ask_async(request, lambda *news: None)"
    )

    assert real.run(f"{OF_THE_LAST}['cell'], len(answer.text) > 0").result == "(<NA>, True)"


def test_a_click_belongs_to_no_cell(real):
    real.run(
        "ask = lambda comm, message: generate('Hi', model='demo', options={'num_predict': 1})\n"
        "get_ipython().kernel.comm_manager.register_target('ask', ask)\n"
        "before = len(stats())"
    )
    click = {"comm_id": "click", "target_name": "ask", "data": {}}
    real.client.shell_channel.send(real.client.session.msg("comm_open", click))

    assert real.run(f"len(stats()) - before, {OF_THE_LAST}['cell']").result == "(1, <NA>)"


def test_the_phases_of_a_call_are_told(real):
    real.run("%ollama stop demo")
    real.run("%generate -m demo -o num_predict=2 Hello")

    phases = "['queue_s', 'load_s', 'prompt_s', 'eval_s']"
    assert real.run(f"bool({OF_THE_LAST}[{phases}].notna().all())").result == "True"
    assert real.run(f"bool({OF_THE_LAST}['load_s'] > {OF_THE_LAST}['queue_s'])").result == "True"
    whole = f"{OF_THE_LAST}[{phases}].sum() <= {OF_THE_LAST}['total_s']"
    assert real.run(f"bool({whole})").result == "True"


def test_stats_is_a_table_or_a_picture(real):
    real.run("%generate -m demo -o num_predict=2 Hello")

    table = real.run("%stats -n 1").saved[-1]
    assert "tokens_per_s" in table["text/html"]
    assert table["text/html"].count("<tr") == 2
    drawn = real.run("%stats -m demo --plot").saved
    assert [data for data in drawn if "image/png" in data]
    assert not [data for data in drawn if "<Axes:" in data["text/plain"]]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("%stats -m nobody", "no call of 'nobody'; there are calls of"),
        ("%stats -n 0", "at least 1"),
        ("%stats --reset --plot", "without other options"),
        ("%stats hello", "unrecognized arguments"),
        ("%%compare\nHello", "name the models"),
        ("%%compare -m demo,demo\nHello", "named twice"),
        ("%%bench -n 0\nHello", "repeats is at least 1"),
        ("%%bench Hello\nthere", "is no option"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(real, line, sentence):
    error = real.run(line).error

    assert sentence in error["evalue"]
    assert len(error["traceback"]) == 1


def test_a_benchmark_in_a_cell(real):
    run = real.run("%%bench -m demo -n 2 -t 0 -o num_predict=3 --plot -> measured\nHello")

    assert run.status == "ok"
    assert [data for data in run.saved if "image/png" in data]
    columns = "['runs', 'answer_tokens', 'prompt_tokens']"
    assert real.run(f"bool(measured.loc['demo', {columns}].gt(0).all())").result == "True"


def test_a_comparison_in_a_cell(real):
    run = real.run("%%compare -m demo,nobody -t 0 -o num_predict=3 -> both\nHello", watched=True)

    assert "compare" in run.stdout or run.status == "ok"
    shown = run.saved[-1]["text/html"]
    assert "nobody" in shown
    assert "3 tokens" in shown
    assert "comparing: 2 of 2 calls made" in [data["text/plain"] for data in run.saved]
    assert real.run("len(both.loc['demo', 'answer']) > 0").result == "True"


def test_models_of_a_comparison_are_completed(real):
    assert "%%compare -m demo:latest,demo:latest" in real.complete("%%compare -m demo:latest,de")


def test_forgetting_calls(real):
    real.run("%stats --reset")

    assert real.run("len(stats())").result == "0"


def test_memory_is_told_apart(real):
    real.run("%generate -m demo -o num_predict=2 Hello")
    real.run("(_, row), = ps().iterrows()")

    parts = "row.weights_mb + row.slots * row.slot_mb + row.buffers_mb"
    assert real.run(f"bool(abs({parts} - row.size_mb) < 0.05 * (row.slots + 3))").result == "True"
    assert real.run("bool(0 < row.weights_mb < row.size_mb)").result == "True"
    assert real.run("bool(1 <= row.slots <= row.max_slots)").result == "True"
    assert real.run("float(models().loc[row.name, 'memory_mb'] - row.size_mb)").result == "0.0"
    zone = (
        "ps()['expires_at'].dt.tz == models()['modified_at'].dt.tz == stats()['started_at'].dt.tz"
    )
    assert real.run(zone).result == "True"


def test_frames_and_cards_tell_sizes_in_one_unit(real):
    real.run("%generate -m demo -o num_predict=2 Hello")

    told = "f'{models().size_mb[\"demo:latest\"]} MB' in repr(show('demo'))"
    assert real.run(told).result == "True"
    weights = "show('demo').size_bytes / 1e6 - ps().weights_mb['demo:latest']"
    assert real.run(f"bool(0 <= {weights} < 0.5)").result == "True"
    assert real.run("[name for name in [*models(), *ps()] if 'mib' in name]").result == "[]"
