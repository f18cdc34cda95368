from __future__ import annotations

import pytest
from cells import eventually


def test_a_program_gets_one_display_and_no_update(cells):
    run = cells.run("%%generate\none two three")

    assert run.status == "ok"
    assert run.text == "one two three "
    assert len(run.first_displays) == 1
    assert run.updates == []


@pytest.mark.parametrize("watched", [True, False])
def test_the_answer_is_html_markdown_and_plain_text(cells, watched):
    data = cells.run("%generate **bold** <b onclick=go()>", watched=watched).saved[-1]

    assert data == {
        "text/html": "<p><strong>bold</strong> &lt;b onclick=go()&gt;</p>\n",
        "text/markdown": "**bold** <b onclick=go()> ",
        "text/plain": "**bold** <b onclick=go()> ",
    }


def test_a_person_sees_it_grow_in_one_output_that_ends_with_the_final_text(cells):
    run = cells.run("%%generate\nslowly one two three four five", watched=True)

    assert len(run.first_displays) == 1
    assert "waiting for the first word" in run.first_displays[0]["text/plain"]
    assert "slowly one " in [data["text/plain"] for data in run.updates]
    assert run.text == "slowly one two three four five "


@pytest.mark.parametrize(
    "code",
    [
        "from IPython.display import clear_output; clear_output(wait=True)",
        "from IPython.display import display; [display(n, display_id='same') for n in (1, 2)]; None",
        "from IPython.display import update_display; update_display(1, display_id='nobody-s')",
    ],
)
def test_the_kernel_of_the_tests_takes_no_other_message(cells, code):
    """All displays of all kernel tests are held to what every front end can show."""
    with pytest.raises(AssertionError):
        cells.run(code)

    cells.run("pass")


def test_a_setting_overrides_the_guess_of_who_watches(cells):
    cells.run("import ollama_nb; ollama_nb.settings.live = False")

    run = cells.run("%generate one", watched=True)

    cells.run("ollama_nb.settings.live = None")
    assert run.updates == []


def test_the_answer_is_shown_once_and_still_is_the_result(cells):
    run = cells.run("%generate one two")

    assert run.contents("execute_result") == []
    assert cells.run("_").result == "'one two '"
    assert cells.run("type(Out[max(Out)]).__name__, _.model").status == "ok"


def test_an_answer_shows_itself_in_a_later_cell(cells):
    cells.run("later = %generate one two")

    (content,) = cells.run("later").contents("execute_result")

    assert content["data"]["text/markdown"] == "one two "


@pytest.mark.parametrize(
    "code",
    [
        "%generate one two -> kept",
        "%generate one two ->kept",
        "%%generate -> kept\none two",
        "%%generate -m other -t 0 -o seed=7 -> kept\none two",
    ],
)
def test_the_arrow_binds_a_variable(cells, code):
    cells.run(code)

    assert cells.run("(kept, type(kept).__name__)").result == "('one two ', 'Generation')"


@pytest.mark.parametrize(
    "prompt",
    ["{'a': 1} {x!r} {{.y}}", "it's \"quoted", "$HOME costs $5", "50 % of -m", "C:\\new {!r}"],
)
def test_a_prompt_is_taken_literally(cells, other_for_cells, prompt):
    cells.run("x = 'expanded'; HOME = 'expanded'")

    cells.run(f"%generate {prompt}")
    cells.run(f"%%generate\n{prompt}")

    assert [body["prompt"] for body in other_for_cells.requests[-2:]] == [prompt, prompt]


def test_options_are_sent_typed(cells, other_for_cells):
    cells.run(
        '%%generate -m other -t 0.5 --system "Be brief." -o seed=7 -o top_p=0.5 '
        '-o stop="two words" -o stop=END -o penalize_newline=true\nhello'
    )

    body = other_for_cells.requests[-1]
    assert (body["model"], body["system"]) == ("other", "Be brief.")
    assert body["options"] == {
        "temperature": 0.5,
        "seed": 7,
        "top_p": 0.5,
        "stop": ["two words", "END"],
        "penalize_newline": True,
    }


@pytest.mark.parametrize(
    ("code", "name", "words"),
    [
        ("%generate -m nope hello", "ModelNotFound", "other:latest"),
        ("%generate --temprature 1 hello", "MagicUsage", "%generate? shows the options"),
        ("%generate -t warm hello", "MagicUsage", "invalid float"),
        ("%generate -o seed hello", "MagicUsage", "name=value"),
        ("%generate -o tempratur=0 hello", "UnknownOption", "'temperature'"),
        ("%generate", "MagicUsage", "write the prompt"),
        ("%generate hello ->", "MagicUsage", "name of a variable"),
        ("%%generate one\ntwo", "MagicUsage", "below"),
        ("%generate one break", "AnswerFailed", "the model worker was killed"),
        ("%generate one vanish", "ServerWentAway", "Run the cell again"),
        ("%ollama lst", "MagicUsage", "list, ps, show"),
        ("%ollama use", "MagicUsage", "%ollama list"),
    ],
)
def test_a_mistake_is_one_line_in_a_failed_cell(cells, code, name, words):
    run = cells.run(code)

    assert run.status == "error"
    assert run.error["ename"] == name
    assert words in run.error["evalue"]
    assert run.error["traceback"] == [f"{name}: {run.error['evalue']}"]
    assert cells.run("%generate next").text == "next "


def test_what_came_before_an_error_stays(cells):
    assert cells.run("%generate one two break").text == "one two break "


def test_an_error_before_the_first_word_leaves_no_waiting_line(cells):
    run = cells.run("%generate -m nope hello", watched=True)

    assert run.text == "*nope: no answer*"


def test_what_came_before_an_error_is_kept_under_its_name(cells):
    cells.run("%generate one two break -> kept")

    assert cells.run("(str(kept), kept.done_reason)").result == "('one two break ', 'error')"

    cells.run("%generate one three break")

    assert cells.run("str(_)").result == "'one three break '"


def test_an_error_without_a_word_is_kept_too(cells):
    cells.run("held = 'of an earlier cell'")
    cells.run("%generate -m nope hello -> held")

    assert cells.run("(str(held), held.done_reason)").result == "('', 'error')"


def _interrupting(cells, word):
    """Interrupt once, at the first message that shows the word."""
    due = iter([cells.interrupt])

    def on_message(message):
        if word in str(message["content"].get("data", {}).get("text/plain", "")):
            next(due, lambda: None)()

    return on_message


LONG = "slowly " + " ".join(f"w{number}" for number in range(300))


def test_ctrl_c_keeps_what_has_come_and_closes_the_stream(cells, other_for_cells):
    other_for_cells.left_early.clear()

    run = cells.run(
        f"%%generate -> kept\n{LONG}", watched=True, on_message=_interrupting(cells, "w2")
    )

    assert run.status == "error"
    assert run.error["ename"] == "Interrupted"
    assert "kept in kept" in run.error["evalue"]
    assert len(run.error["traceback"]) == 1
    assert run.text.startswith("slowly w0 w1 w2 ")
    assert run.seconds < 10
    eventually(other_for_cells.left_early.is_set, "the server notices")
    assert cells.run("kept.done_reason").result == "'interrupted'"
    assert cells.run("kept.startswith('slowly w0 w1')").result == "True"


def test_an_interrupted_answer_without_a_name_is_in_the_underscore(cells):
    cells.run(f"%%generate\n{LONG}", watched=True, on_message=_interrupting(cells, "w1"))

    assert cells.run("_.done_reason").result == "'interrupted'"


def test_ctrl_c_works_before_the_first_word(cells, other_for_cells):
    other_for_cells.left_early.clear()

    run = cells.run(
        "%generate hang", watched=True, on_message=_interrupting(cells, "waiting for the first")
    )

    assert run.error["ename"] == "Interrupted"
    assert "before the first word" in run.error["evalue"]
    assert run.text == "*other:latest: no answer*"
    eventually(other_for_cells.left_early.is_set, "the server notices")
    assert cells.run("%generate next").text == "next "


def test_waiting_is_shown_in_seconds(cells):
    interrupt_later = _interrupting(cells, "waiting for the first word, 1 s")

    run = cells.run("%generate hang", watched=True, on_message=interrupt_later)

    assert run.error["ename"] == "Interrupted"


def test_a_chat_remembers(cells, other_for_cells):
    cells.run("%chat --reset")
    cells.run("%chat hello")
    cells.run("%%chat -t 0\nand again")

    messages = other_for_cells.requests[-1]["messages"]
    assert [message["content"] for message in messages] == ["hello", "hello ", "and again"]


def test_running_a_chat_cell_again_does_not_say_it_twice(cells, other_for_cells):
    cells.run("%chat --reset")
    cells.run("%chat first", cell_id="a")
    cells.run("%chat second\n%chat third", cell_id="b")
    cells.run("%chat second\n%chat third", cell_id="b")

    said = [message["content"] for message in other_for_cells.requests[-1]["messages"]]
    assert said == ["first", "first ", "second", "second ", "third"]


def test_the_help_is_a_manual(cells):
    payload = cells.run("print(get_ipython().find_line_magic('generate').__doc__)").stdout

    for words in ("-m MODEL", "--temperature", "--system", "NAME=VALUE", "-> name", "seed=7"):
        assert words in payload


def test_ollama_list_is_a_frame(cells):
    assert "other:latest" in cells.run("%ollama list").result
    assert cells.run("type(_).__name__").result == "'DataFrame'"


def test_ollama_status_says_where_the_server_is(cells, other_for_cells):
    assert other_for_cells.url in cells.run("%ollama").stdout
    assert "OLLAMA_HOST" in cells.run("%ollama status").stdout
