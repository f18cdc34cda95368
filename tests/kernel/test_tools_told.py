"""What a model is told of a function."""

from __future__ import annotations

import datetime
import functools
import types
from typing import Annotated, Any, Literal, Optional

import jsonschema
import ollama
import pandas as pd
import pydantic
import pytest
from ollama._utils import convert_function_to_tool
from tool_types import Place, Tree, Unit, called, properties_of, weather

from ollama_nb.tools.definition import tool_of, tools_of
from ollama_nb.tools.docstrings import described
from ollama_nb.tools.errors import BadTool

# --- what a model is told -------------------------------------------------------------------------


def test_a_function_is_told_by_its_name_docstring_and_hints():
    assert tool_of(weather).definition == {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tell the weather.\n\nFor some days.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {
                        "description": "The name of the city, as people write it.",
                        "type": "string",
                    },
                    "days": {"description": "How many.", "type": "integer"},
                    "unit": {
                        "description": "Of the temperature.",
                        "enum": ["C", "F"],
                        "type": "string",
                    },
                },
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }


def _no_docstring(a: int, b: float, c: bool, d: str):
    return a, b, c, d


def _google(a: int, b: Any):
    """Do it.

    Args:
        a: The first.
        b (str, optional): The second.
    """


_google.__annotations__["b"] = Optional[str]  # noqa: UP045 - theirs reads no hints that are texts


def _untyped(a, b=3):
    """Do it.

    Args:
        a: The first.
    """


def _none():
    """Do it."""


@pytest.mark.parametrize("function", [_no_docstring, _google, _untyped, _none])
def test_what_the_ollama_client_can_tell_is_told_the_same(function):
    theirs = convert_function_to_tool(function).model_dump(exclude_none=True)["function"]
    ours = tool_of(function).definition["function"]

    for told in theirs["parameters"].get("properties", {}).values():
        if not told["description"]:
            del told["description"]
    if not theirs["description"]:
        del theirs["description"]
    theirs["parameters"].setdefault("properties", {})
    ours["parameters"].pop("additionalProperties", None)
    if function is _untyped:  # theirs: a required text
        theirs["parameters"]["properties"]["b"] = {"type": "integer"}
        theirs["parameters"]["required"] = ["a"]
    assert ours == theirs


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        (str, {"type": "string"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
        (int | None, {"type": "integer"}),
        (Literal["a", "b"] | None, {"type": "string", "enum": ["a", "b"]}),
        (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (int | str | None, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (Unit, {"type": "string", "enum": ["C", "F"], "description": "Of temperature."}),
        (Annotated[int, "How many."], {"type": "integer", "description": "How many."}),
        (
            Annotated[int, pydantic.Field(ge=1, description="How many.")],
            {"type": "integer", "minimum": 1, "description": "How many."},
        ),
        (datetime.date, {"type": "string", "format": "date"}),
        (Any, {}),
        (
            Place,
            {
                "type": "object",
                "description": "A place.",
                "properties": {
                    "city": {"type": "string", "description": "Its name."},
                    "country": {"type": "string", "default": "FR"},
                },
                "required": ["city"],
                "additionalProperties": False,
            },
        ),
        (
            list[Unit],
            {
                "type": "array",
                "items": {"type": "string", "enum": ["C", "F"], "description": "Of temperature."},
            },
        ),
    ],
)
def test_how_types_are_told(hint, told):
    def function(x):
        pass

    function.__annotations__["x"] = hint

    assert properties_of(function) == {"x": told}


def test_a_parameter_may_be_absent_where_it_has_a_default_or_may_be_none():
    def function(
        a: int, b: int = 1, c: int | None = None, d: int | str | None = 2, e: int | None = 5
    ):
        pass

    assert tool_of(function).definition["function"]["parameters"]["required"] == ["a"]


def test_a_type_that_holds_itself_keeps_its_definition():
    def function(tree: Tree):
        pass

    told = tool_of(function).definition["function"]["parameters"]

    assert told["properties"] == {"tree": {"$ref": "#/$defs/Tree"}}
    assert told["$defs"]["Tree"]["properties"]["below"]["items"] == {"$ref": "#/$defs/Tree"}
    jsonschema.validate({"tree": {"name": "a", "below": [{"name": "b"}]}}, told)


def test_stars_are_nothing_that_a_model_gives():
    def function(a: int, *rest: int, **more: int):
        return a, rest, more

    assert list(properties_of(function)) == ["a"]
    assert called(function, a=1) == (1, (), {})


@pytest.mark.parametrize(
    "name", ["copy", "json", "schema", "model_config", "_hidden", "self", "type"]
)
def test_a_parameter_may_have_any_name(name):
    scope: dict[str, Any] = {}
    exec(f"def function({name}: int = 0): return {name}", scope)

    assert called(scope["function"], **{name: 3}) == 3


def test_methods_and_decorated_functions_are_tools():
    class Table:
        def mean(self, column: str) -> str:
            """Return the mean."""
            return f"mean of {column}"

    @functools.wraps(weather)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return weather(*args, **kwargs).upper()

    assert list(properties_of(Table().mean)) == ["column"]
    assert called(Table().mean, column="age") == "mean of age"
    assert called(wrapped, city="Rome") == "ROME 1 C"


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        (3, "a int is no tool"),
        (Place, "the class Place is no tool"),
        (lambda x: x, "<lambda> has no name that a model could call"),
        (functools.partial(weather, "Rome"), "partial has no name"),
        ({"name": "f"}, 'a tool as a dict is {"type": "function"'),
        ({"type": "function", "function": {"description": "no name"}}, "a tool as a dict"),
        (types.SimpleNamespace(a=1), "a SimpleNamespace is no tool"),
    ],
)
def test_what_is_no_tool_is_said(tool, words):
    with pytest.raises(BadTool) as caught:
        tools_of([tool])

    assert words in str(caught.value)


def test_a_parameter_that_a_model_cannot_write_is_named():
    def mean(column: str, table: pd.DataFrame) -> float:
        return 0.0

    with pytest.raises(BadTool, match=r"the tool 'mean' takes 'table', .* cannot write: DataFrame"):
        tool_of(mean)


def test_a_hint_that_means_nothing_is_said():
    def mean(column: Nowhere):  # noqa: F821
        pass

    with pytest.raises(
        BadTool, match=r"the tool 'mean' has a signature .* 'Nowhere' is not defined"
    ):
        tool_of(mean)


def test_two_tools_of_one_name_are_refused():
    with pytest.raises(BadTool, match="two tools are called 'weather'"):
        tools_of([weather, weather])


def test_definitions_are_passed_on_as_they_are():
    function = {"name": "f", "parameters": {"type": "object", "minProperties": 1}}
    typed = ollama.Tool(function=ollama.Tool.Function(name="g", description="Do it."))

    f, g = tools_of([{"function": function}, typed]).values()

    assert f.definition == {"type": "function", "function": function}
    assert g.definition["function"] == {"name": "g", "description": "Do it."}
    assert (f.function, g.function) == (None, None)


def test_one_tool_needs_no_list():
    assert list(tools_of(weather)) == list(tools_of([weather])) == ["weather"]
    assert tools_of(None) == {}


# --- docstrings -----------------------------------------------------------------------------------

NUMPY = """Do it well.

Parameters
----------
a : int
    The first,
    in two lines.
b, c : str, optional
    The others.
*args
    The rest.

Returns
-------
d : int
    The result.

Notes
-----
a : nothing
"""
GOOGLE = """Do it well.

Arguments:
    a (int): The first,
        in two lines.
    b: The second: a text.
    **kwargs: The rest.

Returns:
    d: The result.
"""
SPHINX = """Do it well.

:param a: The first,
    in two lines.
:param str b: The second: a text.
:type a: int
:returns: the result
"""


@pytest.mark.parametrize(
    ("doc", "parameters"),
    [
        (
            NUMPY,
            {
                "a": "The first, in two lines.",
                "b": "The others.",
                "c": "The others.",
                "args": "The rest.",
            },
        ),
        (
            GOOGLE,
            {"a": "The first, in two lines.", "b": "The second: a text.", "kwargs": "The rest."},
        ),
        (SPHINX, {"a": "The first, in two lines.", "b": "The second: a text."}),
        ("Do it well.", {}),
        ("Do it well.\n\nParameters\n----------", {}),
        ("Do it well.\n\nArgs:", {}),
        ("Do it well.\n\nArgs:\n    no colon here\n    a: The first.", {"a": "The first."}),
    ],
)
def test_three_styles_of_docstrings(doc, parameters):
    found = described(doc)

    assert (found.summary, found.parameters) == ("Do it well.", parameters)


@pytest.mark.parametrize(
    "doc", [None, "", "Returns: the answer, in words.", "A note: this is prose."]
)
def test_docstrings_without_sections(doc):
    assert described(doc).summary == (doc or "")
