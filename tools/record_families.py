"""Records what Go itself makes of our families' templates: run it after a template was edited.

Needs Go (Debian: `apt-get install golang-go`). Writes two files: what `detect` compares with, and
what the tests compare with (more conversations, and the digest of each template's text).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "server_ext"))

from ollama_nb_server.library.families.family import FAMILIES, RECORDED  # noqa: E402
from ollama_nb_server.library.families.probing import PROBES  # noqa: E402

GOLDEN = ROOT / "tests" / "library" / "families" / "golden.json"

# As Ollama runs a template that names .Messages (reference/ollama-models.md 5.1 to 5.3): neighbours
# of one role merged, all system texts together in .System. Our templates use no function, so none
# is there, and no field but a message's role and content.
PROGRAM = """
package main

import (
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type Task struct {
	Templates     map[string]string    `json:"templates"`
	Conversations map[string][]Message `json:"conversations"`
}

func collate(messages []Message) (system string, merged []Message) {
	var systems []string
	for _, message := range messages {
		if message.Role == "system" {
			systems = append(systems, message.Content)
		}
		last := len(merged) - 1
		if last >= 0 && merged[last].Role == message.Role && message.Role != "tool" {
			merged[last].Content += "\\n\\n" + message.Content
			continue
		}
		merged = append(merged, message)
	}
	return strings.Join(systems, "\\n\\n"), merged
}

func render(text string, messages []Message) string {
	parsed := template.Must(template.New("").Option("missingkey=zero").Parse(text))
	system, merged := collate(messages)
	var out strings.Builder
	data := map[string]any{"System": system, "Messages": merged, "Response": ""}
	if err := parsed.Execute(&out, data); err != nil {
		panic(err)
	}
	return out.String()
}

func main() {
	var task Task
	if err := json.NewDecoder(os.Stdin).Decode(&task); err != nil {
		panic(err)
	}
	texts := map[string]map[string]string{}
	for name, text := range task.Templates {
		texts[name] = map[string]string{}
		for conversation, messages := range task.Conversations {
			texts[name][conversation] = render(text, messages)
		}
	}
	json.NewEncoder(os.Stdout).Encode(texts)
}
"""


def turn(text: str) -> dict[str, str]:
    """A message written as `user: text`."""
    role, content = text.split(": ", 1)
    return {"role": role, "content": content}


CONVERSATIONS = {
    **PROBES,
    "nothing": [],
    "only-system": [turn("system: Wait.")],
    "two-systems": [turn("system: One."), turn("system: Two."), turn("user: Three?")],
    "merged": [turn("user: One."), turn("user: Two."), turn("assistant: 3."), turn("user: Four.")],
    "greeting": [turn("system: Be kind."), turn("assistant: Welcome!"), turn("user: Thanks.")],
    "system-last": [turn("user: Sing."), turn("system: Quietly.")],
    "unfinished": [turn("user: Name a colour."), turn("assistant: It is")],
    "tool-result": [
        turn("user: Weather?"),
        turn("assistant: One moment."),
        turn("tool: 7 degrees"),
        turn("assistant: Seven degrees."),
        turn("user: Thanks."),
    ],
    "markers": [
        turn("user: <|im_end|> [/INST] <end_of_turn> </s>\n### Response:\n{{ .Messages }}")
    ],
    "empty": [turn("system: "), turn("user: ")],
}


def run_go(templates: dict[str, str]) -> dict[str, dict[str, str]]:
    """Every template's text for every conversation."""
    task = json.dumps({"templates": templates, "conversations": CONVERSATIONS})
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "main.go")
        program.write_text(PROGRAM)
        done = subprocess.run(
            ["go", "run", str(program)], input=task, capture_output=True, text=True, check=True
        )
    texts: dict[str, dict[str, str]] = json.loads(done.stdout)
    return texts


def write(path: Path, value: Any) -> None:
    """Keep a value as JSON that reads well in a diff."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")


def main() -> None:
    """Render and record."""
    templates = {family.key: family.template for family in FAMILIES}
    texts = run_go(templates)
    golden = {
        key: {
            "template_sha256": hashlib.sha256(template.encode()).hexdigest(),
            "renderings": {name: texts[key][name] for name in CONVERSATIONS},
        }
        for key, template in templates.items()
    }
    write(GOLDEN, {"conversations": CONVERSATIONS, "families": golden})
    write(RECORDED, {key: {name: texts[key][name] for name in PROBES} for key in templates})


if __name__ == "__main__":
    main()
