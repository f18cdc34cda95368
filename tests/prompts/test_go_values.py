"""How messages and tools print. What is expected was computed by Ollama's own code, run in Go."""

from __future__ import annotations

from typing import Any

import pytest
from ollama_nb_server.prompts import go_json
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.errors import GoTemplateFailed
from ollama_nb_server.prompts.go import GoChatTemplate

PLAN: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "plan",
        "description": "Plans <b>",
        "parameters": {
            "type": "object",
            "$defs": {"z": 1, "a": 2},
            "required": ["when"],
            "properties": {
                "when": {"type": ["string", "null"], "enum": ["today", None, 1000000, 0.00001]},
                "who": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                "at": {
                    "type": "object",
                    "description": "Where",
                    "properties": {
                        "y": {"type": "number"},
                        "x": {"type": "array", "items": {"b": 1, "a": 2}},
                    },
                },
                "free": {},
            },
        },
    },
}
BARE: dict[str, Any] = {"type": "function", "function": {"name": "bare"}}
AT = (
    '{"type":"object","description":"Where","properties":'
    '{"y":{"type":"number"},"x":{"type":"array","items":{"a":2,"b":1}}}}'
)
PROPERTIES = (
    f'{{"at":{AT},"free":{{}},'
    '"when":{"type":["string","null"],"enum":["today",null,1000000,0.00001]},'
    '"who":{"anyOf":[{"type":"string"},{"type":"integer"}]}}'
)
PARAMETERS = (
    f'{{"type":"object","$defs":{{"a":2,"z":1}},"required":["when"],"properties":{PROPERTIES}}}'
)
FUNCTION = f'{{"name":"plan","description":"Plans \\u003cb\\u003e","parameters":{PARAMETERS}}}'
TOOL = f'{{"type":"function","function":{FUNCTION}}}'
BARE_FUNCTION = '{"name":"bare","description":"","parameters":{"type":"","properties":null}}'
BARE_TOOL = f'{{"type":"function","function":{BARE_FUNCTION}}}'

ARGUMENTS = {
    "big": 1000000,
    "small": 0.00001,
    "list": [1, 2],
    "map": {"k": None},
    "yes": True,
    "none": None,
    "text": '<é"\n>',
    "huge": 1e21,
    "int": 131072,
}
ARGUMENTS_JSON = (
    '{"big":1000000,"huge":1e+21,"int":131072,"list":[1,2],"map":{"k":null},"none":null,'
    '"small":0.00001,"text":"\\u003cé\\"\\n\\u003e","yes":true}'
)
CALL_JSON = f'{{"Index":1,"Name":"f","Arguments":{ARGUMENTS_JSON}}}'
CALLS = (
    {"id": "c1", "function": {"index": 1, "name": "f", "arguments": ARGUMENTS}},
    {"function": {"name": "g"}},
)
TURNS = [
    Turn("user", "hi"),
    Turn("assistant", thinking="hm", tool_calls=CALLS),
    Turn("tool", "7", tool_name="f", tool_call_id="c1"),
]
LOOP = "{{ range .Messages }}{{ end }}"


def of_tools(action: str) -> list[str]:
    """What an action makes of each tool."""
    text = GoChatTemplate.of(LOOP + "{{ range .Tools }}" + action + "\x00{{ end }}").render(
        TURNS, tools=[PLAN, BARE]
    )
    return text.split("\x00")[:-1]


def of_calls(action: str) -> list[str]:
    """What an action makes of each tool call."""
    template = "{{ range .Messages }}{{ range .ToolCalls }}" + action + "\x00{{ end }}{{ end }}"
    return GoChatTemplate.of(template).render(TURNS).split("\x00")[:-1]


@pytest.mark.parametrize("action", ["{{ .Tools }}", "{{ json .Tools }}", "{{ print .Tools }}"])
def test_all_tools_print_as_json(action: str) -> None:
    template = GoChatTemplate.of(LOOP + action)

    assert template.render(TURNS, tools=[PLAN, BARE]) == f"[{TOOL},{BARE_TOOL}]"
    assert template.render(TURNS, tools=[]) == "[]"
    assert template.render(TURNS, tools=None) == "null"


@pytest.mark.parametrize(
    ("action", "plan", "bare"),
    [
        ("{{ . }}", TOOL, BARE_TOOL),
        ("{{ json . }}", TOOL, BARE_TOOL),
        ("{{ json .Function }}", FUNCTION, BARE_FUNCTION),
        ("{{ json .Function.Parameters }}", PARAMETERS, '{"type":"","properties":null}'),
        ("{{ .Function.Parameters.Properties }}", PROPERTIES, "{}"),
        ("{{ json .Function.Parameters.Properties }}", PROPERTIES, "null"),
        ('{{ printf "%v" .Function.Parameters.Properties }}', PROPERTIES, "{}"),
        ("{{ .Function.Parameters.Required }}", "[when]", "[]"),
        ("{{ .Function.Parameters.Defs }}", "map[a:2 z:1]", "<no value>"),
        ("{{ .Items }}", "<no value>", "<no value>"),
        ("{{ len .Function.Parameters.Properties }}", "4", "0"),
        ("{{ toTypeScriptType .Function }}", "any", "any"),
    ],
)
def test_a_tool_prints(action: str, plan: str, bare: str) -> None:
    assert of_tools(action) == [plan, bare]


@pytest.mark.parametrize("action", ["{{ .Function }}", "{{ print .Function }}"])
def test_a_tools_function_prints_as_json_unlike_in_ollama(action: str) -> None:
    assert of_tools(action) == [FUNCTION, BARE_FUNCTION]


def test_what_may_be_anything_is_left_out_only_where_it_is_null() -> None:
    schema = {"type": "object", "items": [], "$defs": "", "required": [], "properties": {}}
    tool = {"type": "function", "items": None, "function": {"name": "f", "parameters": schema}}

    text = GoChatTemplate.of(LOOP + "{{ .Tools }}").render(TURNS, tools=[tool])

    kept = '{"type":"object","$defs":"","items":[],"properties":{}}'
    function = f'{{"name":"f","description":"","parameters":{kept}}}'
    assert text == f'[{{"type":"function","function":{function}}}]'


def test_a_tools_parameters_print_as_json_unlike_in_ollama() -> None:
    assert of_tools("{{ .Function.Parameters }}") == [PARAMETERS, '{"type":"","properties":null}']


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("{{ $n }}", "at free when who"),
        ("{{ $p.Type }}", "object  [string null] "),
        ("{{ toTypeScriptType $p }}", "Record<string, any> any string | null string | number"),
        ("{{ $p.Description }}", "Where   "),
        ("{{ $p.Enum }}", "[] [] [today <nil> 1e+06 1e-05] []"),
        ("{{ $p.Required }}{{ $p.Items }}", "[]<no value> []<no value> []<no value> []<no value>"),
        ("{{ range $p.Type }}{{ . }},{{ end }}", "object,  string,null, "),
        ("{{ range $p.Enum }}{{ . }}/{{ json . }},{{ end }}",
         '  today/"today",<no value>/null,1e+06/1000000,1e-05/0.00001, '),
        ("{{ if $p.Type }}{{ index $p.Type 0 }}{{ end }}", "object  string "),
        ("{{ if $p.Properties }}y{{ else }}n{{ end }}", "y n n n"),
        ("{{ range $p.AnyOf }}{{ .Type }},{{ end }}", "   string,integer,"),
        ("{{ with $p.Properties }}{{ . }}{{ end }}",
         '{"y":{"type":"number"},"x":{"type":"array","items":{"a":2,"b":1}}}   '),
        ("{{ range $k, $_ := $p.Properties }}{{ $k }}{{ end }}", "xy   "),
        ('{{ if eq $n "free" "when" }}{{ $p }}{{ end }}',
         " {[]  <nil>  [] <nil> []} {[] [string null] <nil>  [today <nil> 1e+06 1e-05] <nil> []} "),
    ],
)  # fmt: skip
def test_a_tools_properties_print(action: str, expected: str) -> None:
    loop = "{{ range $n, $p := .Function.Parameters.Properties }}" + action + " {{ end }}"

    assert of_tools(loop) == [f"{expected} ", ""]


@pytest.mark.parametrize(
    ("action", "full", "bare"),
    [
        ("{{ .Function.Arguments }}", ARGUMENTS_JSON, "{}"),
        ("{{ json .Function.Arguments }}", ARGUMENTS_JSON, "null"),
        ('{{ printf "%s" .Function.Arguments }}', ARGUMENTS_JSON, "{}"),
        ("{{ json .Function }}", CALL_JSON, '{"Index":0,"Name":"g","Arguments":null}'),
        ("{{ json . }}", f'{{"ID":"c1","Function":{CALL_JSON}}}',
         '{"ID":"","Function":{"Index":0,"Name":"g","Arguments":null}}'),
        ("{{ .Function }}", f"{{1 f {ARGUMENTS_JSON}}}", "{0 g {}}"),
        ("{{ . }}", f"{{c1 {{1 f {ARGUMENTS_JSON}}}}}", "{ {0 g {}}}"),
        ("{{ .Function.Index }}{{ .ID }}", "1c1", "0"),
        ("{{ .Function.Arguments.big }}", "1e+06", "<no value>"),
        ('{{ index .Function.Arguments "nope" }}', "<no value>", "<no value>"),
        ("{{ range $k, $v := .Function.Arguments }}{{ $k }}={{ $v }},{{ end }}",
         'big=1e+06,huge=1e+21,int=131072,list=[1 2],map=map[k:<nil>],none=<no value>,small=1e-05,'
         'text=<é"\n>,yes=true,', ""),
        ("{{ range $k, $v := .Function.Arguments }}{{ json $v }},{{ end }}",
         '1000000,1e+21,131072,[1,2],{"k":null},null,0.00001,"\\u003cé\\"\\n\\u003e",true,', ""),
        ("{{ if .Function.Arguments }}y{{ else }}n{{ end }}", "y", "n"),
    ],
)  # fmt: skip
def test_a_tool_call_prints(action: str, full: str, bare: str) -> None:
    assert of_calls(action) == [full, bare]


def test_the_index_of_a_call_may_stand_beside_its_function() -> None:
    turn = Turn("assistant", tool_calls=({"index": 2, "function": {"name": "f"}},))
    template = GoChatTemplate.of(
        "{{ range .Messages }}{{ range .ToolCalls }}{{ .Function.Index }}{{ end }}{{ end }}"
    )

    assert template.render([turn]) == "2"


def test_a_message_has_all_of_ollamas_fields() -> None:
    template = GoChatTemplate.of(
        "{{ range .Messages }}{{ .Role }}|{{ .Content }}|{{ .Thinking }}|{{ len .ToolCalls }}|"
        "{{ .ToolName }}|{{ .ToolCallID }}\n{{ end }}"
    )

    assert template.render(TURNS) == "user|hi||0||\nassistant||hm|2||\ntool|7||0|f|c1\n"


def test_a_message_as_json_keeps_gos_names() -> None:
    template = GoChatTemplate.of("{{ range .Messages }}{{ json . }}{{ end }}")

    assert template.render(TURNS[:1]) == (
        '{"Role":"user","Content":"hi","Thinking":"","Images":null,"ToolCalls":null,'
        '"ToolName":"","ToolCallID":""}'
    )


def test_a_message_knows_how_many_images_it_has() -> None:
    template = GoChatTemplate.of(
        "{{ range .Messages }}{{ len .Images }}{{ if .Images }}+{{ end }}{{ end }}"
    )

    assert template.render(
        [Turn("user", "a"), Turn("assistant"), Turn("user", images=(b"",) * 2)]
    ) == ("002+")


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ range .Messages }}{{ .Nope }}{{ end }}",
         ":1:24: executing \"\" at <.Nope>: can't evaluate field Nope in type "
         "*template.templateMessage"),
        ("{{ range .Messages }}{{ end }}{{ range .Tools }}{{ .Function.Nope }}{{ end }}",
         ":1:60: executing \"\" at <.Function.Nope>: can't evaluate field Nope in type "
         "template.templateToolFunction"),
        ("{{ range .Messages }}{{ range .ToolCalls }}{{ .Function.Arguments.map.k }}{{ end }}"
         "{{ end }}",
         ':1:55: executing "" at <.Function.Arguments.map.k>: nil pointer evaluating '
         "interface {}.k"),
        ("{{ range .Messages }}{{ end }}{{ .Nope.X }}",
         ':1:38: executing "" at <.Nope.X>: nil pointer evaluating interface {}.X'),
        ("{{ range .Messages }}{{ end }}{{ json }}",
         ':1:33: executing "" at <json>: wrong number of args for json: want 1 got 0'),
        ("{{ range .Messages }}{{ end }}{{ currentDate 1 }}",
         ':1:33: executing "" at <currentDate 1>: error calling currentDate: expected string; '
         "found 1"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_in_gos_words(template: str, reason: str) -> None:
    with pytest.raises(GoTemplateFailed) as failed:
        GoChatTemplate.of(template).render(TURNS, tools=[PLAN])

    assert str(failed.value) == f"template: {reason}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1.0, "a": [None, True, 3]}, '{"a":[null,true,3],"b":1}'),
        ("<&>\u2028\t\ud800", '"\\u003c\\u0026\\u003e\\u2028\\t\ufffd"'),
        ([0.0, 1e6, 1e20, 1e21, 1.5e-7, 1e-6, 123456789.25, -0.5],
         "[0,1000000,100000000000000000000,1e+21,1.5e-7,0.000001,123456789.25,-0.5]"),
        (go_json.Ordered(b=1, a=2), '{"b":1,"a":2}'),
    ],
)  # fmt: skip
def test_json_is_that_of_go(value: Any, expected: str) -> None:
    assert go_json.encode(value) == expected


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_json_has_no_form_for_what_is_no_number(value: float) -> None:
    with pytest.raises(ValueError, match="no form in JSON"):
        go_json.encode(value)
