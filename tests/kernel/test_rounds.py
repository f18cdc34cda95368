"""Chats with tools: rounds of calls, consent, limits, and the conversation that stays."""

from __future__ import annotations

from typing import Any

import pytest

import ollama_nb
from ollama_nb.answers.call_rendering import of_calls
from ollama_nb.answers.generation import Generation
from ollama_nb.answers.tool_call import ToolCall
from ollama_nb.display.screens import OneCell, Terminal
from ollama_nb.errors import AnswerFailed, Interrupted, ServerWarning, TooManyRounds
from ollama_nb.tools.errors import BadTool, CallRefused, NobodyToAsk, UnknownTool, WrongArguments

DEFINITION = {"type": "function", "function": {"name": "elsewhere", "parameters": {}}}


def double(n: int) -> int:
    """Double a number."""
    return 2 * n


def broken(n: int) -> int:
    """Fail."""
    raise LookupError(f"no {n} here")


def stopped() -> None:
    """Be interrupted."""
    raise KeyboardInterrupt


async def later(n: int) -> int:
    """Double it later."""
    return 2 * n


def calls(*wanted: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """A message for each call, as a server sends them: with ids, in chunks of their own."""
    return [
        {
            "tool_calls": [
                {
                    "id": f"call_{place}",
                    "function": {"index": place, "name": name, "arguments": given},
                }
            ]
        }
        for place, (name, given) in enumerate(wanted)
    ]


DOUBLE_3 = calls(("double", {"n": 3}))
SAYS_6 = [{"content": "It is "}, {"content": "6."}]


def ask(tools: Any = (double, broken, stopped, later), **how: Any) -> Generation:
    how = {"confirm": False, "show": False, **how}
    return ollama_nb.chat("What is twice 3?", tools=list(tools), **how)


def assert_whole(messages: Any) -> None:
    """Every call has its outcome, right behind the message that makes it."""
    due: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            assert message["tool_name"] == due.pop(0)
        else:
            assert due == []
            due = [call["function"]["name"] for call in message.get("tool_calls", ())]
    assert due == []


@pytest.fixture
def answers(monkeypatch):
    """Type these into the questions that are asked; what was asked is in `.asked`."""

    class Typed(list):
        asked: list[str] = []  # noqa: RUF012

        def __call__(self, question: str) -> str:
            self.asked.append(question)
            return str(self.pop(0))

    typed = Typed()
    typed.asked = []
    monkeypatch.setattr("builtins.input", typed)
    return typed


def test_a_call_is_run_and_the_model_told(connected):
    connected.script = [DOUBLE_3, SAYS_6]

    answer = ask()

    first, second = connected.requests
    assert [tool["function"]["name"] for tool in first["tools"]] == [
        *("double", "broken", "stopped", "later")
    ]
    assert second["tools"] == first["tools"]
    assert second["messages"] == [
        {"role": "user", "content": "What is twice 3?"},
        {"role": "assistant", "content": "", "tool_calls": DOUBLE_3[0]["tool_calls"]},
        {"role": "tool", "content": "6", "tool_name": "double", "tool_call_id": "call_0"},
    ]
    assert (str(answer), answer.prompt) == ("It is 6.", "What is twice 3?")
    assert list(answer.messages) == [
        *second["messages"],
        {"role": "assistant", "content": "It is 6."},
    ]
    (call,) = answer.tool_calls
    assert (call.name, call.arguments, call.result, call.done) == ("double", {"n": 3}, 6, True)


def test_several_calls_and_rounds(connected):
    both = calls(("double", {"n": 1}), ("later", {"n": 2}))
    connected.script = [both, DOUBLE_3, SAYS_6]

    answer = ask()

    assert [call.result for call in answer.tool_calls] == [2, 4, 6]
    assert_whole(answer.messages)
    assert len(ollama_nb.stats()) == 3


def test_text_and_thoughts_beside_calls_stay_in_the_conversation(connected):
    connected.script = [[{"thinking": "Double."}, {"content": "Let me see."}, *DOUBLE_3], SAYS_6]

    ask()

    said = connected.requests[-1]["messages"][1]
    assert (said["thinking"], said["content"]) == ("Double.", "Let me see.")
    assert said["tool_calls"] == DOUBLE_3[0]["tool_calls"]


@pytest.mark.parametrize(
    ("name", "given", "kind", "told"),
    [
        ("broken", {"n": 3}, LookupError, "Error: LookupError: no 3 here"),
        (
            "dobule",
            {"n": 3},
            UnknownTool,
            "Error: UnknownTool: there is no tool 'dobule'; there is",
        ),
        ("double", {}, WrongArguments, "n: Field required"),
        ("double", {"n": 3, "m": 4}, WrongArguments, "m: Extra inputs are not permitted"),
        ("double", {"n": "three"}, WrongArguments, "n: Input should be a valid integer"),
    ],
)
def test_what_goes_wrong_in_a_call_is_for_the_model_to_know(connected, name, given, kind, told):
    connected.script = [calls((name, given)), SAYS_6]

    answer = ask()

    assert told in connected.requests[-1]["messages"][-1]["content"]
    assert type(answer.tool_calls[0].exception) is kind
    assert str(answer) == "It is 6."


@pytest.mark.parametrize("word", ["y", "Yes", " y ", "a", "all"])
def test_after_a_yes_a_call_runs(connected, answers, word):
    connected.script = [DOUBLE_3, SAYS_6]
    answers.append(word)

    answer = ask(confirm=True)

    assert answers.asked == ["Run double(n=3)? [y]es, [n]o, [a]ll calls of this answer: "]
    assert answer.tool_calls[0].result == 6


@pytest.mark.parametrize("word", ["n", "", "no", "perhaps"])
def test_after_anything_else_it_does_not(connected, answers, word):
    connected.script = [calls(("stopped", {})), SAYS_6]
    answers.append(word)

    answer = ask(confirm=True)

    assert isinstance(answer.tool_calls[0].exception, CallRefused)
    assert "did not allow" in connected.requests[-1]["messages"][-1]["content"]


def test_by_default_one_is_asked(connected, answers):
    connected.script = [DOUBLE_3, SAYS_6]
    answers.append("n")

    ollama_nb.chat("What is twice 3?", tools=[double], show=False)

    assert len(answers.asked) == 1


def test_all_is_asked_once(connected, answers):
    connected.script = [DOUBLE_3, DOUBLE_3, SAYS_6]
    answers.append("a")

    ask(confirm=True)

    assert len(answers.asked) == 1


def test_wrong_calls_are_not_asked_about(connected, answers):
    connected.script = [calls(("double", {}), ("nothing", {})), SAYS_6]

    ask(confirm=True)

    assert answers.asked == []


def test_where_nobody_can_be_asked_that_is_said_in_one_sentence(connected):
    connected.script = [calls(("double", {"n": 3}), ("double", {"n": 4}))]

    with pytest.raises(NobodyToAsk) as caught:  # pytest gives no standard input
        ask(confirm=True)

    assert str(caught.value) == (
        "the model wants to call double(n=3), and nobody can be asked here whether it may: "
        "confirm=False runs calls unasked"
    )
    assert_whole(caught.value.answer.messages)
    assert [call.result for call in caught.value.answer.tool_calls] == [None, None]


def test_a_model_that_goes_on_and_on_is_stopped_and_may_go_on(connected):
    connected.script = [DOUBLE_3] * 4

    with pytest.raises(TooManyRounds, match="called tools 3 times") as caught:
        ask(max_rounds=3)

    kept = caught.value.answer
    assert len(connected.requests) == 3
    assert_whole(kept.messages)
    assert [call.result for call in kept.tool_calls] == [6, 6, 6]

    connected.script = [SAYS_6]
    answer = ollama_nb.chat(kept.messages, tools=[double], confirm=False, show=False)
    assert connected.requests[-1]["messages"] == list(kept.messages)
    assert str(answer) == "It is 6."


def test_eight_rounds_by_default_and_at_least_one(connected):
    connected.script = [DOUBLE_3] * 9

    with pytest.raises(TooManyRounds, match="8 times"):
        ask()
    with pytest.raises(BadTool, match="at least 1"):
        ask(max_rounds=0)


def test_calls_of_definitions_are_returned_and_not_run(connected):
    connected.script = [calls(("double", {"n": 3}), ("elsewhere", {"a": 1}))]

    answer = ask([double, DEFINITION])

    ours, theirs = answer.tool_calls
    assert (ours.result, theirs.name, theirs.arguments) == (6, "elsewhere", {"a": 1})
    assert (theirs.done, theirs.result, theirs.id) == (False, None, "call_1")
    assert [message["role"] for message in answer.messages] == ["user", "assistant", "tool"]

    connected.script = [SAYS_6]
    told = {"role": "tool", "content": "7", "tool_name": "elsewhere", "tool_call_id": "call_1"}
    ask_again = [*answer.messages, told]
    assert str(ollama_nb.chat(ask_again, tools=[DEFINITION], show=False)) == "It is 6."
    assert connected.requests[-1]["messages"][-1] == told


def test_ctrl_c_in_a_tool_keeps_the_conversation(connected):
    connected.script = [
        DOUBLE_3,
        calls(("double", {"n": 1}), ("stopped", {}), ("double", {"n": 2})),
    ]

    with pytest.raises(Interrupted, match="what had come is kept") as caught:
        ask()

    answer = caught.value.answer
    assert answer.done_reason == "interrupted"
    assert [call.result for call in answer.tool_calls] == [6, 2, None, None]
    assert_whole(answer.messages)
    assert "the user stopped this call" in answer.messages[-1]["content"]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, ["auto", "auto"]),
        ("required", ["required", "auto"]),
        (double, [{"function": {"name": "double"}}, "auto"]),
    ],
)
def test_what_must_be_called_must_be_called_once(other, choice, sent):
    other.fields = "tool_choice"
    ollama_nb.connect(other.url)
    other.script = [DOUBLE_3, SAYS_6]

    ask(tool_choice=choice)

    assert [body["tool_choice"] for body in other.requests] == sent


def test_another_server_is_sent_no_choice(connected):
    connected.script = [DOUBLE_3, SAYS_6]

    with pytest.warns(ServerWarning, match="tool_choice=required had no effect"):
        ask(tool_choice="required")

    assert not any("tool_choice" in body for body in connected.requests)


@pytest.mark.parametrize(("fields", "offers"), [("", False), ("tool_choice", True)])
def test_no_tools_are_offered_where_a_server_cannot_be_told_to_leave_them(other, fields, offers):
    other.fields = fields
    ollama_nb.connect(other.url)
    other.script = [SAYS_6]

    ask(tool_choice="none")

    assert ("tools" in other.requests[-1]) is offers


def test_a_choice_needs_tools(connected):
    with pytest.raises(BadTool, match="there are none"):
        ollama_nb.chat("Hi", tool_choice="required")


def test_an_error_in_a_later_round_keeps_the_conversation(connected):
    connected.script = [DOUBLE_3, [{"tool_calls": 5}]]

    with pytest.raises(AnswerFailed) as caught:
        ask()

    assert_whole(caught.value.answer.messages)
    assert caught.value.answer.tool_calls[0].result == 6


def test_an_error_keeps_what_had_come(connected):
    with pytest.raises(AnswerFailed) as caught:
        ollama_nb.chat("one two break")

    assert caught.value.answer == "one two break "
    assert caught.value.answer.messages[-1] == {"role": "assistant", "content": "one two break "}


def test_a_conversation_remembers_calls(connected):
    talk = ollama_nb.Conversation(system="Be brief.")
    connected.script = [DOUBLE_3, SAYS_6]
    talk.say("What is twice 3?", tools=[double], confirm=False, show=False)

    talk.say("And now?")

    roles = [message["role"] for message in connected.requests[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert len(talk.turns) == 2


def test_a_conversation_remembers_what_ctrl_c_left(connected):
    talk = ollama_nb.Conversation()
    connected.script = [calls(("double", {"n": 1}), ("stopped", {}))]

    with pytest.raises(Interrupted):
        talk.say("What is twice 1?", tools=[double, stopped], confirm=False, show=False)

    assert_whole(talk.messages)
    assert [message["role"] for message in talk.messages] == ["user", "assistant", "tool", "tool"]


def test_a_schema_holds_for_the_answer(connected):
    connected.script = [DOUBLE_3, [{"content": '{"twice": 6}'}]]

    assert ask(schema="twice int").data.twice == 6
    assert all("format" in body for body in connected.requests)


# --- what is shown --------------------------------------------------------------------------------

SHORT = ToolCall("double", {"n": 3}).returned(6, "6")
LONG = ToolCall("rows", {"column": "a`b"}).returned(None, "a,b\n1,2")
DUE = ToolCall("write", {"path": "a.txt", "text": "x" * 200 + "\n</details>"})


def test_a_short_call_is_a_line():
    assert of_calls([SHORT]) == {
        "text/html": "<p>call <code>double(n=3)</code> → <code>6</code></p>\n",
        "text/markdown": "call `double(n=3)` → `6`",
        "text/plain": "call double(n=3) -> 6",
    }


def test_a_long_result_is_folded():
    shown = of_calls([SHORT, LONG])

    assert shown["text/plain"] == "call double(n=3) -> 6\n\ncall rows(column='a`b') -> a,b\n1,2"
    assert shown["text/markdown"].split("\n\n", 1)[1] == (
        "<details><summary>call rows(column=&#x27;a`b&#x27;) -&gt; a,b ...</summary>\n\n"
        "``rows(column='a`b')``\n\n```text\na,b\n1,2\n```\n\n</details>"
    )


def test_a_call_is_shown_whole_before_anybody_is_asked():
    shown = of_calls([DUE])["text/markdown"]

    assert shown.startswith("call `write` with\n\n```json\n{\n")
    assert "x" * 200 + "\\n</details>" in shown
    assert "<details>" not in shown


@pytest.mark.parametrize("told", ["", "one\ntwo", "y" * 500, "`", "``` `"])
def test_whatever_is_told_the_fold_holds(told):
    shown = of_calls([ToolCall("f").returned(None, told)])["text/markdown"]

    assert shown.count("<details>") == shown.count("</details>") <= 1


def test_an_answer_shows_the_calls_on_the_way_to_it():
    answer = Generation("It is 6.", thinking="Hm.", tool_calls=[SHORT, DUE])

    plain = answer.bundle()["text/plain"]

    parts = ["call double(n=3) -> 6", "thought (1 word):", "It is 6.", "call write(path='a.txt'"]
    places = [plain.index(part) for part in parts]
    assert places == sorted(places)


def test_with_tools_an_answer_is_shown_in_a_terminal(connected, capsys):
    connected.script = [[{"content": "Let me see."}, *DOUBLE_3], DOUBLE_3, SAYS_6]

    ollama_nb.chat("What is twice 3?", tools=[double], confirm=False)

    assert capsys.readouterr().out == (
        "Let me see.\ncall double(n=3) -> 6\ncall double(n=3) -> 6\nIt is 6.\n"
    )


def test_without_tools_it_is_not(connected, capsys):
    ollama_nb.chat("one")

    assert capsys.readouterr().out == ""


def test_a_program_gets_one_display_a_round(monkeypatch):
    shown: list[dict[str, str]] = []
    publish = "ollama_nb.display.cell.OneOutput.publish"
    monkeypatch.setattr(publish, lambda _, bundle, __: shown.append(bundle))
    cell, asking = OneCell("demo"), Generation("Hm.", tool_calls=[ToolCall("double", {"n": 3})])

    cell.finish(asking)
    cell.show_calls(asking, asking.tool_calls)
    cell.finish_calls(asking, [SHORT])

    assert [one["text/plain"] for one in shown] == ["Hm.\n\ncall double(n=3) -> 6"]


def test_a_long_call_is_not_written_twice(connected, answers, monkeypatch):
    connected.script = [calls(("double", {"n": 10**200}))] * 2 + [SAYS_6]
    answers += ["n", "n"]
    monkeypatch.setattr(Terminal, "shows_calls", True)

    ask(confirm=True, show=True)
    connected.script = [calls(("double", {"n": 10**200})), SAYS_6]
    answers += ["n"]
    ask(confirm=True, show=False)

    assert answers.asked[0].startswith("Run double(...)? ")
    assert "000" in answers.asked[-1]
