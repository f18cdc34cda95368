import asyncio
import json

import pytest
from jsonschema import Draft202012Validator
from ollama_nb_server.engine.errors import GrammarDeadEnd, GrammarRefused
from ollama_nb_server.engine.messages import Grammar, SamplingParams

PROMPT = "<|im_start|>user\nTell me a story about a robot.<|im_end|>\n<|im_start|>assistant\n"
HOT = SamplingParams(seed=3, temperature=1.5)
REVIEW = {
    "type": "object",
    "properties": {
        "mood": {"enum": ["happy", "sad"]},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
        "name": {"type": "string", "maxLength": 12},
    },
    "required": ["mood", "stars", "name"],
}
# What pydantic writes for a class with lists, options, other classes, dates and a choice of two.
ORDER = {
    "$defs": {
        "Item": {
            "properties": {
                "name": {"maxLength": 8, "title": "Name", "type": "string"},
                "count": {"default": 1, "minimum": 0, "maximum": 99, "type": "integer"},
            },
            "required": ["name"],
            "title": "Item",
            "type": "object",
        },
        "Card": {
            "properties": {"kind": {"const": "card"}, "number": {"pattern": "^[0-9]{4}$"}},
            "required": ["kind", "number"],
            "type": "object",
        },
        "Cash": {"properties": {"kind": {"const": "cash"}}, "required": ["kind"], "type": "object"},
    },
    "title": "Order",
    "description": "An order.",
    "type": "object",
    "properties": {
        "items": {"items": {"$ref": "#/$defs/Item"}, "minItems": 1, "maxItems": 2, "type": "array"},
        "on": {"format": "date-time", "type": "string"},
        "note": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}], "default": None},
        "payment": {
            "discriminator": {"propertyName": "kind"},
            "oneOf": [{"$ref": "#/$defs/Card"}, {"$ref": "#/$defs/Cash"}],
        },
    },
    "required": ["items", "on", "note", "payment"],
}


def schema(document: dict, **more: str) -> Grammar:
    return Grammar("json_schema", json.dumps(document), **more)


@pytest.mark.parametrize(
    "sampling", [HOT, SamplingParams(seed=1, temperature=0)], ids=["hot", "greedy"]
)
@pytest.mark.parametrize("document", [REVIEW, ORDER], ids=["review", "order"])
async def test_an_answer_fits_its_schema(worker, ask, document, sampling):
    text, finished = await ask(
        worker, PROMPT, grammar=schema(document), sampling=sampling, num_predict=300
    )

    Draft202012Validator(document).validate(json.loads(text))
    assert finished.reason == "stop"


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ({"type": "object", "properties": {"v": {"const": 7}}, "required": ["v"]}, '{"v": 7}'),
        ({"const": [1, {"a": None}]}, '[1, {"a": null}]'),
        ({"enum": ["only"]}, '"only"'),
        ({"type": "null"}, "null"),
        ({"const": "ü 日 😀 \n"}, '"ü 日 😀 \\n"'),
    ],
    ids=str,
)
async def test_what_is_not_a_choice_is_not_drawn(worker, ask, document, answer):
    text, finished = await ask(worker, PROMPT, grammar=schema(document), sampling=HOT)

    assert json.loads(text) == json.loads(answer)
    assert finished.reason == "stop"


async def test_forced_text_comes_in_few_pieces(worker, ask, events):
    told = await events(worker, PROMPT, grammar=schema(REVIEW))

    assert told[0].text.startswith('{"mood": "')


async def test_any_json_object_is_an_object(worker, ask):
    answers = [
        await ask(
            worker, PROMPT, grammar=Grammar("json_object"), sampling=SamplingParams(seed=seed)
        )
        for seed in range(6)
    ]

    assert all(text.startswith("{") for text, _ in answers)
    assert all(isinstance(json.loads(t), dict) for t, end in answers if end.reason == "stop")


async def test_the_budget_cuts_an_answer_anywhere(worker, ask):
    whole, ended = await ask(worker, PROMPT, grammar=schema(REVIEW), num_predict=200)
    limits = range(1, ended.eval_count)

    cut = [await ask(worker, PROMPT, grammar=schema(REVIEW), num_predict=n) for n in limits]

    assert [(end.reason, end.eval_count) for _, end in cut] == [("length", n) for n in limits]
    assert all(whole.startswith(text) for text, _ in cut)


async def test_an_answer_that_is_complete_at_its_last_token_has_stopped(worker, ask):
    whole, ended = await ask(worker, PROMPT, grammar=schema(REVIEW), num_predict=200)

    text, finished = await ask(worker, PROMPT, grammar=schema(REVIEW), num_predict=ended.eval_count)

    assert (text, finished.reason) == (whole, "stop")


async def test_a_full_context_cuts_forced_text(worker, ask):
    _, finished = await ask(worker, "Once", grammar=schema(REVIEW), num_ctx=8)

    assert (finished.reason, finished.prompt_count + finished.eval_count) == ("length", 8)


async def test_a_full_context_that_shifts_goes_on_with_the_answer(worker, ask):
    long = {"type": "array", "items": REVIEW, "minItems": 4, "maxItems": 4}

    text, finished = await ask(
        worker, PROMPT, grammar=schema(long), num_ctx=48, shift=True, num_predict=400
    )

    Draft202012Validator(long).validate(json.loads(text))
    assert finished.prompt_count + finished.eval_count > 48


async def test_a_stop_string_is_found_in_forced_text(worker, ask):
    text, finished = await ask(worker, PROMPT, grammar=schema(REVIEW), stop=('d": ',))

    assert (text, finished.reason) == ('{"moo', "stop")


async def test_constrained_answers_together_equal_the_same_alone(worker, ask):
    kinds = [REVIEW, ORDER, {"type": "array", "items": {"type": "boolean"}, "minItems": 9}, {}]
    wishes = [
        {"grammar": schema(kinds[n % 4]), "sampling": SamplingParams(seed=n), "num_predict": 60}
        for n in range(8)
    ]
    alone = [(await ask(worker, PROMPT, **wish))[0] for wish in wishes]

    together = await asyncio.gather(*(ask(worker, PROMPT, **wish) for wish in wishes))

    assert [text for text, _ in together] == alone


async def test_penalties_count_what_was_forced(worker, ask):
    document = {
        "type": "object",
        "properties": {"sad": {"const": "sad"}, "mood": {"enum": ["sad", "happy"]}},
        "required": ["sad", "mood"],
    }
    penalised = SamplingParams(seed=1, temperature=0, presence_penalty=90.0)

    plain, _ = await ask(worker, PROMPT, grammar=schema(document))
    other, _ = await ask(worker, PROMPT, grammar=schema(document), sampling=penalised)

    assert json.loads(plain)["mood"] == "sad"
    assert json.loads(other)["mood"] == "happy"


async def test_every_end_token_is_kept_out_of_a_string(worker, ask):
    document = {"type": "string", "minLength": 60, "maxLength": 70}

    text, _ = await ask(worker, PROMPT, grammar=schema(document), sampling=HOT, num_predict=200)

    assert 60 <= len(json.loads(text)) <= 70


# --- thoughts -------------------------------------------------------------------------------------


async def test_a_thought_is_free_and_the_answer_behind_it_is_not(worker, ask):
    free, _ = await ask(worker, PROMPT, num_predict=200)
    tag = free[40:46]

    text, finished = await ask(worker, PROMPT, grammar=schema(REVIEW, after=tag), num_predict=200)

    thought, _, answer = text.partition(tag)
    assert free.startswith(thought + tag)
    Draft202012Validator(REVIEW).validate(json.loads(answer))
    assert finished.reason == "stop"


async def test_a_thought_that_the_model_ends_without_its_tag_gets_it(worker, ask):
    free, _ = await ask(worker, PROMPT, num_predict=300)

    text, _ = await ask(worker, PROMPT, grammar=schema(REVIEW, after="</think>"), num_predict=400)

    thought, _, answer = text.partition("</think>")
    assert thought == free
    Draft202012Validator(REVIEW).validate(json.loads(answer))


async def test_a_token_that_reaches_beyond_the_tag_is_cut_there(worker, ask):
    free, _ = await ask(worker, PROMPT, num_predict=200)
    word = max(free.split()[:20], key=len)

    text, _ = await ask(worker, PROMPT, grammar=schema(REVIEW, after=word[:-1]), num_predict=200)

    thought, _, answer = text.partition(word[:-1])
    assert free.startswith(thought)
    Draft202012Validator(REVIEW).validate(json.loads(answer))


async def test_a_model_that_does_not_think_is_bound_from_its_first_token(worker, ask):
    bound = schema(REVIEW, after="</think>", opens="<think>")

    answers = [
        (
            await ask(
                worker, PROMPT, grammar=bound, sampling=SamplingParams(seed=s), num_predict=300
            )
        )[0]
        for s in range(6)
    ]

    for text in answers:
        if text.startswith("<think>"):
            text = text.partition("</think>")[2]
        Draft202012Validator(REVIEW).validate(json.loads(text))


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "grammar",
    [
        schema({"$ref": "https://example.com/a.json"}),
        Grammar("gbnf", "root ::= unknown"),
        Grammar("gbnf", "root ::= [a]{5,2}"),
    ],
    ids=["schema", "rule", "times"],
)
async def test_a_grammar_that_is_refused_harms_nobody(worker, ask, grammar):
    beside = asyncio.create_task(ask(worker, PROMPT))

    with pytest.raises(GrammarRefused):
        await ask(worker, PROMPT, grammar=grammar)

    assert (await beside)[0] == (await ask(worker, PROMPT))[0]


async def test_a_grammar_of_many_ways_keeps_nobody_waiting(worker, ask):
    grammar = Grammar("gbnf", "root ::= " + '("a"|"b"|"c"|"d")? ' * 500)
    beside = asyncio.create_task(ask(worker, PROMPT))

    text, _ = await ask(worker, PROMPT, grammar=grammar, sampling=HOT)

    assert set(text) <= set("abcd")
    assert (await beside)[0] == (await ask(worker, PROMPT))[0]


async def test_a_dead_end_fails_only_the_request_that_met_it(worker, ask):
    endless = schema({"type": "string", "pattern": "^(([a-z]{0,50} ){0,50}){0,50}z$"})
    beside = asyncio.create_task(ask(worker, PROMPT, num_predict=100))

    with pytest.raises(GrammarDeadEnd, match="too many"):
        await ask(worker, PROMPT, grammar=endless, sampling=HOT, num_predict=400)

    assert (await beside)[0] == (await ask(worker, PROMPT, num_predict=100))[0]


async def test_an_enumeration_of_ten_thousand_words_works(worker, ask):
    words = [f"word {n} of {n * 7}" for n in range(10_000)]

    text, _ = await ask(worker, PROMPT, grammar=schema({"enum": words}), sampling=HOT)

    assert json.loads(text) in words


async def test_a_recursive_schema_is_followed(worker, ask):
    tree = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 3},
            "children": {"type": "array", "items": {"$ref": "#"}, "maxItems": 1},
        },
        "required": ["name", "children"],
    }

    text, finished = await ask(worker, PROMPT, grammar=schema(tree), sampling=HOT, num_predict=400)

    assert finished.reason == "stop"
    Draft202012Validator(tree).validate(json.loads(text))


async def test_a_request_that_waits_for_its_grammar_can_be_cancelled(worker, ask):
    words = schema({"enum": [f"word {n} of {n * 7}" for n in range(20_000)]})
    waiting = asyncio.create_task(ask(worker, PROMPT, grammar=words))
    await asyncio.sleep(0)
    waiting.cancel()

    answered = await ask(worker, PROMPT, grammar=schema(REVIEW), num_predict=200)
    assert answered[1].reason == "stop"


# --- grammars in llama.cpp's notation -------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
async def test_a_gbnf_grammar_binds_an_answer(worker, ask, seed):
    grammar = Grammar("gbnf", 'root ::= "yes" | "no" [0-9]{2} "."')

    text, finished = await ask(
        worker, PROMPT, grammar=grammar, sampling=SamplingParams(seed=seed, temperature=1.5)
    )

    assert text == "yes" or (text[:2], text[4:]) == ("no", ".")
    assert finished.reason == "stop"


async def test_a_free_answer_that_fits_a_grammar_stays_as_it_is(worker, ask):
    free, _ = await ask(worker, PROMPT, num_predict=300)

    bound, _ = await ask(worker, PROMPT, grammar=Grammar("gbnf", "root ::= .*"), num_predict=300)

    assert bound == free


@pytest.mark.parametrize("opens", ["", "<think>"], ids=["thinks", "may think"])
async def test_a_gbnf_grammar_can_begin_behind_a_thought(worker, ask, opens):
    grammar = Grammar("gbnf", 'root ::= "yes"', "</think>", opens)

    text, _ = await ask(worker, PROMPT, grammar=grammar, num_predict=300)

    assert text.strip().endswith("yes")


async def test_an_endless_grammar_is_written_until_the_budget_ends(worker, ask):
    grammar = Grammar("gbnf", 'root ::= [ab] root | "("  root ")"')

    text, finished = await ask(worker, PROMPT, grammar=grammar, sampling=HOT, num_predict=40)

    assert set(text) <= set("ab(")
    assert finished.reason == "length"


async def test_a_grammar_that_refers_to_itself_binds_answers(worker, ask):
    grammar = Grammar("gbnf", 'root ::= "x" root "y" | "z"')

    told = [
        await ask(
            worker, PROMPT, grammar=grammar, sampling=SamplingParams(seed=seed, temperature=4.0)
        )
        for seed in range(8)
    ]

    answers = [text for text, end in told if end.reason == "stop"]
    assert {"x" * text.count("x") + "z" + "y" * text.count("x") for text in answers} == {*answers}
    assert len(set(answers)) > 1
