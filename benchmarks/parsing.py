"""From a model's text back to thoughts, words and calls: microseconds a token, for each family.

    python -m benchmarks.parsing

An answer of 2,000 tokens comes token by token: thoughts where the family has them, words and calls,
one of them with a text of 600 tokens among its arguments. Appending the pieces is the baseline.
`native` are formats that are told from a model's Jinja template; with `brackets`, each token of the
long text is one: calls that end with their own JSON look for its end there.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Callable
from functools import partial

from ollama_nb_server.prompts.parsing.formats import FORMATS
from ollama_nb_server.prompts.parsing.generic import generic
from ollama_nb_server.prompts.parsing.native import native_format
from ollama_nb_server.prompts.parsing.parts import OutputParser, Situation, Tool
from ollama_nb_server.prompts.thoughts import Thoughts

ROUNDS, TOKENS, GOAL_US = 7, 2000, 20.0
TOOL = Tool("write", {"properties": {"text": {"type": "string"}, "n": {"type": "integer"}}})
SITUATION = Situation((TOOL,), True)
WORDS = "The quick brown fox jumps over the lazy dog, and {x} does not mind. "
TOKEN = re.compile(r"<[^<>\s]{1,30}>|\[[A-Z_/]+\]|\s?\w+|.", re.DOTALL)
CALLS = {
    "json": '<tool_call>{{"name": "write", "arguments": {{"text": "{0}", "n": 3}}}}</tool_call>',
    "tagged": "<tool_call><function=write><parameter=text>{0}</parameter></function></tool_call>",
    "keyed": "<tool_call>write<arg_key>text</arg_key><arg_value>{0}</arg_value></tool_call>",
    "deepseek": '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>write<｜tool▁sep｜>{{"text": "{0}"}}'
    "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "cogito": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>write\n```json\n"
    '{{"text": "{0}"}}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    "olmo": '<function_calls>write(text="{0}", n=3)</function_calls>',
    "lfm": '<|tool_call_start|>[write(text="{0}", n=3)]<|tool_call_end|>',
    "gemma": '<|tool_call>call:write{{text:<|"|>{0}<|"|>,n:3}}<tool_call|>',
    "functiongemma": "<start_function_call>call:write{{text:<escape>{0}<escape>}}"
    "<end_function_call>",
    "ministral": '[TOOL_CALLS]write[ARGS]{{"text": "{0}"}}',
    "cohere": '<|START_ACTION|>[{{"tool_name": "write", "parameters": {{"text": "{0}"}}}}]'
    "<|END_ACTION|>",
    "harmony": "<|end|><|start|>assistant<|channel|>commentary to=functions.write<|message|>"
    '{{"text": "{0}"}}',
    "atem": "<|eom|><|start|>assistant to=write<|message|><atem:function_calls>"
    '<atem:invoke name="write"><atem:parameter name="text">{0}</atem:parameter></atem:invoke>'
    "</atem:function_calls><|eom|>",
}
WRITTEN = {
    "cogito": "cogito", "cohere": "cohere", "deepseek3": "deepseek", "functiongemma":
    "functiongemma", "gemma4": "gemma", "glimmer": "atem", "glm-4.7": "keyed", "glm-ocr": "keyed",
    "harmony": "harmony", "laguna": "keyed", "lfm2": "lfm", "lfm2-thinking": "lfm", "ministral":
    "ministral", "olmo3": "olmo", "poolside-v1": "keyed", "qwen3": "json", "qwen3-thinking": "json",
    "qwen3-coder": "tagged", "qwen3-vl-thinking": "json", "qwen3.5": "tagged",
}  # fmt: skip
NATIVE = {  # by the signs of a template
    "Hermes": ("<think> <tool_call>", CALLS["json"]),
    "Llama 3": ("<|python_tag|>", '{{"name": "write", "parameters": {{"text": "{0}", "n": 3}}}}'),
    "Mistral": ("[TOOL_CALLS] [ARGS]", CALLS["ministral"]),
    "Mistral Nemo": (
        "[TOOL_CALLS]",
        '[TOOL_CALLS][{{"name": "write", "arguments": {{"text": "{0}", "n": 3}}}}]',
    ),
}
BRACKETS = "}]" * 600
FIRST = {
    "harmony": "<|channel|>final<|message|>",
    "glimmer": "<|message|>",
    "cohere": "<|START_TEXT|>",
}
THOUGHT_END = {"cohere": "<|END_THINKING|>"}


def answer(name: str) -> list[str]:
    """An answer's tokens: a thought, words, a long call, words."""
    call = CALLS[WRITTEN.get(name, "json")]
    thought = WORDS * 10 + THOUGHT_END.get(name, "</think>")
    thinks = name in FORMATS and FORMATS[name].thinking and name not in ("harmony", "glimmer")
    text = (thought if thinks else "") + FIRST.get(name, "") + WORDS * 20
    text += call.format(WORDS * 40)
    if name != "harmony":  # whose calls end the answer
        text += WORDS * 60
    return TOKEN.findall(text)[:TOKENS]


def microseconds(make: Callable[[], OutputParser], tokens: list[str]) -> float:
    """A token, median of the rounds; the time of this thread, whoever else is at work."""
    took = []
    for _ in range(ROUNDS):
        parser = make()
        began = time.thread_time()
        for token in tokens:
            parser.feed(token)
        parser.end()
        took.append(1e6 * (time.thread_time() - began) / len(tokens))
    return round(statistics.median(took), 2)


class Appending:
    """The baseline: text put behind text."""

    def __init__(self) -> None:
        self._text: list[str] = []

    def feed(self, text: str) -> None:
        self._text.append(text)

    def end(self) -> None:
        "".join(self._text)


def main() -> None:
    made: dict[str, Callable[[], OutputParser]] = {
        name: lambda name=name: FORMATS[name].parser(SITUATION) for name in WRITTEN
    }
    for tag in ("<tool_call>", "{"):
        made[f"generic {tag}"] = lambda tag=tag: generic(
            SITUATION, Thoughts("<think>", "</think>"), tag
        )
    lossless = Situation((TOOL,), True, lossless=True)
    made["generic, nothing lost"] = lambda: generic(lossless, None, "<tool_call>")
    took = {name: microseconds(make, answer(name)) for name, make in made.items()}
    for name, (signs, call) in NATIVE.items():
        make = partial(native_format(signs).parser, SITUATION)
        for kind, text in {"": WORDS * 40, ", brackets": BRACKETS}.items():
            written = call.format(text) + WORDS * 60
            took[f"native {name}{kind}"] = microseconds(make, TOKEN.findall(written)[:TOKENS])
    print(
        json.dumps(
            {
                "benchmark": "parsing",
                "tokens": TOKENS,
                "goal_us": GOAL_US,
                "slowest_us": max(took.values()),
                "baseline_us": microseconds(Appending, answer("qwen3")),
                "us_a_token": took,
            }
        )
    )


if __name__ == "__main__":
    main()
