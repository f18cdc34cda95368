"""A chat in a real kernel: what the cell that displayed it keeps, whoever runs by then."""

from __future__ import annotations

import time
import uuid
from queue import Empty

import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, MarkdownExporter
from nbformat.v4 import new_code_cell, new_notebook

from ollama_nb.widgets.transcript import GONE

VIEW = "application/vnd.jupyter.widget-view+json"
TEXTS = ["text/html", "text/markdown", "text/plain"]
DEADLINE_S = 30.0


@pytest.fixture
def shown(cells):
    """A chat that a cell has displayed, and the messages of that cell."""
    run = cells.run("import ollama_nb; talk = ollama_nb.Chat('other'); talk", watched=True)
    yield run
    cells.run("talk.reset(); talk.close()")


def _tell(cells, run, **message):
    """Send what a page sends to the chat."""
    comm = run.saved[-1][VIEW]["model_id"]
    data = {"method": "custom", "content": {"id": str(uuid.uuid4()), **message}}
    sent = cells.client.session.msg("comm_msg", {"comm_id": comm, "data": data})
    cells.client.shell_channel.send(sent)


def _heard(cells, wanted):
    """Wait for a message that is wanted."""
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        try:
            message = cells.client.get_iopub_msg(timeout=0.2)
        except Empty:
            continue
        cells._check(message)
        if wanted(message):
            return message
    raise AssertionError("not heard")


def _is_turn(message):
    content = message["content"]
    return message["msg_type"] == "display_data" and "You: " in content["data"]["text/plain"]


def test_the_cell_has_a_line_for_later_and_the_widget(shown):
    line, widget = shown.saved

    assert sorted(line) == TEXTS
    assert line["text/plain"] == GONE
    assert widget.keys() == {VIEW, "text/html", "text/plain"}
    assert widget["text/html"] == widget["text/plain"] == ""


def test_a_turn_becomes_an_output_of_the_cell_though_a_click_asked(cells, shown):
    _tell(cells, shown, type="ask", text="one two")

    turn = _heard(cells, _is_turn)

    displayed = shown.messages[-1]["parent_header"]["msg_id"]
    assert turn["parent_header"]["msg_id"] == displayed
    assert sorted(turn["content"]["data"]) == TEXTS
    assert turn["content"]["data"]["text/plain"] == "You: one two\nother: one two "
    assert turn["content"]["metadata"]["ollama_nb"]["turn"] == 0


def test_it_goes_on_while_other_cells_run_and_belongs_to_its_own(cells, shown):
    _tell(cells, shown, type="ask", text="slowly one two three")
    cells.client.execute("1 + 1")

    turn = _heard(cells, _is_turn)

    assert turn["parent_header"]["msg_id"] == shown.messages[-1]["parent_header"]["msg_id"]


def test_displayed_again_it_shows_all_turns(cells, shown):
    _tell(cells, shown, type="ask", text="one")
    _heard(cells, _is_turn)
    cells.run("talk._thread.join()")

    again = cells.run("talk", watched=True)

    assert [VIEW in data for data in again.saved] == [False, True, False]
    assert again.saved[-1]["text/plain"] == "You: one\nother: one "


def test_what_is_forgotten_leaves_the_cell(cells, shown):
    _tell(cells, shown, type="ask", text="one")
    turn = _heard(cells, _is_turn)
    cells.run("talk._thread.join()")

    cells.client.execute("talk.reset()")

    update = _heard(cells, lambda message: message["msg_type"] == "update_display_data")
    assert update["content"]["transient"] == turn["content"]["transient"]
    assert update["content"]["data"]["text/plain"] == ""


def test_all_of_a_notebook_that_was_executed_can_be_read(other_for_cells):
    code = (
        "import ollama_nb, time\n"
        f"ollama_nb.connect({other_for_cells.url!r})\n"
        "talk = ollama_nb.Chat()\n"
        "display(talk)\n"
        "talk.send('<b>' 'one' '</b>')\n"
        "talk._thread.join()"
    )
    notebook = new_notebook(cells=[new_code_cell(code)])

    NotebookClient(notebook, timeout=60, store_widget_state=False).execute()

    for exporter in (HTMLExporter(), MarkdownExporter()):
        page, _ = exporter.from_notebook_node(notebook)
        assert page.count(GONE) == 1
        assert page.count("&lt;b&gt;one&lt;/b&gt;") == 2
