"""Pull and push against a foreign server; in cells they are seen and stopped."""

from __future__ import annotations

import pytest
from cells import eventually
from other_ollama import OtherOllama

import ollama_nb
from ollama_nb.connection.current import current
from ollama_nb.errors import ModelNotFound, NotDone, NotText, ServerWentAway

LAST = "pulling aaaaaaaaaaaa: 40.0 MB, 100 %\npulling bbbbbbbbbbbb: 1.2 kB, 100 %\n{} is pulled"


def test_a_pulled_model_is_there(connected, capsys):
    ollama_nb.pull("tiny:1b")

    assert "tiny:1b" in ollama_nb.models().index
    assert capsys.readouterr().out == LAST.format("tiny:1b") + "\n"


def test_pull_says_whether_the_registry_is_insecure(connected):
    ollama_nb.pull("one", show=False)
    ollama_nb.pull("two", insecure=True, show=False)

    assert [body["insecure"] for body in connected.requests[-2:]] == [False, True]


def test_what_is_not_to_be_shown_is_not(connected, capsys):
    ollama_nb.pull("tiny", show=False)

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("nope", NotDone, "pulling nope failed: pull model manifest: file does not exist"),
        ("broken", NotDone, "no space left on device"),
        ("cut", NotDone, "the server ended before it had succeeded"),
        ("vanish", ServerWentAway, "the connection to"),
    ],
)
def test_a_pull_that_fails_says_why(connected, name, error, words):
    with pytest.raises(error, match=words):
        ollama_nb.pull(name, show=False)


def test_a_failed_pull_leaves_how_far_it_came(connected, capsys):
    with pytest.raises(NotDone):
        ollama_nb.pull("broken")

    assert "broken is pulled" not in capsys.readouterr().out


def test_push_sends_every_layer(connected, capsys):
    ollama_nb.push("other:latest")

    assert capsys.readouterr().out.splitlines()[-1] == "other:latest is pushed"


def test_only_what_is_there_can_be_pushed(connected):
    with pytest.raises(ModelNotFound, match="other:latest"):
        ollama_nb.push("nobody/nothing")


def test_a_name_must_be_text(connected):
    with pytest.raises(NotText, match="the name of the model"):
        ollama_nb.pull(None)


def test_a_server_that_was_replaced_is_found_again(other, monkeypatch):
    first = OtherOllama()
    monkeypatch.setenv("OLLAMA_HOST", first.url)
    assert ollama_nb.models().index.tolist() == ["other:latest"]
    first.stop()
    current().close()  # as the end of its process would
    monkeypatch.setenv("OLLAMA_HOST", other.url)

    ollama_nb.pull("tiny", show=False)

    assert "tiny" in other.models


def test_a_program_gets_one_display_of_text(cells):
    run = cells.run("%ollama pull program")

    assert run.first_displays == [{"text/plain": LAST.format("program")}]
    assert run.updates == []


def test_a_person_sees_bars_grow_and_text_stays(cells):
    run = cells.run("%ollama pull slow:one", watched=True)

    assert len(run.first_displays) == 1
    assert any("width:50.0%" in data.get("text/html", "") for data in run.updates)
    assert run.saved == [{"text/plain": LAST.format("slow:one")}]
    assert len(run.updates) <= 15 * run.seconds + 2


def _interrupt_at(cells, words):
    """Interrupt once, at the first message that shows the words."""
    due = iter([cells.interrupt])

    def on_message(message):
        if words in str(message["content"].get("data", {}).get("text/plain", "")):
            next(due, lambda: None)()

    return on_message


def test_ctrl_c_stops_the_server_and_pulling_again_goes_on(cells, other_for_cells):
    other_for_cells.left_early.clear()

    run = cells.run(
        "%ollama pull slow:two", watched=True, on_message=_interrupt_at(cells, "4.0 MB of")
    )

    assert run.error["ename"] == "TransferStopped"
    assert run.error["evalue"].startswith("pulling slow:two was stopped at ")
    assert run.error["evalue"].endswith("pulling it again goes on from there")
    assert len(run.error["traceback"]) == 1
    assert run.text.startswith("pulling aaaaaaaaaaaa: ")
    assert "pulled" not in run.text
    eventually(other_for_cells.left_early.is_set, "the server notices")
    again = cells.run("%ollama pull slow:two", watched=True)
    from_zero, from_there = other_for_cells.store.begun_at["slow:two aaaaaaaaaaaa"]
    assert from_zero == 0 < 4_000_000 <= from_there < 40_000_000
    assert again.text.endswith("slow:two is pulled")


def test_a_stopped_push_says_that_nothing_is_sent_twice(cells):
    cells.run("%ollama cp other slow:three")

    run = cells.run(
        "%ollama push slow:three", watched=True, on_message=_interrupt_at(cells, "2.0 MB of")
    )

    assert run.error["ename"] == "TransferStopped"
    assert "not sent again" in run.error["evalue"]


def test_an_error_before_the_first_layer_leaves_no_waiting_line(cells):
    run = cells.run("%ollama pull nope", watched=True)

    assert run.error["traceback"] == [f"NotDone: {run.error['evalue']}"]
    assert run.text == ""


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("%ollama pull", "takes the name of one model"),
        ("%ollama pull a b", "takes the name of one model"),
        ("%ollama list a", "takes no name"),
        ("%ollama ps --insecure", "has no option --insecure"),
        ("%ollama pull x --from y", "has no option --from"),
        ("%ollama rm", "names of one or more models"),
        ("%ollama cp a", "a second name"),
        ("%ollama create x", "-f MODELFILE or --from WHAT"),
        ("%ollama create x -f a --from b", "not both"),
        ("%ollama show other --system --license", "one text at a time"),
    ],
)
def test_what_a_subcommand_does_not_take_is_refused(cells, code, words):
    run = cells.run(code)

    assert run.error["ename"] == "MagicUsage"
    assert words in run.error["evalue"]
    assert len(run.error["traceback"]) == 1


def test_models_are_copied_and_removed(cells):
    assert cells.run("%ollama cp other twin").stdout == "other is also called twin\n"
    assert cells.run("%ollama rm twin").stdout == "twin is removed\n"
    assert cells.run("%ollama rm twin").error["ename"] == "ModelNotFound"
