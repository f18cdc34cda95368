"""Conversations that renderers are tried on: read by `record_renderers`, whose output tests read.

A case is the part of a chat request that a renderer sees. Images are given as their number.
"""

from __future__ import annotations

from typing import Any

Case = dict[str, Any]


def system(text: str, **more: Any) -> dict[str, Any]:
    """What the model is told."""
    return {"role": "system", "content": text, **more}


def user(text: str, **more: Any) -> dict[str, Any]:
    """A question."""
    return {"role": "user", "content": text, **more}


def assistant(text: str = "", **more: Any) -> dict[str, Any]:
    """An answer."""
    return {"role": "assistant", "content": text, **more}


def result(text: str, **more: Any) -> dict[str, Any]:
    """What a tool gave back."""
    return {"role": "tool", "content": text, **more}


def call(name: str, own: str = "", /, **arguments: Any) -> dict[str, Any]:
    """A call of a tool."""
    called = {"function": {"name": name, "arguments": arguments}}
    return called | ({"id": own} if own else {})


def tool(name: str, description: str = "", parameters: Any = None, **more: Any) -> dict[str, Any]:
    """A tool."""
    function: dict[str, Any] = {"name": name}
    function |= {"description": description} if description else {}
    function |= {"parameters": parameters} if parameters is not None else {}
    return {"type": "function", "function": function, **more}


WEATHER = tool(
    "get_weather",
    'The weather in a city <today> & "tomorrow"',
    {
        "type": "object",
        "required": ["city"],
        "properties": {
            "city": {"type": "string", "description": "Name, such as <Köln>"},
            "unit": {"type": "string", "enum": ["°C", "°F"], "default": "°C"},
        },
    },
)
# Each schema has one keyword besides type and description at most: Ollama's renderer of Qwen3-Coder
# writes others in an order of chance.
SCHEMAS = tool(
    "plan.trip",
    "",
    {
        "type": "object",
        "properties": {
            "when": {"type": ["string", "null"], "description": "Day"},
            "stops": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string", "enum": ["a", "b"], "nullable": True},
                        "at": {"type": ["number", "null"]},
                        "more": {"type": "object", "required": ["x"], "of": {"type": "integer"}},
                        "tags": {"type": "array", "items": {"type": "string", "maxItems": 3.5}},
                    },
                    "required": ["name", 1],
                    "additionalProperties": {"b": [1, 2.5, None, True], "a": "<t>"},
                },
            },
            "mode": {"anyOf": [{"type": "string"}, {"type": ["integer", "string"]}]},
            "either": {"anyOf": [{"type": "string", "description": "d"}, {"type": "null"}]},
            "nested": {
                "type": "object",
                "properties": {"z": {"type": "string"}, "a": {"type": "number"}},
            },
            "none": {"type": "object", "items": {}},
            "free": {"description": " Anything\n"},
            "list": {"type": "array", "items": False},
        },
    },
)
DEFINED = tool("plan.hotel", " A room\n", {"type": "object", "$defs": {"b": 1, "a": ["<x>", None]}})
BARE = tool("now")
UNTYPED = tool("look", "", {"properties": {"at": {"type": "string"}}})

ROUND_TRIP = [
    system("Use tools."),
    user("Weather in Oslo and Rome?"),
    assistant(
        "I look.",
        thinking="Two calls.",
        tool_calls=[
            call("get_weather", "call_1", city="Oslo", days=3, exact=True),
            call("get_weather", "call_2", unit="<°C>", city='"Rome"', note="two\nlines"),
        ],
    ),
    result('7 degrees, "rain"', tool_name="get_weather", tool_call_id="call_1"),
    result("<b>20</b> degrees", tool_call_id="call_2"),
    assistant("Oslo 7, Rome 20.", thinking="\nCompare.\n"),
    user("And Bern?"),
    assistant(tool_calls=[call("get_weather", city="Bern")]),
    result("12"),
]
VALUES: dict[str, Any] = {
    "whole": 1,
    "half": 0.5,
    "large": 1e21,
    "million": 1_000_000,
    "tiny": 1e-7,
    "no": False,
    "none": None,
    "list": [1, "two", None, {"b": 1.5, "a": [True]}],
    "a": {"z": "<&>", "b": {"y": 1, "x": []}},
    "empty": {},
    "text": "\tit's\\",
}

CASES: dict[str, Case] = {
    "nothing": {"messages": []},
    "one question": {"messages": [user("Why is grass green?")]},
    "not thinking": {"messages": [user("Why?")], "think": False},
    "thinking": {"messages": [system("Be brief."), user("Why?")], "think": True},
    "little thinking": {"messages": [user("Why?")], "think": "low"},
    "some thinking": {"messages": [system(" "), user("Why?")], "think": "medium"},
    "much thinking": {"messages": [user("Why?")], "think": "max"},
    "system only": {"messages": [system("Be brief.")], "tools": [BARE]},
    "turns": {
        "messages": [
            system(" Answer in one line. Reasoning effort matters.\n"),
            user("\nWhy is grass green? "),
            assistant(" Chlorophyll.\n", thinking=" Plants. "),
            user("And the sea?"),
        ],
    },
    "an answer begun": {
        "messages": [user("Count."), assistant("One, two,", thinking="Easy.")],
        "think": True,
    },
    "an answer begun without thoughts": {
        "messages": [user("Count."), assistant("One, two,", thinking="Easy.")],
        "think": False,
    },
    "an answer begun with thoughts only": {
        "messages": [user("Count."), assistant("", thinking="Easy.")],
        "think": True,
    },
    "thoughts in contents": {
        "messages": [
            user("a"),
            assistant("<think>\nold\n</think>\n\nb"),
            user("c"),
            assistant("no open</think> d</think>e"),
            assistant("f <think>"),
            assistant("<|channel>thought\ng<channel|>h<|channel>i"),
            assistant("j", thinking="k"),
        ],
        "think": True,
    },
    "thoughts in contents, not thinking": {
        "messages": [
            user("a"),
            assistant("<think>b</think>c", tool_calls=[call("now")]),
            result("d"),
            assistant("<think>e</think>f"),
            user("g"),
            assistant("h<think>", tool_calls=[call("now")]),
            assistant("<think>i</think>j"),
            user("k"),
            assistant("\n"),
        ],
        "think": False,
    },
    "a round trip": {"messages": ROUND_TRIP, "tools": [WEATHER, BARE], "think": True},
    "a round trip, not thinking": {"messages": ROUND_TRIP[1:], "tools": [WEATHER], "think": False},
    "calls at the end": {"messages": ROUND_TRIP[:3], "tools": [BARE]},
    "calls that nobody answers": {
        "messages": [
            user("a"),
            assistant("b", tool_calls=[call("f", "1")]),
            user("c"),
            assistant(tool_calls=[call("g", "1"), call("h", "2")]),
            assistant("d"),
            result("e", tool_call_id="3", tool_name="i"),
            user("f"),
        ],
        "tools": [DEFINED],
    },
    "results first": {
        "messages": [result("a"), result("b", tool_call_id="x"), assistant("c"), result("d")],
    },
    "values": {
        "messages": [user("a"), assistant(" ", tool_calls=[call("f", **VALUES), call("g")])],
        "tools": [SCHEMAS],
        "think": True,
    },
    "schemas": {"messages": [user("Plan.")], "tools": [SCHEMAS, DEFINED, WEATHER, BARE]},
    "a tool without a name": {
        "messages": [system(" "), user("a")],
        "tools": [
            {"type": "", "items": "<i>", "function": {"parameters": {"properties": None}}},
            UNTYPED,
        ],
    },
    "several systems": {
        "messages": [
            system("One."),
            user("a"),
            system(" Two: reasoning strength is low."),
            assistant("b"),
            system(""),
            user("c"),
        ],
        "think": True,
    },
    "late system": {"messages": [user("a"), system("Late."), user("b")], "tools": [WEATHER]},
    "a developer": {
        "messages": [{"role": "developer", "content": " Be kind. "}, user("a")],
        "tools": [BARE],
    },
    "odd roles": {
        "messages": [
            user("a"),
            {"role": "critic", "content": " b "},
            {"role": "model", "content": "c"},
            {"role": "chatbot", "content": "d", "thinking": "e"},
            {"role": "", "content": "f"},
        ],
    },
    "results as questions": {
        "messages": [
            user("a"),
            assistant("b", thinking="c"),
            user(" <tool_response>\nd\n</tool_response>"),
            assistant("e", thinking="f"),
            user("<tool_response>\ng\n</tool_response>"),
            assistant("\n\nh\n", thinking="\ni\n", tool_calls=[call("now")]),
            result("j"),
        ],
        "think": True,
    },
    "half a result as a question": {
        "messages": [
            user("a"),
            assistant("b", thinking="c"),
            user("<tool_response>d"),
            assistant("e", thinking="f"),
            user("<|channel>g<channel|>h</tool_response>"),
        ],
        "think": True,
    },
    "several results": {
        "messages": [
            user("a"),
            assistant("\n", tool_calls=[call("f"), call("g"), call("h")]),
            result("1"),
            {"role": "critic", "content": "b"},
            result("2"),
            result("3"),
        ],
        "tools": [BARE],
    },
    "a result without a call": {
        "messages": [
            user("a"),
            assistant(tool_calls=[call("f")]),
            result("1"),
            {"role": "critic", "content": "b"},
            user("c"),
            result("2"),
        ],
    },
    "results at the end": {
        "messages": [
            user("a"),
            assistant(" ", tool_calls=[call("f"), call("g")]),
            result("1"),
            result("2"),
        ],
    },
    "calls after an answer": {
        "messages": [user("a"), assistant("b"), assistant("c", tool_calls=[call("f")])],
    },
    "a blank system": {"messages": [system(" "), user("a")]},
    "system at the end": {"messages": [user("a"), assistant("b"), system("c")]},
    "no question": {"messages": [user("<tool_response>a</tool_response>"), assistant("b")]},
    "images": {
        "messages": [
            user("left [img], right", images=2),
            assistant("a", images=1),
            user(" blank", images=1),
            user("", images=1),
            user("[img-0] own", images=1),
            result("\ufffd", images=1),
            user("last", images=2),
        ],
        "think": False,
    },
    "an image of the system": {"messages": [system("a", images=1), user("b", images=1)]},
    "switches": {
        "messages": [
            system("a /think </think>"),
            user("b /no_think"),
            assistant("c"),
            user("d /nothink"),
        ],
        "think": False,
    },
    "switched off": {"messages": [user("a /no_think b")]},
    "Gemma's own offer": {
        "messages": [
            system("You can do function calling with the following functions: "),
            user("a"),
        ],
        "tools": [BARE],
    },
    "LFM2's own marks": {
        "messages": [
            user("a"),
            assistant("<|tool_call_start|>[f()]<|tool_call_end|>", tool_calls=[call("f")]),
            result("<|tool_response_start|>b<|tool_response_end|>"),
        ],
    },
    "blanks": {
        "messages": [
            system("\u00a0a\u2003"),
            user("\x1cb\x85"),
            assistant("\n\nc\n", thinking="\n"),
            user("\ue000d\ue001"),
        ],
        "think": True,
    },
}
