"""An answer of each family that models name, in its published form, and pieces to break it with.

`tools/record_parsers.py` asks Ollama what it makes of them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from native_examples import OSLO, TOOLS, UTC

__all__ = ["EXAMPLES", "OSLO", "TOOLS", "UTC", "Example", "broken"]

JSON_OSLO = '{"name": "get_weather", "arguments": {"city": "Oslo", "days": 3}}'
JSON_UTC = '{"name": "get_time", "arguments": {"zone": "UTC"}}'
QWEN_JSON = (
    f"<tool_call>\n{JSON_OSLO}\n</tool_call>",
    f"<tool_call>\n{JSON_UTC}\n</tool_call>",
)
QWEN_TAGS = (
    "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n"
    "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>",
    "<tool_call>\n<function=get_time>\n<parameter=zone>\nUTC\n</parameter>\n</function>\n</tool_call>",
)
GLM = (
    "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Oslo</arg_value>"
    "<arg_key>days</arg_key><arg_value>3</arg_value></tool_call>",
    "<tool_call>get_time\n<arg_key>zone</arg_key>\n<arg_value>UTC</arg_value>\n</tool_call>",
)
DEEPSEEK = (
    "<｜tool▁calls▁begin｜>"
    '<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Oslo", "days": 3}<｜tool▁call▁end｜>'
    '<｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{"zone": "UTC"}<｜tool▁call▁end｜>'
    "<｜tool▁calls▁end｜>",
)
COGITO = (
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n"
    '{"city": "Oslo", "days": 3}\n```<｜tool▁call▁end｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>'
    'get_time\n```json\n{"zone": "UTC"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
)
OLMO = ('<function_calls>get_weather(city="Oslo", days=3)\nget_time(zone="UTC")</function_calls>',)
LFM = (
    "<|tool_call_start|>[get_weather(city=\"Oslo\", days=3), get_time(zone='UTC')]<|tool_call_end|>",
)
GEMMA = (
    '<|tool_call>call:get_weather{city:<|"|>Oslo<|"|>,days:3}<tool_call|>',
    '<|tool_call>call:get_time{zone:<|"|>UTC<|"|>}<tool_call|>',
)
FUNCTIONGEMMA = (
    "<start_function_call>call:get_weather{city:<escape>Oslo<escape>,days:3}<end_function_call>",
    "<start_function_call>call:get_time{zone:<escape>UTC<escape>}<end_function_call>",
)
MINISTRAL = (
    '[TOOL_CALLS]get_weather[ARGS]{"city": "Oslo", "days": 3}',
    '[TOOL_CALLS]get_time[ARGS]{"zone": "UTC"}',
)
COHERE = (
    '<|START_ACTION|>[\n\n    {"tool_call_id": "0", "tool_name": "get_weather", "parameters": '
    '{"city": "Oslo", "days": 3}},\n\n    {"tool_call_id": "1", "tool_name": "get_time", '
    '"parameters": {"zone": "UTC"}}\n\n]<|END_ACTION|>',
)
ATEM = (
    " to=get_weather<|message|><atem:function_calls>\n"
    '<atem:invoke name="get_weather">\n<atem:parameter name="city">Oslo</atem:parameter>\n'
    '<atem:parameter name="days">3</atem:parameter>\n</atem:invoke>\n</atem:function_calls><|eom|>',
    '<|start|>assistant to=get_time<|message|><atem:function_calls>\n<atem:invoke name="get_time">\n'
    '<atem:parameter name="zone">UTC</atem:parameter>\n</atem:invoke>\n</atem:function_calls><|eot|>',
)
HARMONY = (
    "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>"
    '{"city": "Oslo", "days": 3}',
)
THOUGHT = "Where is Oslo?"


@dataclass(frozen=True)
class Example:
    """An answer: `before` its calls, which have a thought in it if thinking is on.

    `pieces` are what broken ones are made of beside these: tags, halves, bad calls.
    """

    name: str
    calls: tuple[str, ...]
    before: str = "Let me look.\n"
    thought: str = ""
    expected: tuple[tuple[str, dict[str, object]], ...] = (OSLO, UTC)
    pieces: tuple[str, ...] = ()
    situation: dict[str, object] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The whole of it."""
        return self.thought + self.before + "\n".join(self.calls)


THINKS = f"{THOUGHT}\n</think>\n\n"
TAGGED = (
    "</tool_call>",
    "<tool_call>",
    "<tool_call>oops</tool_call>",
    "<tool",
    "<function=get_time>",
)
UNKNOWN = '<tool_call>{"name": "zip", "arguments": {}}</tool_call>'
NO_NAME = '<tool_call>{"arguments": {}}</tool_call>'
VALUES = (
    "<tool_call><function=get_weather><parameter=city>\n<b> & </b>\n</parameter><parameter=exact>yes"
    "</parameter><parameter=hours>[1, 2.0]</parameter></function></tool_call>",
    "<tool_call><function=zip><parameter=a>NULL</parameter></function></tool_call>",
    "<tool_call><function=get_time><parameter=zone>x</function></tool_call>",
)
KEYED = (
    "<tool_call>get_weather city</arg_key><arg_value>Oslo</tool_call>",
    "<tool_call>get_weather<arg_key>days</arg_key></tool_call>",
    "<tool_call>zip<arg_key>a</arg_key><arg_value>1</arg_value></tool_call>",
    "<tool_call></tool_call>",
)
SECTION_PIECES = ("<｜tool▁calls▁begin｜><｜tool▁calls▁end｜>", "{", "｜")

EXAMPLES = (
    Example("qwen3", QWEN_JSON, pieces=(*TAGGED, UNKNOWN, NO_NAME, "<think>", "</think>")),
    Example("qwen3-thinking", QWEN_JSON, thought=THINKS, pieces=(UNKNOWN, "<think>", "</think>", "<to")),
    Example("qwen3-vl-instruct", QWEN_JSON, pieces=(*TAGGED, UNKNOWN, "</think>")),
    Example("qwen3-vl-thinking", QWEN_JSON, thought=THINKS, pieces=(UNKNOWN, "</think>", "</thi")),
    Example("qwen3-coder", QWEN_TAGS, pieces=(*TAGGED, *VALUES)),
    Example("qwen3.5", QWEN_TAGS, thought=THINKS, pieces=(*VALUES, "<think>")),
    Example("ornith", QWEN_TAGS, thought=THINKS, pieces=(*VALUES, "<think>")),
    Example("nemotron-3-nano", QWEN_TAGS, thought=THINKS, pieces=(*VALUES, "<think>")),
    Example("nemotron-3.5-nano", QWEN_TAGS, thought=THINKS, pieces=(*VALUES, "</thi")),
    Example("glm-4.7", GLM, thought=THINKS, pieces=(*KEYED, "</think>", "<tool")),
    Example("glm-ocr", GLM, thought=f"<think>{THINKS}", pieces=(*KEYED, "</think>", "<think>")),
    Example("laguna", GLM, thought=THINKS, pieces=(UNKNOWN, *KEYED[1:3]), situation={"think": True}),
    Example("poolside-v1", GLM, thought=THINKS, pieces=(UNKNOWN, *KEYED[1:3]), situation={"think": True}),
    Example("deepseek3", DEEPSEEK, thought=THINKS, pieces=SECTION_PIECES, situation={"think": True}),
    Example("cogito", COGITO, pieces=SECTION_PIECES, situation={"think": True}),
    Example("olmo3", OLMO, pieces=("<function_calls>oops</function_calls>x", "x(a='b')", "<func")),
    Example("olmo3-think", (), thought=THINKS, expected=(), pieces=("<think>", "</thi")),
    Example("lfm2", LFM, pieces=('f(a="b")', "[", "<think>")),
    Example("lfm2-thinking", LFM, thought=f"<think>{THINKS}", pieces=("[", "</think>"), situation={"think": True}),
    Example("gemma4", GEMMA, thought=f"<|channel>thought\n{THOUGHT}<channel|>\n", pieces=(
        "<|tool_call>call:get_time{zone:'UTC'}<tool_call|>x", "<|tool_call>call:get_time{zone:UTC}<tool_call|>x",
        '<|tool_call>call:get_weather{city:<|"|>a "b" {,c:<|"|>,place:{x:1.0}}<tool_call|>x',
        "<|tool_call>oops<tool_call|>x", "<|tool_call>call:stop{}<tool_call|><|tool_response>x",
    ), situation={"think": True}),
    Example("gemma4-no-thinking", GEMMA, pieces=("<|tool_call>call:stop{}x<tool_call|>x", "{")),
    Example("functiongemma", FUNCTIONGEMMA, pieces=(
        "<start_function_call>oops<end_function_call>x", "<start_f", "<escape>",
        "<start_function_call>call:f{a:[1,<escape>x, y<escape>],b:{c:true},d:12 Main St}<end_function_call>x",
    )),
    Example("ministral", MINISTRAL, pieces=("[THINK]Hm.[/THINK]", "[TOOL", '[TOOL_CALLS]zip[ARGS]{"a":1}', "[/THINK]")),
    Example("cohere", COHERE, before="", thought=f"{THOUGHT}<|END_THINKING|>", pieces=("<|START_TEXT|>Hello<|END_TEXT|>", "<|START_RESPONSE|>Hi<|END_RESPONSE|>")),
    Example("harmony", HARMONY, before="", thought=f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant", expected=(OSLO,), pieces=("<|channel|>final<|message|>Hello<|end|>", "<|start|>assistant")),
    Example("glimmer", ATEM, before="", thought=f" to=self<|message|>{THOUGHT}<|eom|><|start|>assistant", pieces=(" to=user<|message|>Hello<|eot|>", "<|start|>assistant", "<|message|>Hi<|eom|>")),
    Example("passthrough", (), expected=(), pieces=("<think>", "<tool_call>")),
)  # fmt: skip


def broken(example: Example, count: int) -> list[str]:
    """Texts of its pieces, the same ones every time."""
    pick = random.Random(example.name)
    words = ("word", " ", "\n", "Hi there", '"', "<", "é")
    pieces = [*example.calls, *example.pieces, *example.pieces, *words]
    if example.thought:
        pieces.append(example.thought)
    return ["".join(pick.choices(pieces, k=pick.randint(1, 6))) for _ in range(count)]
