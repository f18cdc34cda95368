"""Calls of a small published model, free and bound: how many are whole, and of the right tool.

    python -m benchmarks.tool_calls MODEL.gguf [--questions 40]

Forty questions over six tools, temperature 0. Free: as Ollama does it, without `tool_choice`. Then
`auto` (from the model's own opening of a call on) and `required`. `speed` is tokens a second of the
whole answer, without the prompt.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import httpx
import jsonschema

from benchmarks.servers import Target, ours

TABLE = json.loads((Path(__file__).parent / "tool_questions.json").read_text())
TOOLS = TABLE["tools"]
SCHEMAS = {tool["function"]["name"]: tool["function"]["parameters"] for tool in TOOLS}
OPTIONS = {"temperature": 0, "num_predict": 160, "num_ctx": 2048}


def asked(url: str, question: str, choice: str | None, model: str = "bench") -> dict[str, Any]:
    """The whole answer to a question."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "tools": TOOLS,
        "stream": False,
        "options": OPTIONS,
        **({"tool_choice": choice} if choice else {}),
    }
    answer = httpx.post(f"{url}/api/chat", json=body, timeout=600, trust_env=False)
    answer.raise_for_status()
    return dict(answer.json())


def judged(answer: dict[str, Any], tool: str) -> dict[str, bool]:
    """Whether there is a call, whether all are valid, and whether the right tool is meant.

    All calls of an answer must be valid; the first one tells which tool was meant.
    """
    calls = [call["function"] for call in answer["message"].get("tool_calls", [])]
    return {
        "called": bool(calls),
        "valid": bool(calls) and all(map(is_valid, calls)),
        "right": bool(calls) and calls[0]["name"] == tool,
    }


def is_valid(call: dict[str, Any]) -> bool:
    """Whether a call is one of an offered tool with arguments that its schema allows."""
    schema = SCHEMAS.get(call["name"])
    return schema is not None and jsonschema.Draft202012Validator(schema).is_valid(
        call["arguments"]
    )


def row(target: Target, questions: list[list[str]], choice: str | None) -> dict[str, Any]:
    """One way of asking."""
    counts = {"called": 0, "valid": 0, "right": 0}
    tokens = nanoseconds = 0
    for question, tool in questions:
        answer = asked(target.url, question, choice)
        for name, yes in judged(answer, tool).items():
            counts[name] += yes
        tokens, nanoseconds = tokens + answer["eval_count"], nanoseconds + answer["eval_duration"]
    speed = round(tokens / nanoseconds * 1e9, 1)
    return {"tool_choice": choice, "questions": len(questions), **counts, "speed": speed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a GGUF whose template knows tools")
    parser.add_argument("--questions", type=int, default=len(TABLE["questions"]))
    options = parser.parse_args()
    questions = TABLE["questions"][: options.questions]
    with ours(options.model, 1) as target:
        rows = [row(target, questions, choice) for choice in (None, "auto", "required")]
    print(json.dumps({"benchmark": "tool_calls", "model": options.model.name, "rows": rows}))


if __name__ == "__main__":
    main()
