from __future__ import annotations

import io
import threading

import pytest

from ollama_nb.display.bars import LiveBoard, NoBoard, TerminalBoard, board
from ollama_nb.display.progress import Progress
from ollama_nb.sizes import in_words

MB = 1_000_000


class Clock:
    """Seconds that pass when the test says so."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Output:
    """Records what is published."""

    def __init__(self) -> None:
        self.bundles: list[dict[str, str]] = []

    def __call__(self, bundle, _) -> int:
        self.bundles.append(bundle)
        return sum(len(text.encode()) for text in bundle.values())


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def progress(clock):
    return Progress("pulling", "pulled", "demo", clock)


@pytest.fixture
def output():
    return Output()


@pytest.fixture
def live(progress, output, clock):
    """A live board whose ticker the tests turn by hand."""
    shown = LiveBoard(progress, output, clock)
    yield shown
    shown.end()


def _step(completed: int, total: int = 10 * MB, layer: str = "aaa") -> dict[str, object]:
    return {"status": f"pulling {layer}", "total": total, "completed": completed}


@pytest.mark.parametrize(
    ("num_bytes", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (4_700_000_000, "4.7 GB"), (3e15, "3000.0 TB")],
)
def test_sizes_are_decimal(num_bytes, words):
    assert in_words(num_bytes) == words


def test_each_layer_has_a_bar_in_the_order_of_the_server(progress):
    for step in (_step(0), _step(4 * MB), _step(1000, 1000, "bbb"), _step(5 * MB)):
        progress.take(step)

    assert [(bar.title, bar.percent) for bar in progress.bars] == [
        ("pulling aaa", 50),
        ("pulling bbb", 100),
    ]


def test_a_step_without_a_total_is_a_status(progress):
    progress.take({"status": "pulling manifest"})

    assert progress.bars == []
    assert progress.reached() == "at 'pulling manifest'"


@pytest.mark.parametrize("completed", [None, 0])
def test_completed_may_be_left_out_while_it_is_zero(progress, completed):
    progress.take({"status": "pulling aaa", "total": 10, "completed": completed})

    assert progress.bars[0].percent == 0


def test_a_hundred_percent_means_all(progress):
    progress.take(_step(10 * MB - 1))

    assert progress.bars[0].percent == 99


def test_the_rate_is_that_of_the_last_seconds(progress, clock):
    for second in range(11):
        clock.now_s = float(second)
        progress.take(_step(min(second, 5) * 10_000 + max(second - 5, 0) * MB))

    assert progress.rate(progress.bars[0]) == "1.0 MB/s"


def test_a_stalled_transfer_gets_slower(progress, clock):
    progress.take(_step(0))
    clock.now_s = 1.0
    progress.take(_step(MB))
    clock.now_s = 10.0

    assert progress.rate(progress.bars[0]) == "100.0 kB/s"


def test_what_was_there_has_no_rate(progress):
    progress.take(_step(10 * MB))

    assert progress.rate(progress.bars[0]) == ""


def test_a_transfer_that_begins_anew_has_no_negative_rate(progress, clock):
    progress.take(_step(5 * MB))
    clock.now_s = 1.0
    progress.take(_step(MB))

    assert progress.rate(progress.bars[0]) == ""


def test_success_leaves_a_line_a_layer_and_one_for_the_end(progress):
    progress.take(_step(9 * MB))
    progress.take(_step(312, 312, "bbb"))
    progress.take({"status": "success"})

    progress.succeed()

    assert progress.summary() == (
        "pulling aaa: 10.0 MB, 100 %\npulling bbb: 312 B, 100 %\ndemo is pulled"
    )


def test_a_work_that_did_not_end_leaves_how_far_it_came(progress):
    progress.take(_step(4 * MB))

    assert progress.summary() == "pulling aaa: 4.0 MB of 10.0 MB, 40 %"
    assert progress.reached() == "at 4.0 MB of 10.0 MB (40 %)"


def test_a_thousand_steps_in_a_second_are_at_most_fifteen_updates(live, progress, output, clock):
    for number in range(1000):
        clock.now_s = number / 1000
        progress.take(_step(number * 10_000))
        live.update()

    assert 13 <= len(output.bundles) <= 16


def test_bars_are_html_and_text(live, progress, output):
    progress.take(_step(5 * MB, layer="<b>&"))
    live.update()

    (bundle,) = output.bundles
    assert "width:50.0%" in bundle["text/html"]
    assert "pulling &lt;b&gt;&amp;" in bundle["text/html"]
    assert "<b>" not in bundle["text/html"]
    assert " 50 %  5.0 MB of 10.0 MB" in bundle["text/plain"]


def test_waiting_is_told_in_seconds(live, progress, output, clock):
    live.open()
    progress.take({"status": "verifying sha256 digest"})
    clock.now_s = 3.0
    live.tick()

    assert output.bundles[0]["text/plain"] == "pulling demo … 0 s"
    assert output.bundles[-1]["text/plain"] == "pulling demo: verifying sha256 digest … 3 s"


def test_at_the_end_text_takes_the_place_of_the_bars(live, progress, output, clock):
    live.open()
    progress.take(_step(10 * MB))
    live.update()
    progress.succeed()
    live.close()
    clock.now_s = 9.0
    live.tick()

    assert output.bundles[-1] == {"text/plain": "pulling aaa: 10.0 MB, 100 %\ndemo is pulled"}


def test_the_ticker_ends_with_the_work(live):
    live.open()
    live.close()

    for thread in threading.enumerate():
        if thread.name == "ollama_nb-display":
            thread.join(timeout=5)
    assert "ollama_nb-display" not in [thread.name for thread in threading.enumerate()]


def test_a_file_gets_the_last_lines_only(progress):
    out = io.StringIO()
    shown = TerminalBoard(progress, out)
    progress.take(_step(MB))
    shown.update()
    progress.succeed()
    shown.close()

    assert out.getvalue() == "pulling aaa: 10.0 MB, 100 %\ndemo is pulled\n"


def test_a_terminal_s_line_is_written_over(progress, clock):
    out = Tty()
    shown = TerminalBoard(progress, out, clock)
    progress.take(_step(5 * MB))
    shown.update()
    progress.take({"status": "writing manifest"})
    clock.now_s = 1.0
    shown.update()
    progress.succeed()
    shown.close()

    first, *written_over, last = out.getvalue().split("\r")[1:]
    assert " 50 %" in first
    assert written_over[0].rstrip() == "writing manifest"
    assert len(written_over[0]) >= len(first)
    assert last.endswith("demo is pulled\n")


def test_plain_python_is_a_terminal_and_what_is_not_to_be_shown_is_not(progress):
    assert isinstance(board(progress), TerminalBoard)
    assert type(board(progress, visible=False)) is NoBoard
