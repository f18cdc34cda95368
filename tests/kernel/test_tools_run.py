"""How a function is run with what a model gave, and what the model hears back."""

from __future__ import annotations

import asyncio
import datetime
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tool_types import Place, Span, Unit, called, weather

from ollama_nb.answers.tool_call import ToolCall
from ollama_nb.tools.choice import chosen
from ollama_nb.tools.definition import tools_of
from ollama_nb.tools.errors import BadTool, WrongArguments
from ollama_nb.tools.results import MAX_CHARS, in_words

# --- running --------------------------------------------------------------------------------------


def test_arguments_arrive_as_the_types_of_the_hints():
    def function(unit: Unit, place: Place, span: Span, names: set[str], when: datetime.datetime):
        return unit, place, span, names, when

    given = called(
        function,
        unit="C",
        place={"city": "Paris"},
        span={"begin": "2024-02-29"},
        names=["a", "b", "a"],
        when="2024-02-29T07:08:09Z",
    )

    assert given == (
        Unit.CELSIUS,
        Place(city="Paris"),
        Span(datetime.date(2024, 2, 29)),
        {"a", "b"},
        datetime.datetime(2024, 2, 29, 7, 8, 9, tzinfo=datetime.timezone.utc),
    )


def test_numbers_that_a_small_model_writes_as_texts_are_read():
    def function(n: int, x: float, yes: bool):
        return n, x, yes

    assert called(function, n="3", x="2.5", yes="true") == (3, 2.5, True)


def test_absent_arguments_are_defaults_or_none():
    def function(a: int | None, b: int = 2, c: int | None = 3):
        return a, b, c

    assert called(function) == (None, 2, 3)
    assert called(function, c=None) == (None, 2, None)


def test_positional_parameters_are_given_by_position():
    def function(a: int, b: int = 2, /, c: int = 3, *, d: int = 4):
        return a, b, c, d

    assert called(function, a=1, d=5) == (1, 2, 3, 5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "weather takes city, days, unit: city: Field required"),
        ({"city": "Rome", "day": 3}, "day: Extra inputs are not permitted"),
        ({"city": "Rome", "days": "many"}, "days: Input should be a valid integer"),
        ({"city": "Rome", "unit": "K"}, "unit: Input should be 'C' or 'F'"),
        ({"city": None}, "city: Input should be a valid string"),
    ],
)
def test_wrong_arguments_are_a_type_error_that_says_all(arguments, words):
    with pytest.raises(TypeError) as caught:
        called(weather, **arguments)

    assert isinstance(caught.value, WrongArguments)
    assert words in str(caught.value)


async def _later(x: int) -> int:
    """Return it later."""
    await asyncio.sleep(0)
    return x + 1


def test_an_async_function_is_awaited():
    assert called(_later, x=1) == 2


async def test_also_where_a_loop_is_running_as_in_a_kernel():
    assert called(_later, x=1) == 2


def test_what_an_async_function_raises_is_raised():
    async def broken():
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        called(broken)


def test_no_thread_is_left_behind():
    called(_later, x=1)

    assert [one for one in threading.enumerate() if one.name == "ollama_nb-tool"] == []


# --- results --------------------------------------------------------------------------------------

TABLE = pd.DataFrame({"a": range(50), "b": 0.5})


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("text", "text"),
        ("", ""),
        (3, "3"),
        (2.5, "2.5"),
        (True, "true"),
        (None, "null"),
        ({"a": [1, "ä"]}, '{"a":[1,"ä"]}'),
        (float("nan"), "NaN"),
        (np.float32(2.5), "2.5"),
        (np.int64(3), "3"),
        (np.array([[1, 2], [3, 4]]), "[[1,2],[3,4]]"),
        ({"mean": np.float64(2.5)}, '{"mean":2.5}'),
        (Place(city="Paris"), '{"city":"Paris","country":"FR"}'),
        (Span(datetime.date(2024, 2, 29)), '{"begin":"2024-02-29","end":null}'),
        (Unit.CELSIUS, '"C"'),
        (pd.Timestamp("2024-02-29"), '"2024-02-29T00:00:00"'),
        (object, "\"<class 'object'>\""),
        (TABLE.head(2), "2 rows, 2 columns:\n,a,b\n0,0,0.5\n1,1,0.5"),
        (TABLE["a"].head(2), "2 values:\n,a\n0,0\n1,1"),
        ({"head": TABLE.head(1)}, '{"head":"1 rows, 2 columns:\\n,a,b\\n0,0,0.5"}'),
    ],
)
def test_what_a_model_is_told_of_a_result(result, words):
    assert in_words(result) == words


def test_of_a_long_table_the_first_rows_are_told():
    told = in_words(TABLE)

    assert told.startswith("50 rows, 2 columns; the first 20:\n,a,b\n0,0,0.5\n")
    assert told.endswith("\n19,19,0.5")


def test_what_is_too_long_is_cut_and_says_so():
    told = in_words("x" * 9_000)

    assert told == f"{'x' * MAX_CHARS}\n(cut: the first 8,000 of 9,000 letters)"


def test_what_holds_itself_is_told_as_python_does():
    endless: list[Any] = [1]
    endless.append(endless)

    assert in_words(endless) == "[1, [...]]"


# --- calls and choices ----------------------------------------------------------------------------


def test_a_call_is_read_and_told():
    call = ToolCall.from_wire({"id": "call_1", "function": {"name": "f", "arguments": {"a": "x"}}})

    told = call.raised(KeyError("x")).message()

    assert str(call) == "f(a='x')"
    assert told == {
        "role": "tool",
        "content": "Error: KeyError: 'x'",
        "tool_name": "f",
        "tool_call_id": "call_1",
    }


@pytest.mark.parametrize("wire", [{}, {"function": None}, {"function": {"name": "f"}}])
def test_a_call_without_much_is_read(wire):
    assert ToolCall.from_wire(wire).arguments == {}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, "auto"),
        ("auto", "auto"),
        ("required", "required"),
        ("none", "none"),
        ("weather", {"function": {"name": "weather"}}),
        (weather, {"function": {"name": "weather"}}),
        ({"function": {"name": "weather"}}, {"function": {"name": "weather"}}),
    ],
)
def test_choices_of_tools(choice, sent):
    assert chosen(choice, tools_of(weather)) == sent


@pytest.mark.parametrize("choice", ["wether", "any", True, ["weather"], called])
def test_a_choice_that_there_is_not(choice):
    with pytest.raises(BadTool, match=r"auto, required, none, or one of the tools \(weather\)"):
        chosen(choice, tools_of(weather))


def test_a_choice_among_nothing():
    with pytest.raises(BadTool, match="there are none"):
        chosen("required", {})
