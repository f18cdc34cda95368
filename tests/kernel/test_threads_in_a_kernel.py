"""Outputs of threads find the cell that they began in, on every version of ipykernel we support.

`Cells` holds each message to that; here is what runs in threads.
"""

from __future__ import annotations

import pytest
from cells import Cells, eventually, kernel_environ
from other_kernels import NEWEST, VERSIONS, path_with


@pytest.fixture(scope="module", params=VERSIONS)
def version(request):
    return request.param


@pytest.fixture(scope="module")
def cells(version, other_for_cells, tmp_path_factory, pytestconfig):
    environ = path_with(version, pytestconfig.cache.mkdir("ipykernels"))
    home = tmp_path_factory.mktemp("home")
    kernel = Cells(kernel_environ(other_for_cells.url, home, **environ))
    kernel.run("import threading, time, pandas as pd, ollama_nb, ollama_nb.frames")
    yield kernel
    kernel.close()


def test_the_kernel_is_of_the_version(cells, version):
    found = cells.run("import ipykernel; ipykernel.__version__").result

    assert version in (NEWEST, found.strip("'"))


def test_waiting_is_shown_while_the_cell_waits(cells):
    due = iter([cells.interrupt])

    def when_waiting(message):
        if "the first word, 1 s" in message["content"].get("data", {}).get("text/plain", ""):
            next(due, lambda: None)()

    run = cells.run("%generate hang", watched=True, on_message=when_waiting)

    assert run.error["ename"] == "Interrupted"
    assert run.text == "*other:latest: no answer*"


@pytest.mark.parametrize("watched", [True, False])
def test_rows_of_a_frame_are_asked_in_a_thread(cells, watched):
    code = "pd.Series(['one two', 'three']).llm.generate('{{ text }}', model='other', fresh=True)"

    run = cells.run(f"answers = {code}", watched=watched)

    assert run.text.startswith("2 rows: 2 answered")
    code = "bool(ollama_nb.stats()['cell'].iloc[-1] == ollama_nb.stats()['cell'].max())"
    assert cells.run(code).result == "True"


@pytest.mark.parametrize("watched", [True, False])
def test_an_answer_that_a_thread_of_the_user_asks_for(cells, watched):
    code = "thread = threading.Thread(target=lambda: ollama_nb.generate('one two', show=True))"

    run = cells.run(f"{code}\nthread.start(); thread.join()", watched=watched)

    assert run.text == "one two "


# Begins to show an answer in a thread, and leaves the cell to the next one.
BEGIN = """
from ollama_nb.display.cell import OneOutput
begun, publish = threading.Event(), OneOutput.publish
def noting(*bundle):
    size = publish(*bundle)
    begun.set()
    return size
OneOutput.publish = noting
ask = lambda: ollama_nb.generate('slowly one two three', show=True)
thread = threading.Thread(target=ask); thread.start(); begun.wait(20); None
"""


def test_an_answer_that_outlives_its_cell(cells):
    began = cells.run(BEGIN, watched=True)

    later = cells.run("thread.join(); OneOutput.publish = publish", watched=True)

    assert len(began.first_displays) == 1
    assert later.saved == []
    last = cells.last_shown[began.identity]
    assert last["text/plain"] == "slowly one two three "


def test_the_chat_box_answers_in_a_thread(cells):
    shown = cells.run("talk = ollama_nb.Chat('other'); talk", watched=True)
    cells.run("talk.send('one two')", watched=True)

    later = cells.run("while talk.busy: time.sleep(0.02)", watched=True)

    assert later.saved == []
    assert cells.run("talk.error").result == "''"
    eventually(lambda: "one two" in str(cells.last_shown[shown.identity]), "the answer")
