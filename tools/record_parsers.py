"""Records what Ollama itself makes of our families' answers: run it after one of them was edited.

Needs Go (the version that Ollama's go.mod names), and a checkout of Ollama in OLLAMA_SOURCES, in
which a program is written and deleted again. Texts that Ollama reads differently when they come in
several pieces are left out: ours come out the same however they are cut.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "server_ext"), str(ROOT / "tests" / "prompts" / "parsing")]

from family_examples import EXAMPLES, TOOLS, Example, broken  # noqa: E402

GOLDEN = ROOT / "tests" / "prompts" / "parsing" / "golden.json"
COUNT = 16  # broken texts of each family
# A tag is one token of most vocabularies.
PIECE = re.compile(r"<[^<>\s]{1,30}>|\[[A-Z_/]+\]|\s?\w+|.", re.DOTALL)

PROGRAM = """
package main

import (
	"encoding/json"
	"os"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/model/parsers"
)

type Task struct {
	Name   string
	Tools  []api.Tool
	Think  *api.ThinkValue
	Chunks []string
}

type Result struct {
	Content  string         `json:"content"`
	Thinking string         `json:"thinking"`
	Calls    []api.ToolCall `json:"calls"`
	Error    string         `json:"error"`
	Tags     []string       `json:"tags"`
	Tools    bool           `json:"tools"`
	Thinks   bool           `json:"thinks"`
}

func run(task Task) (result Result) {
	parser := parsers.ParserForName(task.Name)
	parser.Init(task.Tools, nil, task.Think)
	result.Tags, result.Tools = parser.PreservedTokens(), parser.HasToolSupport()
	result.Thinks = parser.HasThinkingSupport()
	for i, chunk := range task.Chunks {
		content, thinking, calls, err := parser.Add(chunk, i == len(task.Chunks)-1)
		result.Content += content
		result.Thinking += thinking
		result.Calls = append(result.Calls, calls...)
		if err != nil {
			result.Error = err.Error()
			return
		}
	}
	return
}

func main() {
	var tasks []Task
	if err := json.NewDecoder(os.Stdin).Decode(&tasks); err != nil {
		panic(err)
	}
	results := []Result{}
	for _, task := range tasks {
		results = append(results, run(task))
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.Encode(results)
}
"""


def tools() -> list[dict[str, Any]]:
    """The tools as a request has them."""
    functions = ({"name": one.name, "parameters": dict(one.parameters)} for one in TOOLS)
    return [{"type": "function", "function": {**one, "description": ""}} for one in functions]


def run_go(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What Ollama makes of each."""
    sources = Path(os.environ["OLLAMA_SOURCES"])
    with tempfile.TemporaryDirectory(dir=sources / "cmd") as folder:
        Path(folder, "main.go").write_text(PROGRAM, "utf-8")
        done = subprocess.run(
            ["go", "run", f"./cmd/{Path(folder).name}"],
            input=json.dumps(tasks),
            capture_output=True,
            text=True,
            check=True,
            cwd=sources,
        )
    results: list[dict[str, Any]] = json.loads(done.stdout)
    return results


def recorded(example: Example) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a family's parser is, and its answers."""
    texts = [example.text, *broken(example, COUNT)]
    think = example.situation.get("think")
    base = {"Name": example.name, "Tools": tools(), "Think": think}
    whole = run_go([{**base, "Chunks": [text, ""]} for text in texts])
    pieces = run_go([{**base, "Chunks": [*PIECE.findall(text), ""]} for text in texts])
    facts = {key: whole[0][key] for key in ("tags", "tools", "thinks")}
    rows = [
        {"name": example.name, "think": think, "text": text, **_row(one)}
        for text, one, other in zip(texts, whole, pieces, strict=True)
        if _row(one) == _row(other)
    ]
    return facts, rows


def _row(result: dict[str, Any]) -> dict[str, Any]:
    if result["error"]:
        return {"error": result["error"]}
    calls = [
        [call["function"]["name"], call["function"]["arguments"] or {}]
        for call in result["calls"] or []
    ]
    return {"content": result["content"], "thinking": result["thinking"], "calls": calls}


def main() -> None:
    """Run and record."""
    facts, rows = {}, []
    for example in EXAMPLES:
        facts[example.name], found = recorded(example)
        rows += found
        print(f"{example.name}: {len(found)} of {COUNT + 1}")  # noqa: T201
    golden = {"parsers": facts, "answers": rows}
    GOLDEN.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
