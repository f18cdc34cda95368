"""From 100 messages to text: both kinds of templates, in milliseconds.

    python -m benchmarks.rendering [--sdist llama_cpp_python-0.3.36.tar.gz]

Go templates are those of the families that come with us; Jinja templates the bundled model's and,
with the archive, three published ones. jinja2 alone, without the counting that bounds a hostile
template, is the baseline of the latter.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import jinja2
import jinja2.ext
from ollama_nb_server.library import gguf
from ollama_nb_server.library.bundled import DEMO
from ollama_nb_server.library.families import FAMILIES
from ollama_nb_server.prompts import native
from ollama_nb_server.prompts.conversation import Turn
from ollama_nb_server.prompts.go import GoChatTemplate
from ollama_nb_server.prompts.templates import ChatTemplate
from ollama_nb_server.prompts.traits import traits

ROUNDS, GOAL_MS = 15, 5.0
SENTENCE = "The quick brown fox jumps over the lazy dog, and the dog does not mind. "
TURNS = [Turn("system", SENTENCE)] + [
    Turn(role, SENTENCE * (1 + n % 4)) for n in range(50) for role in ("user", "assistant")
]
TURNS = [*TURNS[:99], Turn("user", "And now?")]
PUBLISHED = ("meta-llama-Llama-3.1-8B-Instruct", "Qwen-Qwen2.5-7B-Instruct", "Qwen-Qwen3-0.6B")
TRICKY = (
    "{{- range $i, $_ := .Messages }}{{- $last := eq (len (slice $.Messages $i)) 1 }}"
    '{{- if eq .Role "user" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n'
    '{{ else if eq .Role "assistant" }}<|im_start|>assistant\n'
    "{{ if .ToolCalls }}{{ range .ToolCalls }}{{ json .Function }}{{ end }}{{ end }}"
    "{{ .Content }}{{ if not $last }}<|im_end|>\n{{ end }}{{ end }}"
    '{{- if and $last (ne .Role "assistant") }}<|im_start|>assistant\n{{ end }}{{- end }}'
)


def milliseconds(work: Callable[[], object]) -> float:
    """Median of the rounds, after one that compiles."""
    work()
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - began))
    return round(statistics.median(took), 2)


def go_templates() -> dict[str, float]:
    texts = {family.key: family.template for family in FAMILIES} | {"messages and tools": TRICKY}
    made = {name: GoChatTemplate.of(text) for name, text in texts.items()}
    return {
        name: milliseconds(lambda template=template: template.render(TURNS))
        for name, template in made.items()
    }


def published(sdist: Path) -> dict[str, str]:
    found = {}
    with tarfile.open(sdist) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".jinja") else None
            if file is not None and Path(member.name).stem in PUBLISHED:
                found[Path(member.name).stem] = file.read().decode()
    return found


def bare(source: str) -> Callable[[], object]:
    """jinja2 with the same settings and nothing counted."""
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    environment.globals["strftime_now"] = time.strftime
    template = environment.from_string(source)
    messages = native.messages(TURNS, source, traits(source))
    return lambda: template.render(messages=messages, add_generation_prompt=True)


def jinja_templates(sdist: Path | None) -> dict[str, dict[str, float]]:
    sources = {"demo": gguf.read(DEMO).chat_template} | (published(sdist) if sdist else {})
    made = {}
    for name, source in sources.items():
        template = ChatTemplate(source)
        made[name] = {
            "ours": milliseconds(lambda template=template: template.render(TURNS)),
            "bare jinja2": milliseconds(bare(source)),
        }
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sdist", type=Path, help="llama-cpp-python's source archive")
    go, jinja = go_templates(), jinja_templates(parser.parse_args().sdist)
    slowest = {"go": max(go.values()), "jinja": max(row["ours"] for row in jinja.values())}
    print(
        json.dumps(
            {
                "benchmark": "rendering",
                "messages": len(TURNS),
                "goal_ms": GOAL_MS,
                "slowest_ms": slowest,
                "go_ms": go,
                "jinja_ms": jinja,
            }
        )
    )


if __name__ == "__main__":
    main()
