"""A child process: its words, its orders, its end and the cause of that."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from ollama_nb_server.processes import Child


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes a module of some lines of Python that a child can be started with."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(text: str) -> str:
        (tmp_path / "work.py").write_text(text)
        return "work"

    return write


def end_of(child: Child) -> tuple[list[str], str]:
    """What it says, and why it ended."""
    return list(child.lines()), child.cause(child.wait())


def test_both_streams_are_told_line_by_line(module) -> None:
    text = "import sys; print('out', flush=True); print('of\\xff', file=sys.stderr); print('end')"
    child = Child(module(text))

    assert end_of(child) == (["out", "of\xff", "end"], "it exited with code 0 (end)")


def test_its_arguments_and_orders_reach_it(module) -> None:
    child = Child(module("import sys; print(sys.argv[1], input())"), ["first"], orders=b"then")

    assert end_of(child)[0] == ["first then"]


def test_without_orders_it_has_nothing_to_read(module) -> None:
    assert end_of(Child(module("import sys; print(repr(sys.stdin.read()))")))[0] == ["''"]


def test_its_stdin_stays_open_as_long_as_we_live(module) -> None:
    """So that it can wait for our end there."""
    text = "import sys; input(); print('waits', flush=True); sys.stdin.read(); print('never')"
    child = Child(module(text), orders=b"go")
    lines = child.lines()
    assert next(lines) == "waits"

    child.terminate()

    assert list(lines) == []
    assert child.cause(child.wait()) == "it was killed by SIGTERM"


def test_one_that_leaves_its_orders_unread_is_no_error(module) -> None:
    child = Child(module("raise SystemExit('no')"), orders=b"x" * 1_000_000)

    assert end_of(child) == (["no"], "it exited with code 1 (no)")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("raise SystemExit(3)", "it exited with code 3"),
        ("print('a'); print('the reason'); print(); raise SystemExit(3)", "it exited with code 3 (the reason)"),
        ("import os; os.abort()", "it was killed by SIGABRT"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "it was killed by SIGKILL, perhaps because memory ran out"),
    ],
)  # fmt: skip
def test_the_cause_is_its_code_with_its_last_words_or_a_signal(module, text, cause) -> None:
    assert end_of(Child(module(text)))[1] == cause


def test_it_may_be_out_of_reach_of_ctrl_c(module) -> None:
    text = "import os; print(os.getsid(0) == os.getpid())"

    assert end_of(Child(module(text)))[0] == ["False"]
    assert end_of(Child(module(text), own_session=True))[0] == ["True"]


def test_it_can_be_killed_at_any_time(module) -> None:
    child = Child(module("import time; print('here', flush=True); time.sleep(60)"))
    next(lines := child.lines())

    child.kill()

    assert list(lines) == []
    assert child.wait() == child.wait() == -signal.SIGKILL
    child.kill()  # it is gone: nothing happens
