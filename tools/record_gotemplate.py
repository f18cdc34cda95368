"""Records what Go itself makes of many small templates: run it after a case was added.

Needs Go (Debian: `apt-get install golang-go`; any version from 1.18 on). What newer versions of Go
do differently is tested by hand, in tests/gotemplate/test_newer_go.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools.gotemplate_cases import CASES  # noqa: E402

GOLDEN = ROOT / "tests" / "gotemplate" / "golden.json"

# The data is that of tests/gotemplate/conftest.py, under the same names.
PROGRAM = """
package main

import (
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type Call struct {
	Name string
	Args map[string]any
}

type Message struct {
	Role    string
	Content string
	Count   int
	Calls   []Call
	Any     any
	Next    *Message
}

type Tools []string

func (t Tools) String() string { return "tools:" + strings.Join(t, "+") }

func data() map[string]any {
	user := &Message{Role: "user", Content: "Hi <you>", Count: 2}
	bot := &Message{Role: "assistant", Content: "héllo", Calls: []Call{
		{"f", map[string]any{"city": "Oslo", "days": 3.0, "big": 1e6, "none": nil}},
	}}
	return map[string]any{
		"Text": "text", "Empty": "", "Umlaut": "äöü€", "Lines": "a\\nb\\t\\"c\\"\\\\",
		"Zero": 0, "One": 1, "Minus": -42, "Half": 0.5, "Million": 1e6, "Tiny": 0.00001,
		"Yes": true, "No": false, "Null": nil,
		"List": []any{1, "two", 3.5, nil, true}, "NoList": []any{}, "Names": []string{"b", "a"},
		"Map": map[string]any{"b": 2, "a": "one", "n": nil, "m": map[string]any{"x": 1.5}},
		"NoMap": map[string]any{}, "Messages": []*Message{user, bot}, "Message": *user,
		"Tools": Tools{"x", "y"}, "Holder": map[string]any{"Tools": Tools{"z"}},
	}
}

func run(text string) map[string]string {
	parsed, err := template.New("").Option("missingkey=zero").Parse(text)
	if err != nil {
		return map[string]string{"error": err.Error()}
	}
	var out strings.Builder
	if err := parsed.Execute(&out, data()); err != nil {
		return map[string]string{"error": err.Error()}
	}
	return map[string]string{"text": out.String()}
}

func main() {
	var texts []string
	if err := json.NewDecoder(os.Stdin).Decode(&texts); err != nil {
		panic(err)
	}
	results := []map[string]string{}
	for _, text := range texts {
		results = append(results, run(text))
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.Encode(results)
}
"""


def run_go(texts: list[str]) -> list[dict[str, str]]:
    """What Go makes of each template: a text, or an error."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "main.go")
        program.write_text(PROGRAM, "utf-8")
        done = subprocess.run(
            ["go", "run", str(program)],
            input=json.dumps(texts),
            capture_output=True,
            text=True,
            check=True,
        )
    results: list[dict[str, str]] = json.loads(done.stdout)
    return results


def main() -> None:
    """Run and record."""
    texts = [text for group in CASES.values() for text in group]
    golden = [
        {"template": text, **result} for text, result in zip(texts, run_go(texts), strict=True)
    ]
    GOLDEN.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
