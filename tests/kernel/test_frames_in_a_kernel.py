"""Frames of real kernels, at a real server with the bundled model."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import threading

import pandas as pd
import psutil
import pytest
from cells import Cells, assert_computes_nothing, eventually, kernel_environ, metric

import ollama_nb
import ollama_nb.frames

NUM_ROWS = 500
ENOUGH = int(0.4 * NUM_ROWS)
ASK = f"""
import pandas as pd, ollama_nb.frames
frame = pd.DataFrame({{"who": [f"animal number {{n}}" for n in range({NUM_ROWS})]}})
answers = frame.llm.generate(
    "A story about {{{{ who }}}}.", model="demo", temperature=0, options={{"num_predict": 12}}
)
"""


@pytest.fixture
def start_kernel(ollama_server, tmp_path):
    """Start kernels that share a cache, as those of one user do."""
    kernels = []

    def start():
        environ = kernel_environ(ollama_server.url, tmp_path, OLLAMA_NB_CACHE=str(tmp_path / "c"))
        kernels.append(Cells(environ))
        return kernels[-1]

    yield start
    for kernel in kernels:
        kernel.close()


def _num_kept(folder):
    """Answers in the cache, as another process sees them."""
    for file in folder.glob("answers-*.sqlite"):
        not_there_yet = contextlib.suppress(sqlite3.OperationalError)  # the table
        with contextlib.closing(sqlite3.connect(file)) as connection, not_there_yet:
            return connection.execute("SELECT count(*) FROM answers").fetchone()[0]
    return 0


def _num_finished(client):
    return metric(client, r'requests_total\{.*outcome="finished"')


def _is_idle(client):
    return metric(client, "requests_(running|waiting)") == 0


def test_a_kernel_that_is_killed_leaves_what_it_had_and_the_next_computes_the_rest(
    start_kernel, client, tmp_path
):
    first, folder = start_kernel(), tmp_path / "c"
    first.client.execute(ASK)
    eventually(lambda: _num_kept(folder) >= ENOUGH, "40 % of the rows", 60)
    kernel = psutil.Process(first.manager.provisioner.pid)
    kernel.kill()  # SIGKILL: nothing is tidied up
    kernel.wait(20)
    kept = _num_kept(folder)
    assert ENOUGH <= kept < NUM_ROWS
    eventually(lambda: _is_idle(client), "the end of what the server was computing")
    finished = _num_finished(client)

    second = start_kernel()
    run = second.run(ASK)

    assert f"{NUM_ROWS} rows: {NUM_ROWS - kept} answered, {kept} from the cache" in run.text
    assert _num_finished(client) - finished == NUM_ROWS - kept
    assert second.run("int(answers.isna().sum()), len(answers)").result == f"(0, {NUM_ROWS})"


PREPARE = """
import pandas as pd, ollama_nb.frames
frame = pd.DataFrame({"who": ["a fox"] + [f"hen {n}" for n in range(40)]})
frame.head(1).llm.generate("On {{ who }}", model="demo", options={"num_predict": 3})
lines = 'root ::= ([a-z ]{0,50} " ")+ "END"'  # an end that no model comes to by itself
endless = {"num_predict": -1, "temperature": 0, "grammar": lines}
"""
ENDLESS = (
    "answers = frame.llm.generate('On {{ who }}', model='demo', options=endless, details=True)"
)


def test_stop_ends_what_the_server_computes_and_the_cell_has_the_rows_so_far(start_kernel, client):
    kernel = start_kernel()
    kernel.run(PREPARE)
    stopping = threading.Thread(target=_stop_once_running, args=(kernel, client))
    stopping.start()

    run = kernel.run(ENDLESS, watched=True)

    stopping.join(60)
    assert run.status == "ok"
    assert "to go: run it again" in run.text  # which has taken the bar's place
    assert_computes_nothing(client)
    assert kernel.run("bool(answers['_error'].str.contains('run it again').any())").result == "True"


def _stop_once_running(kernel, client):
    eventually(lambda: metric(client, "requests_running") > 1, "some rows", 60)
    psutil.Process(kernel.manager.provisioner.pid).send_signal(signal.SIGINT)


# Stops the kernel as its own button does, once three rows have words.
STOPPING = """
import os, signal
from ollama_nb.asking.streaming import Arriving
add, begun = Arriving.add, set()
def adding(arriving, part):
    add(arriving, part)
    before = len(begun)
    if arriving.text:
        begun.add(id(arriving))
    if len(begun) > before == 2:
        os.kill(os.getpid(), signal.SIGINT)
Arriving.add = adding
"""
MARKED = """
Arriving.add = add
cut = answers["_error"].str.startswith("interrupted").fillna(False)
begun = cut & answers["answer"].notna()
int(begun.sum()) >= 3, bool(answers["answer"][answers["_error"].str.startswith("not")].isna().all())
"""


def test_stop_leaves_the_beginnings_of_answers_marked_and_the_next_run_asks_for_them(
    start_kernel, client, tmp_path
):
    kernel = start_kernel()
    kernel.run(PREPARE + STOPPING)
    kept = _num_kept(tmp_path / "c")

    run = kernel.run(ENDLESS, watched=True)

    assert run.status == "ok"
    assert kernel.run(MARKED).result == "(True, True)"
    eventually(lambda: _is_idle(client), "the server to compute nothing more")
    assert _num_kept(tmp_path / "c") == kept


def test_the_bar_is_a_widget_of_few_messages_that_the_line_replaces(start_kernel):
    kernel = start_kernel()
    kernel.run("import pandas as pd, ollama_nb.frames; frame = pd.DataFrame({'n': range(200)})")
    code = "frame.llm.generate('{{ n }}', model='demo', options={'num_predict': 12}); None"

    run = kernel.run(code, watched=True)

    (first,) = run.first_displays
    assert "application/vnd.jupyter.widget-view+json" in first
    assert "200 rows: 200 answered" in run.text
    assert list(run.saved[0]) == ["text/plain"]
    updates = [one for one in run.messages if one["msg_type"] == "comm_msg"]
    assert len(updates) <= 15 * (run.seconds + 1)


def test_tokens_are_counted_as_the_model_counts_them(ollama_server, client):
    ollama_nb.connect(ollama_server.url)
    series = pd.Series(["Once upon a time", None, "a", "Once upon a time"], index=list("xyzx"))
    said = client.post("/api/tokenize", json={"model": "demo", "text": "Once upon a time"}).json()

    counts = series.llm.count_tokens(model="demo")

    assert counts.dtype == "Int64"
    assert counts.tolist() == [said["count"], pd.NA, 1, said["count"]]
    assert counts.index.tolist() == list("xyzx")
    frame = series.to_frame("a")
    assert frame.llm.count_tokens("{{ a }}", model="demo").equals(counts)


SCRIPT = """
import sys, pandas as pd, ollama_nb, ollama_nb.frames
ollama_nb.connect(sys.argv[1])
pd.DataFrame({"a": ["x"]}).llm.generate("{{ a }}", model="demo", options={"num_predict": 2})
"""


def test_in_a_program_the_line_stands_beside_its_output(ollama_server):
    command = [sys.executable, "-W", "error", "-c", SCRIPT, ollama_server.url]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert done.stdout == ""
    assert "1 row: 1 answered; 2 tokens in" in done.stderr
