"""Thoughts, pictures and calls of tools in a real kernel, as a person and as a program see them."""

from __future__ import annotations

import base64

import pytest
import vision_models
from cells import Cells, eventually, kernel_environ
from test_rounds import DOUBLE_3, SAYS_6, assert_whole, calls

THINKER = (
    "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}"
    "<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n<think>"
)
CALLER = (
    "{{ range .Tools }}{{ .Function }}{{ end }}{{ range .Messages }}<|im_start|>{{ .Role }}\n"
    "{{ .Content }}{{ range .ToolCalls }}<tool_call>\n"
    '{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}\n'
    "</tool_call>{{ end }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
)
SETUP = """
import asyncio, time, ollama_nb
from ollama_nb import chat, generate
import numpy as np
from matplotlib.figure import Figure
fig = Figure(figsize=(8, 4))
fig.add_subplot().plot([1, 3, 2])
number, ended = 3, []
def double(n: int) -> int:
    print("doubling", n)
    return 2 * n
def slow() -> None:
    print("begun", flush=True)
    time.sleep(60)
async def forever() -> None:
    print("begun", flush=True)
    try:
        await asyncio.sleep(60)
    finally:
        ended.append("forever")
async def later(n: int) -> int:
    await asyncio.sleep(0)
    return 2 * n
"""


@pytest.fixture(scope="module")
def prepared(cells):
    assert cells.run(SETUP).status == "ok"
    return cells


@pytest.fixture(scope="module")
def real(ollama_server, tmp_path_factory):
    """A kernel whose server is ours, with a model that thinks and one that may call tools."""
    kernel = Cells(kernel_environ(ollama_server.url, tmp_path_factory.mktemp("home")))
    for name, template in (("thinker", THINKER), ("caller", CALLER)):
        made = kernel.run(f'%%modelfile {name}\nFROM demo\nTEMPLATE """{template}"""')
        assert made.status == "ok", made.messages
    assert kernel.run(SETUP).status == "ok"
    yield kernel
    kernel.close()


# --- thoughts -------------------------------------------------------------------------------------

THINK = "%%generate -m thinker -t 0 -o num_predict=40 {} -> a\nTell me a story about a fox."
# 1,425 tokens, for several updates, of which there are at most 15 a second; any token is as likely.
LONG_THOUGHT = "%%generate -m thinker --think -t 5 -o top_k=0 -o top_p=1 -o seed=5 -o num_predict=1500 -> a\nA fox."


def test_a_thought_streams_and_is_folded_in_the_end(real):
    run = real.run(LONG_THOUGHT, watched=True)

    passing = [data["text/plain"] for data in [*run.first_displays, *run.updates]]
    assert any("thinking, " in text and "```" in text for text in passing)
    (saved,) = run.saved
    assert saved["text/markdown"].startswith("<details><summary>thought (")
    assert saved["text/plain"].startswith("thought (")
    assert real.run("len(a.thinking) > 0, str(a)").result == "(True, '')"


def test_a_program_sees_the_same_at_once(real):
    (saved,) = real.run(THINK.format("--think")).first_displays

    assert saved == real.run(THINK.format("--think"), watched=True).saved[0]


def test_without_thinking_nothing_is_folded(real):
    assert "<details>" not in real.run(THINK.format("--think=off")).saved[0]["text/markdown"]
    assert real.run("(a.thinking, len(a) > 0)").result == "('', True)"


def test_a_model_that_cannot_think_says_so(real):
    run = real.run("%generate -m demo --think hello")

    assert "does not support thinking" in run.error["evalue"]
    assert len(run.error["traceback"]) == 1


@pytest.mark.parametrize(
    ("words", "think"),
    [
        ("--think", True),
        ("--think=on", True),
        ("--think=off", False),
        ("--think=medium", "medium"),
        ("--think=0", True),
        ("-t 0 --think --system x", True),
        ("", None),
    ],
)
def test_what_think_sends(prepared, other_for_cells, words, think):
    for line in (f"%generate {words} Why?", f"%%chat {words}\nWhy?"):
        prepared.run(line)

    generated, chatted = other_for_cells.requests[-2:]
    assert (generated.get("think"), chatted.get("think")) == (think, think)
    assert generated["prompt"] == chatted["messages"][-1]["content"] == "Why?"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "--think=hard Why?",
            "--think takes on, off, low, medium, high, max, or a number of tokens",
        ),
        ("--think=-1 Why?", "not '-1'"),
        ("--think 200 Why?", "write --think=200 without a blank"),
        ("--think low Why?", "a text that begins with 'low' goes behind --, as in --think -- low"),
        ("--image nowhere Why?", "no variable and no file of that name"),
        ("--image number Why?", "number is int, which is no picture"),
        ("--image", "expected one argument"),
    ],
)
def test_a_mistake_is_one_line(prepared, other_for_cells, line, words):
    asked = len(other_for_cells.requests)

    for magic in ("%generate", "%chat"):
        run = prepared.run(f"{magic} {line}")
        assert words in run.error["evalue"]
        assert len(run.error["traceback"]) == 1
    assert len(other_for_cells.requests) == asked


def test_a_text_may_begin_as_a_level(prepared, other_for_cells):
    prepared.run("%generate --think -- low tide is when?")

    body = other_for_cells.requests[-1]
    assert (body["prompt"], body["think"]) == ("low tide is when?", True)


def test_a_budget_at_another_server_is_a_warning_below_the_cell(prepared):
    run = prepared.run("%generate --think=20 Why?")

    (said,) = [one["text"] for one in run.contents("stream") if one["name"] == "stderr"]
    assert "think_budget=20 had no effect" in said


def test_our_own_server_keeps_to_a_budget(real):
    line = "%generate -m thinker -t 0 -o num_predict=120 {} -> a"
    story = "Please write me a story about a tiny robot who plants a sunflower in the garden."

    real.run(f"%{line.format('--think')}\n{story}")
    assert real.run("str(a)").result == "''"  # it thinks to its end
    run = real.run(f"%{line.format('--think=30')}\n{story}")

    assert run.contents("stream") == []
    assert real.run("(0 < len(a.thinking.split()) <= 30, len(a) > 0)").result == "(True, True)"


# --- pictures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("watched", [True, False])
def test_what_is_sent_is_shown_small_above_the_answer(prepared, other_for_cells, watched):
    run = prepared.run("%%generate --image fig --image fig\nWhat is it?", watched=watched)

    first, second, answer = run.saved
    sent = other_for_cells.requests[-1]["images"]
    assert first == second
    assert len(first["image/png"]) < len(sent[0])
    assert first["text/plain"].startswith("fig: PNG, ")
    assert answer["text/plain"] == "What is it? "
    assert base64.b64decode(sent[0]).startswith(b"\x89PNG")


def test_a_chat_shows_each_picture_once_and_sends_it_again(prepared, other_for_cells):
    prepared.run("%chat --reset")
    first = prepared.run("%chat --image fig What is it?")
    second = prepared.run("%chat And now?")

    assert [len(run.saved) for run in (first, second)] == [2, 1]
    assert len(other_for_cells.requests[-1]["messages"][0]["images"]) == 1


def test_a_model_that_cannot_see_says_so(real):
    run = real.run("%generate -m demo --image fig What is it?")

    assert run.error["ename"] == "AnswerFailed"
    assert len(run.error["traceback"]) == 1
    assert real.run("%generate -m demo -o num_predict=3 Hello").status == "ok"


def test_a_model_that_sees_reads_the_picture(real, models_dir):
    model, projector = vision_models.written(models_dir, vision_models.FAMILIES[0])
    made = real.run(f"%%modelfile eye\nFROM {model}\nFROM {projector}\nPARAMETER num_predict 4")
    assert made.status == "ok", made.messages

    real.run("%generate -m eye -t 0 What is it? -> blind")
    seen = real.run("%generate -m eye -t 0 --image fig What is it? -> seeing", watched=True)
    array = real.run("%chat -m eye -t 0 --image np.zeros What is it?")

    assert real.run("'vision' in ollama_nb.show('eye').capabilities").result == "True"
    assert seen.status == "ok", seen.messages
    assert "image/png" in seen.saved[0]
    more = "seeing.stats.prompt_tokens - blind.stats.prompt_tokens > 10"
    assert real.run(more).result == "True"
    assert array.error["ename"] == "NotAPicture"
    assert real.run("str(chat('What?', model='eye', images=[np.zeros((40, 60))]))").status == "ok"


@pytest.mark.parametrize(
    ("typed", "proposed"),
    [
        ("%generate --image fi", ["%generate --image fig"]),
        ("%%chat -t 0 --image fi", ["%%chat -t 0 --image fig"]),
        ("%generate --im", ["%generate --image"]),
        ("%chat --thi", ["%chat --think"]),
    ],
)
def test_words_and_variables_are_completed(prepared, typed, proposed):
    assert prepared.complete(typed) == proposed


def test_paths_of_pictures_are_completed(prepared, tmp_path):
    for name in ("a.png", "b.txt", "c.JPEG"):
        (tmp_path / name).touch()

    typed = f"%generate --image {tmp_path}/"

    assert prepared.complete(typed) == [f"{typed}a.png", f"{typed}c.JPEG"]


def test_the_manual_tells_of_them(prepared):
    manual = prepared.run("print(get_ipython().find_line_magic('generate').__doc__)").stdout

    for words in ("--image WHAT", "--think [N]", "--think=200 ends", "matplotlib figure"):
        assert words in manual


# --- calls ----------------------------------------------------------------------------------------

CHAT = "a = chat('What is twice 3?', tools=[double, later, slow, forever]{})"


def test_a_person_is_asked_sees_the_call_and_what_came_of_it(prepared, other_for_cells):
    other_for_cells.script = [DOUBLE_3, SAYS_6]

    run = prepared.run(CHAT.format(""), watched=True, typed=["y"])

    assert run.status == "ok", run.messages
    assert run.questions == ["Run double(n=3)? [y]es, [n]o, [a]ll calls of this answer: "]
    shown = [data["text/plain"] for data in [*run.first_displays, *run.updates]]
    assert "call double(n=3)" in shown
    assert [data["text/plain"] for data in run.saved] == ["call double(n=3) -> 6", "It is 6."]
    assert run.stdout == "doubling 3\n"


def test_an_unwanted_call_is_not_run(prepared, other_for_cells):
    other_for_cells.script = [DOUBLE_3, SAYS_6]

    run = prepared.run(CHAT.format(""), watched=True, typed=["n"])

    assert "doubling" not in run.stdout
    assert "did not allow this call" in run.saved[0]["text/plain"]


def test_in_a_program_an_unasked_call_is_refused_in_one_sentence(prepared, other_for_cells):
    other_for_cells.script = [DOUBLE_3]

    run = prepared.run(CHAT.format(""))

    assert run.error["ename"] == "NobodyToAsk"
    assert "confirm=False runs calls unasked" in run.error["evalue"]
    assert "doubling" not in run.stdout


def test_a_program_may_run_calls_unasked(prepared, other_for_cells):
    other_for_cells.script = [calls(("double", {"n": 3}), ("later", {"n": 4})), SAYS_6]

    run = prepared.run(CHAT.format(", confirm=False"))

    assert [data["text/plain"] for data in run.first_displays] == [
        "call double(n=3) -> 6\n\ncall later(n=4) -> 8",
        "It is 6.",
    ]
    assert run.updates == []
    assert prepared.run("[call.result for call in a.tool_calls]").result == "[6, 8]"


def test_the_answer_is_shown_once_and_later_with_its_calls(prepared, other_for_cells):
    other_for_cells.script = [DOUBLE_3, SAYS_6]
    code = CHAT.removeprefix("a = ").format(", confirm=False")

    run = prepared.run(code)

    assert run.contents("execute_result") == []
    (content,) = prepared.run("_").contents("execute_result")
    assert content["data"]["text/markdown"] == "call `double(n=3)` → `6`\n\nIt is 6."


@pytest.mark.parametrize("tool", ["slow", "forever"])
def test_ctrl_c_stops_a_tool_and_keeps_the_conversation(prepared, other_for_cells, tool):
    other_for_cells.script = [DOUBLE_3, calls((tool, {}))]
    due = iter([prepared.interrupt])

    def interrupt(message):
        if "begun" in message["content"].get("text", ""):
            next(due, lambda: None)()

    code = f"try:\n    {CHAT.format(', confirm=False')}\nexcept ollama_nb.Interrupted as stop:\n    a = stop.answer"
    run = prepared.run(code, on_message=interrupt)

    assert run.status == "ok", run.messages
    assert run.seconds < 30
    kept = eval(prepared.run("list(a.messages)").result)
    assert_whole(kept)
    assert "the user stopped this call" in kept[-1]["content"]
    assert prepared.run("[call.result for call in a.tool_calls]").result == "[6, None]"
    assert ("forever" in prepared.run("ended").result) is (tool == "forever")


def test_ctrl_c_in_a_later_round_keeps_the_conversation(prepared, other_for_cells):
    words = [{"content": f"w{number} "} for number in range(300)]
    other_for_cells.script = [DOUBLE_3, words]
    other_for_cells.pause_s = 0.05
    other_for_cells.left_early.clear()
    due = iter([prepared.interrupt])

    def interrupt(message):
        if "w1" in str(message["content"].get("data", {}).get("text/plain", "")):
            next(due, lambda: None)()

    code = f"try:\n    {CHAT.format(', confirm=False')}\nexcept ollama_nb.Interrupted as stop:\n    a = stop.answer"
    run = prepared.run(code, watched=True, on_message=interrupt)
    other_for_cells.pause_s = 0.0

    assert run.status == "ok", run.messages
    eventually(other_for_cells.left_early.is_set, "the server notices")
    kept = eval(prepared.run("list(a.messages)").result)
    assert_whole(kept)
    assert kept[-1]["content"].startswith("w0 w1 ")
    assert prepared.run("a.tool_calls[0].result").result == "6"


# --- calls of a real model, which our server's grammar binds -----------------------------------------

BOUND = """
from typing import Literal
ran = []
def temperature(city: Literal["Rome"], days: Literal[3]) -> dict:
    "Look up how warm it is."
    ran.append((city, days))
    return {"celsius": 26.5}
def other(n: int) -> int:
    "Do something else."
how = dict(model="caller", temperature=0, options={"num_predict": 60}, confirm=False)
"""


def test_a_real_model_calls_what_it_must_and_then_answers(real):
    assert real.run(BOUND).status == "ok"

    run = real.run(
        "a = chat('How warm is it?', tools=[other, temperature], tool_choice=temperature, **how)",
        watched=True,
    )

    assert run.status == "ok", run.messages
    call = """call temperature(city='Rome', days=3) -> {"celsius":26.5}"""
    assert run.saved[0]["text/plain"].endswith(call)
    assert real.run("(ran, len(a.tool_calls[0].id) > 0, len(a) > 0)").result == (
        "([('Rome', 3)], True, True)"
    )
    roles = "[message['role'] for message in a.messages]"
    assert real.run(roles).result == "['user', 'assistant', 'tool', 'assistant']"
    assert real.run("chat([*a.messages, 'And now?'], **how).messages[-1]['role']").result == (
        "'assistant'"
    )


def test_a_real_model_s_call_of_a_definition_is_returned(real):
    assert real.run(BOUND).status == "ok"
    definition = (
        "{'type': 'function', 'function': {'name': 'pick', 'parameters': {'type': 'object', "
        "'properties': {'one': {'type': 'string', 'enum': ['it']}}, 'required': ['one']}}}"
    )

    run = real.run(f"a = chat('Pick.', tools=[{definition}], tool_choice='required', **how)")

    assert run.status == "ok", run.messages
    assert run.text.endswith("call pick(one='it')")
    assert real.run("[(c.name, c.arguments, c.done) for c in a.tool_calls]").result == (
        "[('pick', {'one': 'it'}, False)]"
    )


def test_a_model_without_tools_says_so(real):
    run = real.run("chat('Hi', model='demo', tools=[double], confirm=False)")

    assert "does not support tools" in run.error["evalue"]
