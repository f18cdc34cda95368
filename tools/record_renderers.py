"""Records what Ollama's own renderers make of our conversations: run it when a case is added.

Needs Go, and a checkout of Ollama in OLLAMA_SOURCES, whose packages `api` and `model/renderers` are
compiled (a folder is made in it and removed again).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "server_ext")]

from ollama_nb_server.prompts.renderers.families import FAMILIES  # noqa: E402

from tools.renderer_cases import CASES, Case  # noqa: E402

GOLDEN = ROOT / "tests" / "prompts" / "renderers" / "golden.json"
DAY = "2001-02-03"  # what the tests' clock shows
PICTURE = "iVBORw0KGgo="

PROGRAM = """
package main

import (
	"encoding/json"
	"os"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/model/renderers"
)

type Task struct {
	Name     string
	Messages []api.Message
	Tools    []api.Tool
	Think    *api.ThinkValue
}

type Answer struct {
	Text  string `json:"text,omitempty"`
	Error string `json:"error,omitempty"`
	BOS   string `json:"bos,omitempty"`
}

func main() {
	renderers.RenderImgTags = true
	var tasks []Task
	if err := json.NewDecoder(os.Stdin).Decode(&tasks); err != nil {
		panic(err)
	}
	answers := []Answer{}
	for _, task := range tasks {
		text, err := renderers.RenderWithRenderer(task.Name, task.Messages, task.Tools, task.Think)
		answer := Answer{Text: text, BOS: renderers.LeadingBOSForRenderer(task.Name)}
		if err != nil {
			answer = Answer{Error: err.Error(), BOS: answer.BOS}
		}
		answers = append(answers, answer)
	}
	json.NewEncoder(os.Stdout).Encode(answers)
}
"""


def task(name: str, case: Case) -> dict[str, Any]:
    """What the program is asked; pictures in it are all alike."""
    messages = [m | {"images": [PICTURE] * m.get("images", 0)} for m in case["messages"]]
    return {"Name": name, **case, "messages": messages}


def run_go(tasks: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Ollama's answers."""
    sources = Path(os.environ["OLLAMA_SOURCES"])
    with tempfile.TemporaryDirectory(dir=sources) as folder:
        Path(folder, "main.go").write_text(PROGRAM)
        command = ["go", "run", f"./{Path(folder).name}"]
        done = subprocess.run(
            command, cwd=sources, input=json.dumps(tasks).encode(), capture_output=True, check=True
        )
    answers: list[dict[str, str]] = json.loads(done.stdout)
    return answers


def main() -> None:
    """Render and record."""
    pairs = [(name, case) for name in FAMILIES for case in CASES]
    answers = run_go([task(name, CASES[case]) for name, case in pairs])
    golden: dict[str, dict[str, Any]] = {name: {"renderings": {}} for name in FAMILIES}
    today = f"Current date: {date.today()}."
    for (name, case), answer in zip(pairs, answers, strict=True):
        golden[name]["bos"] = answer.pop("bos", "")
        text = answer.get("text", "").replace(today, f"Current date: {DAY}.")
        golden[name]["renderings"][case] = {"error": answer["error"]} if "error" in answer else text
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    GOLDEN.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
