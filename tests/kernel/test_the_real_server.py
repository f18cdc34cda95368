"""Real kernels against a real server with the bundled model."""

from __future__ import annotations

import html
import os
import signal
import time

import httpx
import numpy as np
import psutil
import pytest
from cells import Cells, assert_computes_nothing, eventually, kernel_environ, metric
from page import Page

import ollama_nb
from ollama_nb.connection import places
from ollama_nb.connection.current import current
from ollama_nb.errors import AnswerFailed

# Hot enough that the end token hardly comes: an answer that is still running when we act on it.
ENDLESS = "-m demo -t 5 -o top_k=0 -o top_p=1 -o num_predict=100000 -o seed=1"

LINES = 'root ::= ([a-z ]{0,50} "\\n")+ "END"'  # an end that no model comes to by itself
WITHOUT_END = f"""
endless = {{"temperature": 0, "num_predict": -1, "grammar": {LINES!r}}}
try:
    generate("Tell me a story.", model="demo", options=endless, show=True)
except ollama_nb.Interrupted as stopped:
    kept = stopped.answer
    raise
"""
WHOLE_TOKENS = 20_480  # which that comes to if nobody stops it: ten contexts


@pytest.fixture(scope="module")
def real(ollama_server, tmp_path_factory):
    """A kernel whose server is ours."""
    kernel = Cells(kernel_environ(ollama_server.url, tmp_path_factory.mktemp("home")))
    kernel.run("import ollama_nb; from ollama_nb import *")
    yield kernel
    kernel.close()


def _workers(server):
    """The processes below the server that hold a model."""
    return psutil.Process(server.process.pid).children(recursive=True)


def _is_idle(server) -> bool:
    """Whether the workers use next to no processor time."""
    before = [sum(worker.cpu_times()[:2]) for worker in _workers(server)]
    time.sleep(0.2)
    after = [sum(worker.cpu_times()[:2]) for worker in _workers(server)]
    return len(before) == len(after) and sum(after) - sum(before) < 0.05


def _waits(shown: str) -> bool:
    """Whether it is the line that stands there before the first word."""
    return "*demo: " in shown


def _acting(act, after=""):
    """Act once, when the first words are shown."""
    due = iter([act])

    def on_message(message):
        text = str(message["content"].get("data", {}).get("text/plain", ""))
        if message["msg_type"] == "update_display_data" and text and not _waits(text):
            next(due, lambda: None)()

    return on_message


def test_an_answer_repeats_at_temperature_zero(real):
    code = "%generate -m demo -t 0 -o seed=7 -o num_predict=30 What is a notebook? -> a{}"

    real.run(code.format(1))
    real.run(code.format(2))

    assert real.run("(a1 == a2, len(a1) > 10)").result == "(True, True)"


def test_the_statistics_of_a_call_are_complete(real):
    real.run("%generate -m demo -t 0 -o num_predict=5 Hello")

    code = "' '.join(map(str, stats().iloc[-1][['verb', 'model', 'answer_tokens', 'done_reason']]))"
    assert real.run(code).result == "'generate demo:latest 5 length'"
    code = "bool(stats().iloc[-1][['prompt_tokens', 'prompt_s', 'eval_s', 'total_s']].gt(0).all())"
    assert real.run(code).result == "True"


def test_a_chat_goes_on(real):
    real.run("%chat --reset")
    real.run("%chat -m demo -t 0 -o num_predict=20 What is a DataFrame?")
    real.run("%chat -m demo -t 0 -o num_predict=20 And a Series? -> last")

    assert real.run("[m['role'] for m in last.messages]").result == (
        "['user', 'assistant', 'user', 'assistant']"
    )


def test_embeddings_have_length_one_and_keep_their_order(real):
    real.run("texts = ['a cat', 'a train', 'a much longer text about something else']")
    real.run("together = embed(texts, model='demo')")
    real.run(
        "import pandas as pd; alone = pd.concat([embed(text, model='demo') for text in texts])"
    )

    assert real.run("bool(((together**2).sum(axis=1) - 1).abs().max() < 1e-4)").result == "True"
    assert real.run("float(abs(together.values - alone.values).max()) < 1e-3").result == "True"


def test_the_model_can_be_looked_at_and_unloaded(real):
    real.run("%ollama stop demo")  # other tests may have loaded its weights by another name
    real.run("%generate -m demo -o num_predict=1 Hi")
    assert "demo" in real.run("%ollama list").result
    assert "demo" in real.run("%ollama ps").result
    assert "llama" in real.run("%ollama show demo").result

    assert "unloaded" in real.run("%ollama stop demo").stdout
    assert real.run("'demo:latest' in ps().index").result == "False"


def test_ctrl_c_stops_the_engine(real, ollama_server):
    with ollama_server.client() as client:
        before = metric(client, "generated_tokens_total")

    run = real.run(WITHOUT_END, watched=True, on_message=_acting(real.interrupt))

    assert run.error["ename"] == "Interrupted"
    with ollama_server.client() as client:
        assert_computes_nothing(client)
        assert 0 < metric(client, "generated_tokens_total") - before < WHOLE_TOKENS / 2
    assert real.run("(kept.done_reason, len(kept) > 0)").result == "('interrupted', True)"
    assert real.run("%generate -m demo -o num_predict=3 Hello").status == "ok"


def test_a_killed_worker_is_a_clear_error_and_the_next_cell_works(real, ollama_server):
    def kill():
        for worker in _workers(ollama_server):
            os.kill(worker.pid, signal.SIGKILL)

    run = real.run(
        f"%%generate {ENDLESS}\nTell me a story.", watched=True, on_message=_acting(kill)
    )

    assert run.status == "error"
    assert run.error["ename"] == "AnswerFailed"
    assert len(run.error["traceback"]) == 1
    assert len(run.text) > 0
    assert real.run("%generate -m demo -o num_predict=3 Hello").status == "ok"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("%generate -m no-such-model hi", "ModelNotFound"),
        ("%generate -m demo -o num_predict=many hi", "AnswerFailed"),
        ("%generate -m .. hi", "AnswerFailed"),
    ],
)
def test_a_mistake_that_the_server_finds_is_one_line(real, code, name):
    run = real.run(code)

    assert run.error["ename"] == name
    assert len(run.error["traceback"]) == 1
    assert "<html" not in run.error["evalue"]


@pytest.fixture
def talk(ollama_server):
    ollama_nb.connect(ollama_server.url)
    talk = ollama_nb.Chat("demo", options={"temperature": 0, "num_predict": -1, "grammar": LINES})
    yield talk
    talk.stop()
    eventually(lambda: not talk.busy, "the end")
    talk.close()


def _has_words(page):
    return page.turns[-1]["html"] and "<em>demo: " not in page.turns[-1]["html"]


def _until_the_first_words(talk):
    page = Page(talk)
    talk.send("Tell me a story.")
    eventually(lambda: _has_words(page), "the first words")
    return page


def test_the_widget_s_stop_stops_the_engine(talk, ollama_server):
    page = _until_the_first_words(talk)

    page.tell("stop")

    eventually(lambda: not talk.busy, "the end", deadline_s=3)
    eventually(lambda: _is_idle(ollama_server), "the engine stops", deadline_s=3)
    assert len(talk.messages) == 2


def test_the_widget_keeps_what_came_before_its_worker_was_killed(talk, ollama_server):
    page = _until_the_first_words(talk)

    for worker in _workers(ollama_server):
        os.kill(worker.pid, signal.SIGKILL)

    eventually(lambda: not talk.busy, "the end")
    assert talk.error.startswith("AnswerFailed: demo did not answer:")
    assert "SIGKILL" in talk.error
    assert len(talk.messages[-1]["content"]) > 0
    below = f"<p><em>(broke off)</em></p>\n<p><strong>{talk.error}</strong></p>\n"
    assert html.unescape(page.turns[-1]["html"]).endswith(below)
    talk.send("And then?")
    eventually(lambda: _has_words(page), "the next answer")


def test_a_message_that_is_too_long_is_told_in_a_sentence(ollama_server):
    ollama_nb.connect(ollama_server.url)

    with pytest.raises(AnswerFailed, match=r"^demo did not answer: [^{}]* exceeds [^{}]*$"):
        ollama_nb.chat("word " * 3000, model="demo", options={"num_ctx": 128})


def test_a_server_is_started_for_the_user_and_shared(monkeypatch, tmp_path):
    monkeypatch.setattr(places, "DEFAULT_PORT", 9)
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "models"))

    answer = ollama_nb.generate("Hello", model="demo", options={"num_predict": 5})

    facts = places._read_json(tmp_path / "runtime" / places.RUNTIME_FILE)
    assert len(answer) > 0
    assert httpx.get(f"{facts['url']}/api/tags").status_code in (401, 403)
    psutil.Process(facts["pid"]).terminate()
    psutil.Process(facts["pid"]).wait(20)


def test_vectors_of_the_bundled_model_are_float32(ollama_server):
    ollama_nb.connect(ollama_server.url)

    frame = ollama_nb.embed(["a cat"], model="demo")

    assert frame.dtypes.unique().tolist() == [np.dtype("float32")]
    assert current().url == ollama_server.url


def test_a_model_goes_to_a_registry_and_comes_back(real, stock):
    name = f"{stock}/me/brief:v1"
    real.run(f"%%modelfile {name}\nFROM demo\nSYSTEM One sentence.\nPARAMETER temperature 0")

    pushed = real.run(f"%ollama push {name} --insecure", watched=True)
    assert real.run(f"%ollama rm {name}").status == "ok"
    pulled = real.run(f"%ollama pull {name} --insecure", watched=True)

    assert pushed.text.splitlines()[-1] == f"{name} is pushed"
    assert pulled.text.splitlines()[-1] == f"{name} is pulled"
    assert any("MB, 100 %" in line for line in pulled.text.splitlines())
    assert real.run(f"show({name!r}).system").result == "'One sentence.'"
    assert real.run(f"%generate -m {name} -o num_predict=3 Hi").status == "ok"


def test_a_pull_that_fails_is_one_line(real, stock):
    run = real.run(f"%ollama pull {stock}/me/no-such --insecure")

    assert "pull model manifest: file does not exist" in run.error["evalue"]
    assert len(run.error["traceback"]) == 1
