"""Variables in the prompts of magics, what the functions make of them, and `--dry-run`."""

from __future__ import annotations

import base64

import pytest
from PIL import Image

import ollama_nb
from ollama_nb.asking.chatting import Conversation, chat_request
from ollama_nb.asking.dry_run import dry_run
from ollama_nb.asking.generating import generate_request
from ollama_nb.errors import BadTemplate

PICTURE = Image.new("RGB", (2, 2), "red")


@pytest.fixture(scope="module")
def notebook(cells):
    cells.run("import pandas as pd; from PIL import Image; df = pd.DataFrame({'a': [1, 2]})")
    cells.run("name = 'Anna'; picture = Image.new('RGB', (2, 2))")
    return cells


TABLE = "| a |\n| --- |\n| 1 |"
ASKED = [
    ("%%generate\nWhat is\n{{ df.head(1) }}", {"prompt": f"What is\n{TABLE}"}),
    ("%generate {{ name }} of {x}", {"prompt": "Anna of {x}"}),
    ("%generate --literal {{ name }}", {"prompt": "{{ name }}"}),
    ("%generate --literal --system '{{ name }}' x", {"system": "{{ name }}"}),
    ("%generate --system 'You are {{ name }}.' hello", {"system": "You are Anna."}),
    ("%generate --fill [GAP] {{ name }} [GAP] {{ name }}", {"prompt": "Anna ", "suffix": " Anna"}),
    ("%%bench -n 1 -m other\n{{ name }}", {"prompt": "Anna"}),
    ("%%compare -m other\n{{ name }}", {"prompt": "Anna"}),
]


@pytest.mark.parametrize(("code", "sent"), ASKED)
def test_magics_put_variables_into_prompts(notebook, other_for_cells, code, sent):
    assert notebook.run(code).status == "ok"

    body = other_for_cells.requests[-1]
    assert {name: body.get(name) for name in sent} == sent


def test_chats_put_variables_and_pictures_into_messages(notebook, other_for_cells):
    notebook.run("%%chat --reset --system '{{ name }}'\nWhat is {{ picture }}, {{ name }}?")
    system, asked = other_for_cells.requests[-1]["messages"]
    notebook.run("%chat and now?")
    again = other_for_cells.requests[-1]["messages"][0]

    assert (system["content"], asked["content"]) == ("Anna", "What is [image 1], Anna?")
    assert base64.b64decode(asked["images"][0]).startswith(b"\x89PNG")
    assert again == asked


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("%generate {{ nam }}", "did you mean 'name'"),
        ("%generate {{ nam }}", "or give --literal"),
        ("%generate {{ df.hed() }}", "did you mean 'head'"),
        ("%generate --system '{{ picture }}' x", "--system has pictures"),
        ("%chat --reset --dry-run", "--reset without it"),
    ],
)
def test_mistakes_are_one_line_and_ask_nothing(notebook, other_for_cells, code, sentence):
    before = len(other_for_cells.requests)
    run = notebook.run(code)

    assert sentence in run.error["evalue"]
    assert len(run.error["traceback"]) == 1
    assert len(other_for_cells.requests) == before


def test_a_variable_in_single_braces_is_told(notebook):
    def told(code):
        return "".join(content["text"] for content in notebook.run(code).contents("stream"))

    assert "{name} was sent as it is; the variable is written {{ name }}" in told(
        "%generate x {name}"
    )
    assert "was sent" not in told("%generate {nobody} {In} and {{ name }}")


def test_plain_texts_are_no_templates_and_rendered_ones_are(connected):
    ollama_nb.generate("{{ x }}")
    assert connected.requests[-1]["prompt"] == "{{ x }}"

    rendered = ollama_nb.render("{{ x }} {{ p }}", {"x": 3}, p=PICTURE)
    ollama_nb.generate(rendered, system=ollama_nb.render("S{{ x }}", x=1))
    body = connected.requests[-1]
    assert (body["prompt"], body["system"], len(body["images"])) == ("3 [image 1]", "S1", 1)

    talk = Conversation()
    answer = talk.say(rendered)
    assert connected.requests[-1]["messages"][0]["images"] == body["images"]
    assert (talk.turns[0].question, answer.prompt) == ("3 [image 1]", "3 [image 1]")
    with pytest.raises(BadTemplate, match="the system text has pictures"):
        ollama_nb.chat("x", system=rendered)


@pytest.fixture(scope="module")
def ours(start_server):
    return start_server()


def test_a_dry_run_tells_the_prompt_its_tokens_and_its_share(ours):
    ollama_nb.connect(ours.url)
    asked = {"prompt": "Tell a story.", "system": "You are Anna."}
    options = {"num_predict": 1, "num_ctx": 512}

    told = dry_run(
        generate_request(asked["prompt"], model="demo", system=asked["system"], options=options)
    )

    answer = ollama_nb.generate(**asked, model="demo", options=options)
    assert told.is_whole
    assert asked["system"] in told.prompt
    assert told.prompt.index(asked["system"]) < told.prompt.index(asked["prompt"])
    assert told.tokens == answer.stats.prompt_tokens
    assert told.context == 512
    assert f"{told.tokens} tokens, {told.tokens / 512:.1%} of a context of 512" in repr(told)


def test_a_dry_run_of_a_chat_has_all_turns(ours):
    ollama_nb.connect(ours.url)
    turns = ["One.", {"role": "assistant", "content": "Two."}, "Three."]

    told = dry_run(chat_request(turns, model="demo"))

    answer = ollama_nb.chat(turns, model="demo", options={"num_predict": 1})
    assert told.tokens == answer.stats.prompt_tokens
    assert told.prompt.index("One.") < told.prompt.index("Two.") < told.prompt.index("Three.")


def test_a_dry_run_says_what_a_server_does_not_tell(connected):
    told = dry_run(generate_request(ollama_nb.render("together {{ p }}", p=PICTURE), model="other"))

    assert (told.tokens, told.context, told.is_whole) == (None, None, False)
    assert repr(told).splitlines()[0] == "together [image 1]"
    for sentence in (
        "does not count tokens",
        "the pictures take is not counted",
        "without the model's template",
    ):
        assert sentence in repr(told)


def test_a_dry_run_leaves_the_conversation_as_it_is(notebook, other_for_cells):
    notebook.run("%chat --reset together one", cell_id="first")
    told = notebook.run("%chat --dry-run together two -> told", cell_id="second")
    sent = other_for_cells.requests[-2]["messages"]  # behind it, tokens were asked for
    notebook.run("%chat --dry-run together one", cell_id="first")
    again = other_for_cells.requests[-2]["messages"]
    notebook.run("%chat together three", cell_id="third")

    assert told.status == "ok"
    assert notebook.run("type(told).__name__").result == "'DryRun'"
    assert [one["content"] for one in sent][::2] == ["together one", "together two"]
    assert [one["content"] for one in again] == ["together one"]
    assert [one["content"] for one in other_for_cells.requests[-1]["messages"]][::2] == [
        "together one",
        "together three",
    ]


def test_a_traceback_of_a_cell_is_the_users_alone(notebook, other_for_cells):
    notebook.run("1 / 0")  # the shell itself catches this one
    notebook.run("import sys; failure = sys.last_value")
    notebook.run("%generate {{ failure }}")

    sent = other_for_cells.requests[-1]["prompt"]
    assert "ZeroDivisionError" in sent
    assert "interactiveshell" not in sent
