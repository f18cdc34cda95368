"""The families that llama.cpp tells apart by their Jinja templates, and how each writes calls.

A new family is a row here, with an example of it in tests/prompts/parsing/native_examples.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ollama_nb_server.prompts.parsing import native_notations as written
from ollama_nb_server.prompts.parsing.families.atem import AtemCall
from ollama_nb_server.prompts.parsing.families.functiongemma import EscapedCall
from ollama_nb_server.prompts.parsing.families.gemma import GEMMA4, BraceCall
from ollama_nb_server.prompts.parsing.families.glimmer import GLIMMER
from ollama_nb_server.prompts.parsing.families.harmony import HARMONY, HarmonyCall
from ollama_nb_server.prompts.parsing.families.liquid import CallList
from ollama_nb_server.prompts.parsing.json_calls import JsonCalls
from ollama_nb_server.prompts.parsing.named_calls import NamedCalls
from ollama_nb_server.prompts.parsing.nested_calls import NestedCalls
from ollama_nb_server.prompts.parsing.notations import Notation
from ollama_nb_server.prompts.parsing.output_format import OutputFormat
from ollama_nb_server.prompts.parsing.parts import Tool

THINK = ("<think>", "</think>")


# Tags may be made of several control tokens and words: "<|close|>think<|sep|>".
TOKEN = re.compile(r"<\|[^|<>]+\|>")

Openers = Callable[[Sequence[Tool]], Mapping[str, Notation]]


@dataclass(frozen=True, eq=False, slots=True)
class Family:
    """A row of the table.

    Attributes
    ----------
    name
        As docs/tools.md has it.
    signs, unless
        The texts that a template of it contains, all of them, and the ones that none contains.
    calls
        How it writes calls.
    thoughts, always_thinks
        The tags around a thought; whether they are known to models whose template has them not.
    wrappers
        Tags around the answer itself, of which nobody is told.
    headers
        Texts that an answer may begin with, of which nobody is told.
    thinks_again
        Whether there may be more than one thought.
    calls_end_thoughts
        Whether a call may come before the thought is closed.
    built_in
        The parser that takes its answers apart, if sections cannot.
    openers, first_openers
        How calls begin where that is not only `calls.opens`: anywhere, and at an answer's
        beginning; by the tools that are offered.
    """

    name: str
    signs: tuple[str, ...]
    calls: Notation
    unless: tuple[str, ...] = ()
    thoughts: tuple[str, str] | None = THINK
    always_thinks: bool = False
    wrappers: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    thinks_again: bool = False
    calls_end_thoughts: bool = False
    built_in: OutputFormat | None = None
    openers: Openers | None = None
    first_openers: Openers | None = None

    def wrote(self, template: str) -> bool:
        """Whether a template is of this family."""
        return all(sign in template for sign in self.signs) and not any(
            sign in template for sign in self.unless
        )

    def begins(self, tools: Sequence[Tool]) -> Mapping[str, Notation]:
        """The tags that begin calls anywhere."""
        return self.openers(tools) if self.openers else {self.calls.opens: self.calls}

    def begins_first(self, tools: Sequence[Tool]) -> Mapping[str, Notation]:
        """The tags that begin calls at an answer's beginning."""
        return self.first_openers(tools) if self.first_openers else {}

    @property
    def tags(self) -> tuple[str, ...]:
        """The control tokens that must be written out."""
        if self.built_in is not None:
            return self.built_in.tags
        marks = getattr(self.calls, "marks", ())
        around = (*(self.thoughts or ()), self.calls.opens, self.calls.closes, *self.wrappers)
        within = [token for tag in around for token in TOKEN.findall(tag)]
        return tuple(dict.fromkeys(filter(None, (*around, *within, *marks))))


RESPONSE = ("<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>")
K3_WRAPPERS = (
    "<|open|>response<|sep|>", "<|close|>response<|sep|>", "<|close|>message<|sep|>",
    "<|end_of_msg|>",
)  # fmt: skip

FAMILIES: tuple[Family, ...] = (
    Family("gpt-oss", ("<|channel|>",), HarmonyCall(), thoughts=HARMONY.thoughts, built_in=HARMONY),
    Family(
        "Glimmer", ("<atem:function_calls>", "<|eom|>"), AtemCall(), thoughts=GLIMMER.thoughts,
        built_in=GLIMMER,
    ),
    Family(
        "Gemma 4", ("<|tool_call>call:",), BraceCall(), thoughts=GEMMA4.thoughts,
        thinks_again=True, wrappers=("<|tool_response>",),
    ),
    Family("FunctionGemma", ("<start_function_call>",), EscapedCall(), thoughts=None),
    Family("LFM2", ("List of tools: ", "<|tool_list_start|>"), CallList()),
    Family("LFM2.5", ("List of tools: [",), CallList()),
    Family(
        "Mistral Small 3.2", ("[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"), written.MISTRAL_SMALL,
        thoughts=("[THINK]", "[/THINK]"),
    ),
    Family(
        "Ministral 3, Magistral, Devstral", ("[TOOL_CALLS]", "[ARGS]"), written.MISTRAL,
        thoughts=("[THINK]", "[/THINK]"),
    ),
    Family(
        "Functionary 3.2", (">>>all",), written.FUNCTIONARY_2, thoughts=None,
        wrappers=(">>>all\n",), headers=("all\n",),
        openers=written.functionary, first_openers=written.functionary_first,
    ),
    Family(
        "Kimi K2", ("<|tool_calls_section_begin|>", "<|tool_call_begin|>"), written.KIMI,
        always_thinks=True, calls_end_thoughts=True, openers=written.kimi,
    ),
    Family(
        "Kimi K3", ("<|open|>", "<|close|>", "<|end_of_msg|>"), written.K3, wrappers=K3_WRAPPERS,
        thoughts=("<|open|>think<|sep|>", "<|close|>think<|sep|>"), always_thinks=True,
        calls_end_thoughts=True,
    ),
    Family(
        "Command R7B, Command A, North", ("<|START_ACTION|>",), written.COHERE, wrappers=RESPONSE,
        thoughts=("<|START_THINKING|>", "<|END_THINKING|>"), calls_end_thoughts=True,
    ),
    Family(
        "Command R+", ("Action:", "```json", "<|CHATBOT_TOKEN|>"), written.COMMAND_R, thoughts=None,
        wrappers=("<|CHATBOT_TOKEN|>",),
    ),
    Family(
        "GigaChat 3.1", ("<|role_sep|>", "<|function_call|>"),
        JsonCalls("<|function_call|>", before="", between="", after=""), thoughts=None,
    ),
    Family(
        "GigaChat 3", ("<|role_sep|>", "<|message_sep|>"),
        JsonCalls(
            "<|message_sep|>\n\nfunction call<|role_sep|>\n", before="", between="", after=""
        ),
        thoughts=None,
    ),
    Family(
        "MiniMax M3", ("]<]minimax[>[", "<invoke name="), NestedCalls(),
        thoughts=("<mm:think>", "</mm:think>"), headers=("</mm:think>",),
    ),
    Family("DeepSeek V3.2", ("DSML", "function_calls"), written.DSML, calls_end_thoughts=True),
    Family("DeepSeek V4", ("DSML", "tool_calls"), written.DSML_V4, calls_end_thoughts=True),
    Family("MiniCPM5", ('<function name="', '<param name="'), written.MINICPM),
    Family(
        "Seed-OSS", ("<seed:tool_call>",), written.SEED, thoughts=("<seed:think>", "</seed:think>"),
    ),
    Family(
        "Qwen3-Coder", ("<tool_call>", "<function=", "<parameter="), written.QWEN_CODER,
        unless=("<think>",), openers=written.coder, thoughts=None,
    ),
    Family(
        "Qwen3.5, Nemotron 3 Nano, Step 3.5", ("<tool_call>", "<function=", "<parameter="),
        written.QWEN_CODER, calls_end_thoughts=True,
    ),
    Family(
        "Hunyuan 3", ("<arg_key{}>", "':opensource'"), written.HUNYUAN,
        thoughts=("<think:opensource>", "</think:opensource>"), always_thinks=True,
    ),
    Family("GLM 4.5, 4.6", ("</arg_key>\n<arg_value>",), written.GLM, calls_end_thoughts=True),
    Family(
        "Ling 3, Laguna XS", ("</arg_key>\\n<arg_value>",), written.GLM, calls_end_thoughts=True
    ),
    Family("GLM 4.7, Laguna, Spark", ("<arg_key>",), written.GLM_TIGHT, calls_end_thoughts=True),
    Family("MiniMax M2", ("<minimax:tool_call>",), written.MINIMAX),
    Family(
        "MiniMax M1", ("<tool_calls>", "<beginning_of_sentence>"),
        JsonCalls("<tool_calls>", "</tool_calls>", before="\n", between="\n", after="\n"),
    ),
    Family("DeepSeek R1", ("<｜tool▁calls▁begin｜>", "```json"), written.DEEPSEEK_R1),
    Family("DeepSeek V3.1", ("<｜tool▁calls▁begin｜>",), written.DEEPSEEK),
    Family(
        "Apertus", ("<|tools_prefix|>",),
        JsonCalls("<|tools_prefix|>", "<|tools_suffix|>", by_name=True), thoughts=None,
    ),
    Family("Nemotron Nano 2", ("<TOOLCALL>",), JsonCalls("<TOOLCALL>", "</TOOLCALL>")),
    Family(
        "Nemotron Mini", ("<toolcall>",),
        JsonCalls("<toolcall>", "</toolcall>", before=" ", between="", after=" "), thoughts=None,
    ),
    Family(
        "Solar Open", ("<|tool_call:begin|>",), written.SOLAR, thoughts=("<|think|>", "<|end|>"),
        wrappers=("<|begin|>assistant", "<|content|>"),
    ),
    Family(
        "Functionary 3.1", ("<function=", "</function>"),
        NamedCalls("<function=", "</function>", "{name}>{arguments}"), thoughts=None,
    ),
    Family(
        "Firefunction 2, Phi-4-mini's functools", ("functools[",),
        JsonCalls("functools[", inside="[", untagged=True), thoughts=None,
    ),
    Family(
        "Phi-4-mini", ("<|tool_call|>", "<|/tool_call|>"),
        JsonCalls("<|tool_call|>", "<|/tool_call|>"), thoughts=None,
    ),
    Family(
        "Granite 3", ("<|tool_call|>",), JsonCalls("<|tool_call|>"),
        wrappers=("<response>", "</response>"),
    ),
    Family(
        "Mistral Nemo, Mistral 7B", ("[TOOL_CALLS]",), JsonCalls("[TOOL_CALLS]", id="id"),
        thoughts=("[THINK]", "[/THINK]"),
    ),
    Family(
        "Apriel", ("<tool_calls>", "[BEGIN FINAL RESPONSE]"),
        JsonCalls("<tool_calls>", "</tool_calls>"),
        thoughts=("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),
    ),
    Family("Hermes, Qwen 2.5, Qwen3, Granite 4", ("<tool_call>",), written.HERMES),
    Family("Llama 3", ("<|python_tag|>",), written.LLAMA, thoughts=None, openers=written.llama),
    Family(
        "Llama 3", ('{"name": function name, "parameters":',), written.LLAMA, thoughts=None,
        openers=written.llama,
    ),
)  # fmt: skip

ANY_OTHER = Family("any other", (), written.HERMES, openers=written.tagged_or_bare)
