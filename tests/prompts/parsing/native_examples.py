"""An answer of each family that llama.cpp tells by its Jinja template, in its published form.

What a row's text is parsed to: a thought, words, and calls with the ids that the model wrote.
"""

from __future__ import annotations

from dataclasses import dataclass

from ollama_nb_server.prompts.parsing.parts import Tool

TOOLS = (
    Tool(
        "get_weather",
        {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 1},
                "units": {"enum": ["metric", "imperial"]},
                "hours": {"type": "array", "items": {"type": "integer"}},
                "place": {"$ref": "#/$defs/place"},
                "note": {"type": ["string", "null"]},
                "exact": {"type": "boolean"},
                "code": {"type": "string", "pattern": "^[0-9]{1,3}$"},
            },
            "required": ["city"],
            "$defs": {
                "place": {"type": "object", "properties": {"x": {"type": "number"}}},
            },
        },
    ),
    Tool("get_time", {"type": "object", "properties": {"zone": {"type": "string"}}}),
    Tool("stop", {"type": "object", "properties": {}}),
)
OSLO = ("get_weather", {"city": "Oslo", "days": 3})
UTC = ("get_time", {"zone": "UTC"})
JSON_OSLO = '{"name": "get_weather", "arguments": {"city": "Oslo", "days": 3}}'
JSON_UTC = '{"name": "get_time", "arguments": {"zone": "UTC"}}'


@dataclass(frozen=True)
class Example:
    """An answer, and what it is parsed to; `prompt` is the end of the prompt before it."""

    family: str
    template: str
    text: str
    thinking: str = ""
    content: str = ""
    calls: tuple[tuple[str, dict[str, object]], ...] = (OSLO, UTC)
    ids: tuple[str, ...] = ("", "")
    prompt: str = ""


EXAMPLES = (
    Example(
        "gpt-oss",
        "<|channel|>",
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>Look.<|end|>"
        "<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>"
        '{"city": "Oslo", "days": 3}',
        "Hm.",
        "Look.",
        calls=(OSLO,),
        ids=("",),
        prompt="<|start|>assistant",
    ),
    Example(
        "Glimmer",
        "<atem:function_calls> <|eom|>",
        " to=self<|message|>Hm.<|eom|><|start|>assistant to=get_weather<|message|><atem:function_calls>\n"
        '<atem:invoke name="get_weather">\n<atem:parameter name="city">Oslo</atem:parameter>\n'
        '<atem:parameter name="days">3</atem:parameter>\n</atem:invoke>\n</atem:function_calls><|eom|><|start|>'
        'assistant to=get_time<|message|><atem:function_calls>\n<atem:invoke name="get_time">\n<atem:parameter '
        'name="zone">UTC</atem:parameter>\n</atem:invoke>\n</atem:function_calls><|eot|>',
        "Hm.",
        prompt="<|start|>assistant",
    ),
    Example(
        "Gemma 4",
        "<|tool_call>call: <|channel>thought\n",
        '<|channel>thought\nHm.\n<channel|>Look.<|tool_call>call:get_weather{city:<|"|>Oslo<|"|>,days:3}<tool_call|>'
        '<|tool_call>call:get_time{zone:<|"|>UTC<|"|>}<tool_call|><|tool_response>',
        "Hm.\n",
        "Look.",
        prompt="<|turn>model\n",
    ),
    Example(
        "Gemma 4 that thinks again",
        "<|tool_call>call: <|channel>thought\n",
        "<|channel>thought\nHm.<channel|>Look.<|channel>thought\n Oh.<channel|>Done.",
        "Hm.Oh.",
        "Look.Done.",
        calls=(),
        ids=(),
    ),
    Example(
        "Gemma 4 told not to think",
        "<|tool_call>call: <|channel>thought\n",
        "Look.",
        content="Look.",
        calls=(),
        ids=(),
        prompt="<|turn>model\n<|channel>thought\n<channel|>",
    ),
    Example(
        "FunctionGemma",
        "<start_function_call>",
        "<start_function_call>call:get_weather{city:<escape>Oslo<escape>,days:3}<end_function_call>"
        "<start_function_call>call:get_time{zone:<escape>UTC<escape>}<end_function_call>",
    ),
    Example(
        "LFM2",
        "List of tools: <|tool_list_start|> <think>",
        "<think>Hm.</think>Look: <|tool_call_start|>[get_weather(city='Oslo', days=3), get_time(zone=\"UTC\")]"
        "<|tool_call_end|>",
        "Hm.",
        "Look: ",
    ),
    Example(
        "LFM2.5",
        "List of tools: [",
        "<|tool_call_start|>[stop(), get_weather(city='Oslo', days=3)]<|tool_call_end|>",
        calls=(("stop", {}), OSLO),
    ),
    Example(
        "Hermes",
        "<think> <tool_call>",
        f"<think>\nHm.\n</think>\n\nLook: <tool_call>\n{JSON_OSLO}\n</tool_call>\n<tool_call>\n{JSON_UTC}\n</tool_call>",
        "Hm.\n",
        "Look: ",
    ),
    Example(
        "Hermes behind an opened thought",
        "<tool_call> <think>",
        f"Hm.\n</think>\n\n<tool_call>\n{JSON_OSLO}\n</tool_call>",
        "Hm.\n",
        calls=(OSLO,),
        ids=("",),
        prompt="<|im_start|>assistant\n<think>\n",
    ),
    Example(
        "Hermes whose template knows no thoughts",
        "<tool_call>",
        f"<think>Hm.</think><tool_call>{JSON_OSLO}</tool_call>",
        content="<think>Hm.</think>",
        calls=(OSLO,),
        ids=("",),
    ),
    Example(
        "Hermes behind an empty thought",
        "<tool_call> <think>",
        f"<think> is a tag. <tool_call>{JSON_OSLO}</tool_call>",
        content="<think> is a tag. ",
        calls=(OSLO,),
        ids=("",),
        prompt="<think>\n\n</think>\n\n",
    ),
    Example(
        "Hermes with a closing tag in a value",
        "<tool_call>",
        '<tool_call>\n{"name": "get_time", "arguments": {"zone": "</tool_call>"}}\n</tool_call>Done.',
        content="Done.",
        calls=(("get_time", {"zone": "</tool_call>"}),),
        ids=("",),
    ),
    Example(
        "Hermes that forgets to close",
        "<tool_call>",
        f"<tool_call>\n{JSON_OSLO}",
        calls=(OSLO,),
        ids=("",),
    ),
    Example(
        "Qwen3-Coder",
        "<tool_call> <function= <parameter=",
        "Look: <tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n<parameter=days>\n3\n"
        "</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=get_time>\n<parameter=zone>\nUTC\n"
        "</parameter>\n</function>\n</tool_call>",
        content="Look: ",
    ),
    Example(
        "Qwen3-Coder without the outer tag",
        "<tool_call> <function= <parameter=",
        "<function=get_time>\n<parameter=zone>\nUTC\n</parameter>\n</function>\n</tool_call>",
        calls=(UTC,),
        ids=("",),
    ),
    Example(
        "Qwen3-Coder, two in one tag, and a closing tag in a value",
        "<tool_call> <function= <parameter=",
        "<tool_call>\n<function=get_time>\n<parameter=zone>\nUTC\n</parameter>\n</function>\n<function=get_time>\n"
        "<parameter=zone>\nbehind </tool_call>\n</parameter>\n</function>\n</tool_call>",
        calls=(UTC, ("get_time", {"zone": "behind </tool_call>"})),
    ),
    Example(
        "Qwen3.5, a call in the thought",
        "<tool_call> <function= <parameter= <think>",
        "Hm.\n<tool_call>\n<function=get_weather>\n<parameter=city>\n <b>Oslo</b>\nby sea \n</parameter>\n"
        "<parameter=note>\nnull\n</parameter>\n<parameter=hours>\n[1, 2]\n</parameter>\n</function>\n</tool_call>",
        "Hm.\n",
        calls=(("get_weather", {"city": " <b>Oslo</b>\nby sea ", "note": None, "hours": [1, 2]}),),
        ids=("",),
        prompt="<think>\n",
    ),
    Example(
        "Seed-OSS",
        "<seed:tool_call> <seed:think>",
        "<seed:think>Hm.</seed:think>\n<seed:tool_call>\n<function=get_weather>\n<parameter=city>Oslo</parameter>\n"
        '<parameter=place>{"x": 1.5}</parameter>\n</function>\n</seed:tool_call>\n<seed:tool_call>\n<function=get_time>\n'
        "<parameter=zone>UTC</parameter>\n</function>\n</seed:tool_call>",
        "Hm.",
        calls=(("get_weather", {"city": "Oslo", "place": {"x": 1.5}}), UTC),
    ),
    Example(
        "MiniMax M2",
        "<minimax:tool_call> <think>",
        'Hm.\n</think>\n\n<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Oslo</parameter>\n'
        '<parameter name="days">3</parameter>\n</invoke>\n<invoke name="get_time">\n<parameter name="zone">UTC'
        "</parameter>\n</invoke>\n</minimax:tool_call>",
        "Hm.\n",
        prompt="]~b]ai\n<think>\n",
    ),
    Example(
        "MiniMax M3",
        "]<]minimax[>[ <invoke name= <mm:think>",
        '<mm:think>Hm.</mm:think>Look.]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name="get_weather">]<]minimax[>[<city>'
        " Oslo </x>]<]minimax[>[</city>]<]minimax[>[<hours>]<]minimax[>[<item>1]<]minimax[>[</item>]<]minimax[>[</hours>"
        "]<]minimax[>[<place>]<]minimax[>[<x>1.5]<]minimax[>[</x>]<]minimax[>[</place>]<]minimax[>[</invoke>\n"
        ']<]minimax[>[<invoke name="stop">]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>',
        "Hm.",
        "Look.",
        calls=(
            ("get_weather", {"city": " Oslo </x>", "hours": [1], "place": {"x": 1.5}}),
            ("stop", {}),
        ),
    ),
    Example(
        "MiniMax M3 that thinks nothing",
        "]<]minimax[>[ <invoke name= <mm:think>",
        "</mm:think>It is warm.",
        content="It is warm.",
        calls=(),
        ids=(),
    ),
    Example(
        "MiniMax M1",
        "<tool_calls> <beginning_of_sentence>",
        f"<tool_calls>\n{JSON_OSLO}\n{JSON_UTC}\n</tool_calls>",
    ),
    Example(
        "GLM 4.6",
        "</arg_key>\n<arg_value> <think>",
        "\n<think>Hm.</think>\n<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n"
        "<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>\n<tool_call>get_time\n<arg_key>zone</arg_key>\n"
        "<arg_value>UTC</arg_value>\n</tool_call>",
        "Hm.",
    ),
    Example(
        "Ling 3",
        "</arg_key>\\n<arg_value> <think>",
        "Hm.</think><tool_call>get_time\n<arg_key>zone</arg_key>\n<arg_value>UTC</arg_value>\n</tool_call>",
        "Hm.",
        calls=(UTC,),
        ids=("",),
        prompt="<role>ASSISTANT</role>\n<think>",
    ),
    Example(
        "GLM 4.7",
        "<arg_key> <think>",
        "Hm.</think><tool_call>get_weather<arg_key>city</arg_key><arg_value>Oslo</arg_value><arg_key>days</arg_key>"
        "<arg_value>3</arg_value></tool_call><tool_call>stop</tool_call>",
        "Hm.",
        calls=(OSLO, ("stop", {})),
        prompt="<|assistant|><think>",
    ),
    Example(
        "Hunyuan 3",
        "<arg_key{}> = ':opensource'",
        "<tool_calls:opensource>\n<tool_call:opensource>get_weather<tool_sep:opensource>\n<arg_key:opensource>city"
        "</arg_key:opensource>\n<arg_value:opensource>Oslo</arg_value:opensource>\n<arg_key:opensource>days"
        "</arg_key:opensource>\n<arg_value:opensource>3</arg_value:opensource>\n</tool_call:opensource>\n"
        "<tool_call:opensource>get_time<tool_sep:opensource>\n<arg_key:opensource>zone</arg_key:opensource>\n"
        "<arg_value:opensource>UTC</arg_value:opensource>\n</tool_call:opensource>\n</tool_calls:opensource>",
        prompt="<think:opensource></think:opensource>",
    ),
    Example(
        "MiniCPM5",
        '<function name=" <param name=" <think>',
        '<think>\nHm.\n</think>\n\n<function name="get_weather"><param name="city">Oslo</param><param name="days">3'
        '</param></function>\n<function name="get_time"><param name="zone">UTC</param></function>',
        "Hm.\n",
    ),
    Example(
        "DeepSeek V3.2",
        "DSML function_calls <think>",
        'Hm.</think>\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n<｜DSML｜parameter name="city" '
        'string="true">Oslo</｜DSML｜parameter>\n<｜DSML｜parameter name="days" string="false">3</｜DSML｜parameter>\n'
        '</｜DSML｜invoke>\n<｜DSML｜invoke name="get_time">\n<｜DSML｜parameter name="zone" string="true">UTC'
        "</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
        "Hm.",
        prompt="<｜Assistant｜><think>",
    ),
    Example(
        "DeepSeek V4",
        "DSML tool_calls <think>",
        'Look:\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name="get_time">\n<｜DSML｜parameter name="zone" string="true">UTC'
        "</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
        content="Look:\n\n",
        calls=(UTC,),
        ids=("",),
        prompt="<｜Assistant｜></think>",
    ),
    Example(
        "DeepSeek R1",
        "<｜tool▁calls▁begin｜> ```json </think>",
        "Hm.\n</think>\n\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n"
        '{"city": "Oslo", "days": 3}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n'
        '```json\n{"zone": "UTC"}```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        "Hm.\n",
        prompt="<｜Assistant｜><think>\n",
    ),
    Example(
        "DeepSeek V3.1",
        "<｜tool▁calls▁begin｜> <think>",
        'Look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Oslo", "days": 3}'
        '<｜tool▁call▁end｜><｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{"zone": "UTC"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        content="Look.",
        prompt="<｜Assistant｜><think></think>",
    ),
    Example(
        "Kimi K2",
        "<|tool_calls_section_begin|> <|tool_call_begin|>",
        "<think>Hm.<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
        '{"city": "Oslo", "days": 3}<|tool_call_end|><|tool_call_begin|>functions.get_time:1<|tool_call_argument_begin|>'
        '{"zone": "UTC"}<|tool_call_end|><|tool_calls_section_end|>',
        "Hm.",
        ids=("functions.get_weather:0", "functions.get_time:1"),
    ),
    Example(
        "Kimi K2 without the section",
        "<|tool_calls_section_begin|> <|tool_call_begin|>",
        'Look: <|tool_call_begin|>functions.get_time:7<|tool_call_argument_begin|>{"zone": "UTC"}<|tool_call_end|>',
        content="Look: ",
        calls=(UTC,),
        ids=("functions.get_time:7",),
    ),
    Example(
        "Kimi K3",
        "<|open|> <|close|> <|end_of_msg|>",
        "Hm.<|close|>think<|sep|><|open|>response<|sep|>Look.<|close|>response<|sep|><|open|>tools<|sep|><|open|>call "
        'tool="get_weather" index="1"<|sep|><|open|>argument key="city" type="string"<|sep|>Oslo<|close|>argument<|sep|>'
        '<|open|>argument key="days" type="number"<|sep|>3<|close|>argument<|sep|><|close|>call<|sep|><|open|>call '
        'tool="get_time" index="2"<|sep|><|open|>argument key="zone" type="string"<|sep|>UTC<|close|>argument<|sep|>'
        "<|close|>call<|sep|><|close|>tools<|sep|><|close|>message<|sep|>",
        "Hm.",
        "Look.",
        prompt='<|open|>message role="assistant"<|sep|><|open|>think<|sep|>',
    ),
    Example(
        "Command R7B",
        "<|START_ACTION|> <|START_THINKING|>",
        '<|START_THINKING|>Hm.<|END_THINKING|><|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": "get_weather", '
        '"parameters": {"city": "Oslo", "days": 3}},\n    {"tool_call_id": "1", "tool_name": "get_time", "parameters": '
        '{"zone": "UTC"}}\n]<|END_ACTION|>',
        "Hm.",
        ids=("0", "1"),
    ),
    Example(
        "Command R7B that answers",
        "<|START_ACTION|> <|START_THINKING|>",
        "<|START_RESPONSE|>It is\nwarm.<|END_RESPONSE|>",
        content="It is\nwarm.",
        calls=(),
        ids=(),
        prompt="<|START_THINKING|><|END_THINKING|>",
    ),
    Example(
        "Command R+",
        "Action: ```json <|CHATBOT_TOKEN|>",
        'Action:\n```json\n[\n    {\n        "tool_name": "get_time",\n        "parameters": {"zone": "``` UTC"}\n    }\n'
        "]\n```",
        calls=(("get_time", {"zone": "``` UTC"}),),
        ids=("",),
    ),
    Example(
        "GigaChat 3",
        "<|role_sep|> <|message_sep|>",
        f"Look.<|message_sep|>\n\nfunction call<|role_sep|>\n{JSON_OSLO}",
        content="Look.",
        calls=(OSLO,),
        ids=("",),
    ),
    Example(
        "GigaChat 3.1",
        "<|role_sep|> <|function_call|>",
        f"Look.<|function_call|>{JSON_OSLO}",
        content="Look.",
        calls=(OSLO,),
        ids=("",),
    ),
    Example(
        "Mistral Nemo",
        "[TOOL_CALLS]",
        'Look.[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Oslo", "days": 3}, "id": "a1B2c3D4e"}, '
        '{"name": "get_time", "arguments": {"zone": "UTC"}, "id": "000000002"}]',
        content="Look.",
        ids=("a1B2c3D4e", "000000002"),
    ),
    Example(
        "Mistral Nemo with brackets in a value",
        "[TOOL_CALLS]",
        '[TOOL_CALLS][{"name": "get_time", "arguments": {"zone": "a}}]b\\"}"}, "id": "000000002"}] Done.',
        content="Done.",
        calls=(("get_time", {"zone": 'a}}]b"}'}),),
        ids=("000000002",),
    ),
    Example(
        "Magistral",
        "[TOOL_CALLS] [ARGS] [THINK]",
        '[THINK]Hm.[/THINK]Look: [TOOL_CALLS]get_weather[ARGS]{"city": "Oslo", "days": 3}[TOOL_CALLS]get_time[ARGS]'
        '{"zone": "UTC"}',
        "Hm.",
        "Look: ",
    ),
    Example(
        "Mistral Small 3.2",
        "[TOOL_CALLS] [CALL_ID] [ARGS]",
        '[TOOL_CALLS]get_weather[CALL_ID]000000001[ARGS]{"city": "Oslo", "days": 3}[TOOL_CALLS]get_time[CALL_ID]'
        'abcdef123[ARGS]{"zone": "UTC"}',
        ids=("000000001", "abcdef123"),
    ),
    Example(
        "Functionary 3.1",
        "<function= </function>",
        '<function=get_weather>{"city": "Oslo", "days": 3}</function><function=get_time>{"zone": "UTC"}</function>',
    ),
    Example(
        "Functionary 3.2",
        ">>>all",
        'all\nLook: a >> b.\n>>>get_weather\n{"city": "Oslo", "days": 3}>>>get_time\n{"zone": "UTC"}',
        content="Look: a >> b.\n",
        prompt="assistant<|end_header_id|>\n\n>>>",
    ),
    Example(
        "Functionary 3.2 that calls at once",
        ">>>all",
        'get_weather\n{"city": "Oslo", "days": 3}>>>all\nDone.',
        content="Done.",
        calls=(OSLO,),
        ids=("",),
        prompt="assistant<|end_header_id|>\n\n>>>",
    ),
    Example("Firefunction 2", "functools[", f" functools[{JSON_OSLO}, {JSON_UTC}]", content=" "),
    Example(
        "Phi-4-mini",
        "<|tool_call|> <|/tool_call|>",
        f"<|tool_call|>[{JSON_OSLO}, {JSON_UTC}]<|/tool_call|>",
    ),
    Example(
        "Granite 3",
        "<|tool_call|> <response> <think>",
        f"<think>Hm.</think><response>Look.</response><|tool_call|>[{JSON_OSLO}, {JSON_UTC}]",
        "Hm.",
        "Look.",
    ),
    Example(
        "Granite 4",
        "<tool_call>",
        f"<tool_call>\n{JSON_OSLO}\n</tool_call>\n<tool_call>\n{JSON_UTC}\n</tool_call>",
    ),
    Example(
        "Apertus",
        "<|tools_prefix|>",
        '<|tools_prefix|>[{"get_weather": {"city": "Oslo", "days": 3}}, {"get_time": {"zone": "UTC"}}]<|tools_suffix|>',
    ),
    Example(
        "Apriel 1.6",
        "<tool_calls> [BEGIN FINAL RESPONSE]",
        f"Hm.\n[BEGIN FINAL RESPONSE]\nLook.\n\n<tool_calls>[{JSON_OSLO}, {JSON_UTC}]</tool_calls>",
        "Hm.\n",
        "Look.\n\n",
        prompt="<|begin_assistant|>\nHere are my reasoning steps:\n",
    ),
    Example(
        "Nemotron Nano 2",
        "<TOOLCALL> <think>",
        f"Hm.\n</think>\n<TOOLCALL>[{JSON_OSLO}, {JSON_UTC}]</TOOLCALL>\n",
        "Hm.\n",
        prompt="<SPECIAL_11>Assistant\n<think>\n",
    ),
    Example(
        "Nemotron Mini",
        "<toolcall>",
        f"<toolcall> {JSON_OSLO} </toolcall> <toolcall> {JSON_UTC} </toolcall>",
    ),
    Example(
        "Solar Open",
        "<|tool_call:begin|> <|think|>",
        "<|think|>Hm.<|end|><|begin|>assistant<|content|>Look.<|begin|>assistant<|tool_calls|><|tool_call:begin|>id1"
        '<|tool_call:name|>get_weather<|tool_call:args|>{"city": "Oslo", "days": 3}<|tool_call:end|><|tool_call:begin|>'
        'id2<|tool_call:name|>get_time<|tool_call:args|>{"zone": "UTC"}<|tool_call:end|>',
        "Hm.",
        "Look.",
        ids=("id1", "id2"),
    ),
    Example(
        "Llama 3",
        "<|python_tag|>",
        '{"name": "get_weather", "parameters": {"city": "Oslo", "days": 3}}',
        calls=(OSLO,),
        ids=("",),
    ),
    Example(
        "Llama 3 in OpenAI's wrapper",
        '{"name": function name, "parameters":',
        '{"type": "function", "function": {"name": "get_time", "parameters": {"zone": "UTC"}}}',
        calls=(UTC,),
        ids=("",),
    ),
    Example(
        "Llama 3 that answers in JSON",
        "<|python_tag|>",
        '{"name": "Ann", "parameters": {"age": 3}} and {"name": 1}',
        content='{"name": "Ann", "parameters": {"age": 3}} and {"name": 1}',
        calls=(),
        ids=(),
    ),
    Example(
        "Llama 3, a built-in tool",
        "<|python_tag|>",
        '<|python_tag|>get_time.call(zone="UTC")',
        calls=(UTC,),
        ids=("",),
    ),
    Example(
        "Llama 3, JSON behind the tag",
        "<|python_tag|>",
        f"<|python_tag|>{JSON_UTC}",
        calls=(UTC,),
        ids=("",),
    ),
    Example(
        "Any other, bare",
        "nothing that is known <think>",
        f"<think>Hm.</think>Look: [{JSON_OSLO}, {JSON_UTC}]",
        "Hm.",
        "Look: ",
    ),
    Example(
        "Any other, tagged",
        "nothing that is known",
        f"<tool_call>{JSON_OSLO}</tool_call><tool_call>{JSON_UTC}</tool_call>",
    ),
)
