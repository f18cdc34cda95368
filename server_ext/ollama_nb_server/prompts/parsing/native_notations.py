"""How the families of `native_families` write calls, as data, and how calls begin in their answers.

The texts are facts: what their published templates put around calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ollama_nb_server.prompts.parsing.json_calls import JsonCalls
from ollama_nb_server.prompts.parsing.marked_calls import MarkedCalls
from ollama_nb_server.prompts.parsing.named_calls import NamedCalls
from ollama_nb_server.prompts.parsing.notations import Notation
from ollama_nb_server.prompts.parsing.parts import Tool
from ollama_nb_server.prompts.parsing.python_tag import PythonTag

# --- JSON -----------------------------------------------------------------------------------------

HERMES = JsonCalls("<tool_call>", "</tool_call>", before="\n", between="", after="\n")
LLAMA = JsonCalls(
    '{"name": ', arguments="parameters", before="", between="", after="",
    inside='{"name": ', untagged=True,
)  # fmt: skip
PYTHON_TAG = PythonTag(replace(LLAMA, opens="<|python_tag|>", inside="", untagged=False))
COHERE = JsonCalls(
    "<|START_ACTION|>", "<|END_ACTION|>", name="tool_name", arguments="parameters",
    id="tool_call_id", ids="^[0-9]{1,3}$", id_first=True,
    before="[\n    ", between=",\n    ", after="\n]",
)  # fmt: skip
COMMAND_R = JsonCalls(
    "Action:\n```json\n", "```", name="tool_name", arguments="parameters",
    before="[\n    ", between=",\n    ", after="\n]\n",
)  # fmt: skip

# Untagged JSON as models begin it.
BARE = (
    '{"name"', '{ "name"', '{\n"name"', '{\n  "name"', '{\n    "name"',
    '{"type": "function"', '{"type":"function"', '{"function"',
    '[{"name"', '[{"type": "function"',
)  # fmt: skip


def bare(tools: Sequence[Tool]) -> dict[str, Notation]:
    """JSON that names a tool, wherever it stands."""
    return {tag: replace(LLAMA, opens=tag, inside=tag) for tag in BARE}


def llama(tools: Sequence[Tool]) -> dict[str, Notation]:
    """The same, and what Llama writes behind its tag for Python."""
    return {**bare(tools), PYTHON_TAG.opens: PYTHON_TAG}


def tagged_or_bare(tools: Sequence[Tool]) -> dict[str, Notation]:
    """The most common tag, or none."""
    return {**bare(tools), HERMES.opens: HERMES}


# --- a name, and JSON -----------------------------------------------------------------------------

MISTRAL = NamedCalls("[TOOL_CALLS]", "", "{name}[ARGS]{arguments}", marks=("[ARGS]",))
MISTRAL_SMALL = NamedCalls(
    "[TOOL_CALLS]", "", "{name}[CALL_ID]{id}[ARGS]{arguments}", marks=("[CALL_ID]", "[ARGS]")
)
FUNCTIONARY_2 = NamedCalls(">>>", "", "{name}\n{arguments}")
KIMI_MARKS = ("<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>")
KIMI = NamedCalls(
    "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>",
    "{}functions.{{name}}:{{number}}{}{{arguments}}{}".format(*KIMI_MARKS),
    between="", id="functions.{name}:{number}", marks=KIMI_MARKS,
)  # fmt: skip
DEEPSEEK_MARKS = ("<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>")
DEEPSEEK = NamedCalls(
    "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>",
    "{}{{name}}{}{{arguments}}{}".format(*DEEPSEEK_MARKS), between="", marks=DEEPSEEK_MARKS,
)  # fmt: skip
DEEPSEEK_R1 = NamedCalls(
    "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>",
    "{}function{}{{name}}\n```json\n{{arguments}}\n```{}".format(*DEEPSEEK_MARKS),
    between="\n", marks=DEEPSEEK_MARKS,
)  # fmt: skip
SOLAR_MARKS = (
    "<|tool_call:begin|>", "<|tool_call:name|>", "<|tool_call:args|>", "<|tool_call:end|>",
)  # fmt: skip
SOLAR = NamedCalls(
    "<|tool_calls|>", "<|calls|>",
    "{}{{id}}{}{{name}}{}{{arguments}}{}".format(*SOLAR_MARKS), between="", marks=SOLAR_MARKS,
)  # fmt: skip


def functionary(tools: Sequence[Tool]) -> dict[str, Notation]:
    """`>>>look`, but not `>>>all`, which begins an answer."""
    tags = {tool.name: f">>>{tool.name}\n" for tool in tools}
    return {
        tag: replace(FUNCTIONARY_2, opens=tag, inside=f"{name}\n") for name, tag in tags.items()
    }


def functionary_first(tools: Sequence[Tool]) -> dict[str, Notation]:
    """The same where the prompt ends with `>>>`."""
    return {
        f"{tool.name}\n": replace(FUNCTIONARY_2, opens=f"{tool.name}\n", inside=f"{tool.name}\n")
        for tool in tools
    }


def kimi(tools: Sequence[Tool]) -> dict[str, Notation]:
    """Calls with the section around them or without, which it writes too."""
    tag = KIMI_MARKS[0]
    return {KIMI.opens: KIMI, tag: replace(KIMI, opens=tag, inside=tag)}


# --- arguments in tags ----------------------------------------------------------------------------

QWEN_CODER = MarkedCalls(
    "<tool_call>", "</tool_call>",
    "<function={name}>\n{parameters}</function>", "<parameter={key}>\n{value}\n</parameter>\n",
)  # fmt: skip
SEED = MarkedCalls(
    "<seed:tool_call>", "</seed:tool_call>",
    "<function={name}>\n{parameters}</function>", "<parameter={key}>{value}</parameter>\n",
)  # fmt: skip
MINIMAX = MarkedCalls(
    "<minimax:tool_call>", "</minimax:tool_call>",
    '<invoke name="{name}">\n{parameters}</invoke>\n',
    '<parameter name="{key}">{value}</parameter>\n',
    between="", after="",
)  # fmt: skip
GLM_MARKS = ("<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>")
GLM = MarkedCalls(
    "<tool_call>", "</tool_call>", "{name}\n{parameters}",
    "<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n",
    before="", after="", marks=GLM_MARKS,
)  # fmt: skip
GLM_TIGHT = replace(
    GLM,
    call="{name}{parameters}",
    parameter="<arg_key>{key}</arg_key><arg_value>{value}</arg_value>",
)
HUNYUAN_NAMES = ("tool_call", "arg_key", "arg_value", "/tool_call", "/arg_key", "/arg_value")
HUNYUAN_MARKS = tuple(f"<{name}:opensource>" for name in (*HUNYUAN_NAMES, "tool_sep"))
HUNYUAN = MarkedCalls(
    "<tool_calls:opensource>", "</tool_calls:opensource>",
    "<tool_call:opensource>{name}<tool_sep:opensource>\n{parameters}</tool_call:opensource>\n",
    "<arg_key:opensource>{key}</arg_key:opensource>\n"
    "<arg_value:opensource>{value}</arg_value:opensource>\n",
    between="", after="", marks=HUNYUAN_MARKS,
)  # fmt: skip
MINICPM = MarkedCalls(
    "<function", "</function>",
    ' name="{name}">{parameters}', '<param name="{key}">{value}</param>',
    before="", after="", marks=("<param", "</param>"),
)  # fmt: skip
DSML_KINDS = {"string": "true", "": "false"}
DSML_V4 = MarkedCalls(
    "<｜DSML｜tool_calls>", "</｜DSML｜tool_calls>",
    '<｜DSML｜invoke name="{name}">\n{parameters}</｜DSML｜invoke>\n',
    '<｜DSML｜parameter name="{key}" string="{kind}">{value}</｜DSML｜parameter>\n',
    between="", after="", kinds=DSML_KINDS, marks=("｜DSML｜",),
)  # fmt: skip
DSML = replace(DSML_V4, opens="<｜DSML｜function_calls>", closes="</｜DSML｜function_calls>")
K3_MARKS = ("<|open|>", "<|close|>", "<|sep|>")
K3 = MarkedCalls(
    "<|open|>tools<|sep|>", "<|close|>tools<|sep|>",
    '<|open|>call tool="{name}" index="{number}"<|sep|>{parameters}<|close|>call<|sep|>',
    '<|open|>argument key="{key}" type="{kind}"<|sep|>{value}<|close|>argument<|sep|>',
    before="", between="", after="", marks=K3_MARKS,
    kinds={
        "string": "string", "integer": "number", "number": "number", "boolean": "boolean",
        "array": "array", "null": "null", "": "object",
    },
)  # fmt: skip


def coder(tools: Sequence[Tool]) -> dict[str, Notation]:
    """Functions with the tag around them or without, which Qwen3-Coder writes now and then."""
    tags = (f"<function={tool.name}>" for tool in tools)
    bare = {tag: replace(QWEN_CODER, opens=tag, inside=tag) for tag in tags}
    return {QWEN_CODER.opens: QWEN_CODER, **bare}
