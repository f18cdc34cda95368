"""Calls of tools that cannot be malformed: free text until a trigger, a bound call behind it.

The bundled model, greedily: what it writes without a grammar is known, and its words are triggers.
"""

from __future__ import annotations

import json
import re

import pytest
from jsonschema import Draft202012Validator
from ollama_nb_server.engine.messages import Finished, Grammar, SamplingParams
from serving import GREEDY, Serving

PROMPT = "<|im_start|>user\nTell me a story about a robot.<|im_end|>\n<|im_start|>assistant\n"
HOT = SamplingParams(seed=3, temperature=1.5)
MARK = {"sequence": [{"text": "("}, {"json": {"type": "integer", "maximum": 9, "minimum": 1}},
                     {"text": ")"}]}  # fmt: skip
TOOLS = {
    "look": {
        "type": "object",
        "properties": {"at": {"enum": ["sky", "sea"]}, "times": {"type": "integer"}},
        "required": ["at", "times"],
    },
    "sing": {
        "type": "object",
        "properties": {"loud": {"type": "boolean"}, "words": {"type": "string", "maxLength": 9}},
        "required": ["loud"],
    },
}
CALL = {
    "sequence": [
        {"text": '\n{"name": "'},
        {
            "choice": [
                {"sequence": [{"text": f'{name}", "arguments": '}, {"json": schema}]}
                for name, schema in TOOLS.items()
            ]
        },
        {"text": "}\n"},
        {"tag": "</tool_call>"},
    ]
}
WHOLE = re.compile(r"<tool_call>\n(.*?)\n</tool_call>", re.DOTALL)


def shape(document: dict, *triggers: str, **more: object) -> Grammar:
    return Grammar("shape", json.dumps(document), triggers=triggers, **more)


@pytest.fixture(scope="module")
def serving(demo_gguf):
    serving = Serving(demo_gguf)
    yield serving
    serving.close()


@pytest.fixture(scope="module")
def tagged(tagged_gguf):
    """The same with control tokens, of which it writes [TOOL_CALLS] for "the"."""
    serving = Serving(tagged_gguf)
    yield serving
    serving.close()


@pytest.fixture(scope="module")
def free(serving) -> str:
    return serving.answer(PROMPT, num_predict=400).text


def checked(call: str) -> None:
    """See that a call is one of the tools', with arguments that it allows."""
    told = json.loads(call)
    Draft202012Validator(TOOLS[told["name"]]).validate(told["arguments"])


# --- where calls begin ----------------------------------------------------------------------------


def test_an_answer_without_a_trigger_stays_as_it_is(serving, free):
    told = serving.answer(PROMPT, num_predict=400, grammar=shape(MARK, "<tool_call>"))

    assert (told.text, told.end.reason) == (free, "stop")


@pytest.mark.parametrize("begin", range(20, 40))
def test_a_call_begins_behind_its_trigger_wherever_tokens_are_cut(serving, free, begin):
    trigger = free[begin : begin + 7]
    grammar = shape(MARK, "<tool_call>", trigger)

    text = serving.answer(PROMPT, num_predict=40, grammar=grammar).text

    assert re.fullmatch(re.escape(free[: begin + 7]) + r"\([1-9]\).*", text, re.DOTALL)


def test_every_trigger_begins_a_call(serving):
    text = serving.answer(PROMPT, num_predict=90, grammar=shape(MARK, "e")).text

    assert text.count("e") > 5
    assert len(re.findall(r"e\([1-9]\)", text)) == text.count("e")


def test_a_token_that_fits_the_call_beyond_the_trigger_is_not_cut(serving, free):
    trigger = free[: free.index("robot") + 3]
    begins = {"sequence": [{"text": "o"}, {"choice": [{"text": "t in"}, {"text": "ts"}]}]}

    told = serving.answer(PROMPT, num_predict=400, grammar=shape(begins, trigger))

    assert told.text == free
    assert " robot" in told.pieces


@pytest.mark.parametrize("tags", [("[TOOL_CALLS]",), ()], ids=["read", "not read"])
def test_a_trigger_may_be_a_control_token(tagged, tags):
    text = tagged.answer(
        PROMPT, num_predict=90, grammar=shape(MARK, "[TOOL_CALLS]"), tags=tags
    ).text

    marked = re.findall(r"\[TOOL_CALLS\]\([1-9]\)" if tags else r"\([1-9]\)", text)
    assert len(marked) > 0
    assert text.count("[TOOL_CALLS]") == (len(marked) if tags else 0)


def test_a_control_token_written_by_its_letters_is_a_trigger_too(tagged, free):
    assert tagged.engine.model.special("funny robot") > 0

    text = tagged.answer(PROMPT, num_predict=20, grammar=shape(MARK, "funny robot")).text

    assert re.search(r"funny robot\([1-9]\)", text)


# --- what calls look like -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_a_required_call_comes_first_and_is_whole(serving, seed):
    grammar = shape(CALL, "<tool_call>", required=True)
    hot = SamplingParams(seed=seed, temperature=1 + seed % 3, top_k=0, top_p=1.0)

    told = serving.answer(PROMPT, num_predict=150, sampling=hot, grammar=grammar)

    assert isinstance(told.end, Finished)
    checked(WHOLE.match(told.text)[1])


def test_a_required_call_begins_with_the_first_trigger(serving):
    grammar = shape(MARK, "<call>", " a", required=True)

    assert re.match(r"<call>\([1-9]\)", serving.answer(PROMPT, grammar=grammar).text)


def test_a_tag_is_the_token_of_its_text_where_there_is_one(tagged, serving):
    grammar = shape(CALL, "<tool_call>", required=True)

    lengths = [
        one.answer(PROMPT, num_predict=150, grammar=grammar, stop=("</tool_call>",)).end.eval_count
        for one in (serving, tagged)
    ]
    unread = tagged.answer(PROMPT, num_predict=150, grammar=grammar).text

    assert lengths[0] > lengths[1] + 10  # <tool_call> is 7 of the bundled model's tokens
    assert "tool_call>" not in unread
    checked(re.match(r"\n(\{.*\})\n", unread)[1])


@pytest.mark.parametrize("until", [" the", "[TOOL_CALLS]"], ids=["letters", "a control token"])
def test_any_text_until_a_mark(tagged, until):
    read = ("[TOOL_CALLS]",)
    grammar = shape({"sequence": [{"until": until}, {"text": "!"}]}, "(", required=True)

    text = tagged.answer(PROMPT, num_predict=200, grammar=grammar, sampling=HOT, tags=read).text

    assert text.startswith("(")
    assert text.index(until) + len(until) == text.index("!")


def test_where_a_text_ends_with_a_control_token_its_letters_do_not_stand_in_it(tagged):
    grammar = shape({"until": "funny robot"}, "", required=True)

    free, bound = (
        tagged.answer(PROMPT, **wish, num_predict=40).text for wish in ({}, {"grammar": grammar})
    )

    assert "a funny robot" in free
    assert bound.startswith(free.partition("robot")[0].rstrip())
    assert "funny robot" not in bound


def test_a_repeated_part_ends_where_the_model_goes_on_otherwise(serving):
    pieces = {"repeat": {"text": "la"}, "separator": "-", "least": 2, "most": 0}
    grammar = shape(pieces, " robot")

    text = serving.answer(PROMPT, num_predict=80, grammar=grammar).text

    sung, behind = re.search(r" robot((?:la-?)+)(.*)", text, re.DOTALL).groups()
    assert sung.startswith("la-la")
    assert len(behind) > 20


@pytest.mark.parametrize(
    ("least", "most", "form"),
    [(0, 1, r"\((la)?\)"), (2, 3, r"\(la,la(,la)?\)"), (1, 0, r"\(la(,la)*\)")],
)
def test_a_part_comes_as_often_as_it_may(serving, least, most, form):
    part = {"repeat": {"text": "la"}, "separator": ",", "least": least, "most": most}
    document = {"sequence": [{"text": "("}, part, {"text": ")"}]}

    texts = [
        serving.answer(
            PROMPT,
            grammar=shape(document, "", required=True),
            sampling=SamplingParams(seed=seed, temperature=99.0, top_k=0, top_p=1.0),
            stop=(")",),
        ).text
        for seed in range(8)
    ]

    assert [text for text in texts if not re.fullmatch(form, text + ")")] == []
    assert len(set(texts)) > 1


# --- everything else goes on ----------------------------------------------------------------------


def test_what_a_call_leaves_no_choice_of_is_written_at_once(serving):
    told = serving.answer(PROMPT, num_predict=150, grammar=shape(CALL, " robot"))

    assert any(piece.endswith(' robot\n{"name": "') for piece in told.pieces)


def test_the_budget_cuts_a_call_anywhere(serving):
    grammar = shape(CALL, "<tool_call>", required=True)
    whole = serving.answer(PROMPT, num_predict=60, grammar=grammar)

    cut = [serving.answer(PROMPT, num_predict=n, grammar=grammar) for n in range(1, 50)]

    assert [(one.end.reason, one.end.eval_count) for one in cut] == [
        ("length", n) for n in range(1, 50)
    ]
    assert all(whole.text.startswith(one.text) for one in cut)


def test_a_stop_string_ends_a_call(serving):
    grammar = shape(CALL, "<tool_call>", required=True)

    told = serving.answer(PROMPT, num_predict=99, grammar=grammar, stop=('e": "',))

    assert (told.text, told.end.reason) == ('<tool_call>\n{"nam', "stop")


def test_bound_calls_together_equal_the_same_alone(serving):
    wishes = [
        {
            "grammar": shape(CALL, " a", required=bool(n % 2)),
            "sampling": SamplingParams(seed=n),
            "num_predict": 70,
            "reproducible": True,
        }
        for n in range(4)
    ]
    alone = [serving.answer(PROMPT, **wish).text for wish in wishes]

    together = [serving.ask(PROMPT, **wish) for wish in wishes]
    serving.run()

    assert [serving.answers[request].text for request in together] == alone


def test_a_call_that_is_cancelled_harms_nobody(serving):
    wish = {"grammar": shape(CALL, " robot"), "num_predict": 100}
    alone = serving.answer(PROMPT, **wish).text

    left, kept = serving.ask(PROMPT, **wish), serving.ask(PROMPT, **wish)
    serving.at_piece(left, 8, lambda: serving.leave(left))
    serving.run()

    assert not isinstance(serving.answers[left].end, Finished)
    assert serving.answers[kept].text == alone


async def test_probabilities_of_a_bound_call_come_in_the_pieces_of_its_text(
    tagged_gguf, start_worker, events
):
    worker = await start_worker(tagged_gguf)
    grammar = shape(CALL, "<tool_call>", required=True)

    *told, _ = await events(
        worker, PROMPT, grammar=grammar, tags=("<tool_call>", "</tool_call>"), logprobs=1
    )

    text = "".join(delta.text for delta in told)
    checked(WHOLE.match(text)[1])
    assert "".join(piece.text for delta in told for piece in delta.logprobs) == text


# --- behind a thought -----------------------------------------------------------------------------


@pytest.mark.parametrize("opens", ["", "<think>"], ids=["thinks", "may think"])
@pytest.mark.parametrize("seed", range(4))
def test_a_required_call_comes_behind_the_thought(tagged, opens, seed):
    grammar = shape(CALL, "<tool_call>", required=True, after="</think>", opens=opens)
    read = ("<think>", "</think>", "<tool_call>", "</tool_call>")
    hot = SamplingParams(seed=seed, temperature=1.0)

    told = tagged.answer(PROMPT, num_predict=300, sampling=hot, grammar=grammar, tags=read)

    behind = told.text.partition("</think>")[2] if told.text[:7] != "<tool_c" else told.text
    checked(WHOLE.match(behind.lstrip())[1])


def test_a_trigger_in_a_thought_begins_a_call_only_where_the_grammar_holds(serving, free):
    tag = free[50:54]
    within = shape(MARK, " robot")
    behind = shape(MARK, " robot", after=tag)

    texts = [serving.answer(PROMPT, num_predict=300, grammar=one).text for one in (within, behind)]

    assert re.search(r" robot\([1-9]\)", texts[0])
    assert texts[1].startswith(free[: free.index(tag) + 4])


def test_an_answer_behind_a_thought_may_end_without_a_call(serving, free):
    grammar = shape(MARK, "<tool_call>", after="</think>")

    told = serving.answer(PROMPT, num_predict=400, grammar=grammar)

    assert (told.text, told.end.reason) == (free, "stop")


def test_a_greedy_answer_is_the_same_with_triggers_or_without(serving):
    plain = serving.answer(PROMPT, num_predict=60, sampling=GREEDY).text

    assert serving.answer(PROMPT, num_predict=60, grammar=shape(CALL, "<x>")).text == plain
