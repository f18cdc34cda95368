"""What an answer looks like: its text, and above it what was thought, folded.

As HTML, which front ends show; as markdown, for what converts a saved notebook; and as plain text.
Nothing that a model wrote is HTML in the first. Where an answer is shown is in `display`.
"""

from __future__ import annotations

import html
import re
import textwrap
from typing import TYPE_CHECKING

from ollama_nb.answers.markdown import to_html

if TYPE_CHECKING:
    from collections.abc import Iterable

Bundle = dict[str, str]  # a text of each of KINDS, as Jupyter takes them
KINDS = ("text/html", "text/markdown", "text/plain")
THOUGHT_COLUMNS = 88
MARK = "| "  # begins a line of thought in plain text, so that nobody takes it for the answer


def of_markdown(text: str, plain: str | None = None) -> Bundle:
    """Return markdown in all forms; it is its own plain text unless there is another."""
    return _bundle(to_html(text), text, text if plain is None else plain)


def of_text(text: str, emphasis: str) -> Bundle:
    """Return a text of ours or of an error, whatever it holds, in italics (`em`) or bold."""
    mark = "*" if emphasis == "em" else "**"
    shown = f"<p><{emphasis}>{html.escape(text)}</{emphasis}></p>\n"
    return _bundle(shown, f"{mark}{text}{mark}", text)


def nothing() -> Bundle:
    """Return what `joined` leaves out."""
    return _bundle("", "", "")


def _bundle(*texts: str) -> Bundle:
    return dict(zip(KINDS, texts, strict=True))


def joined(*bundles: Bundle) -> Bundle:
    """Put what is not empty below one another."""
    return _bundle(*(_below_one_another(kind, bundles) for kind in KINDS))


def _below_one_another(kind: str, bundles: Iterable[Bundle]) -> str:
    between = "" if kind == "text/html" else "\n\n"
    return between.join(one[kind] for one in bundles if one[kind])


def in_block(text: str, language: str = "json") -> str:
    """Return a text as a block of code in markdown, whatever it holds."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def in_code(text: str) -> str:
    """Return a text of one line as code within a line of markdown, whatever it holds."""
    fence = "`" * (_longest_run(text) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)


def folded(title: str, inside: str, plain: str) -> Bundle:
    """Return markdown that a click unfolds; after an empty line HTML is markdown again."""
    head = f"<details><summary>{html.escape(title)}</summary>"
    shown = f"{head}\n{to_html(inside)}</details>\n"
    return _bundle(shown, f"{head}\n\n{inside}\n\n</details>", plain)


def of_thoughts(thinking: str) -> Bundle:
    """Fold what was thought. No times: the same thought is to look the same when run again."""
    thought = thinking.strip()
    if not thought:
        return nothing()
    title = thought_title(thought)
    marked = "\n".join(f"{MARK}{line}" for line in thought.splitlines())
    return folded(title, in_block(_wrapped(thought), "text"), f"{title}:\n{marked}")


def of_note(sentence: str) -> Bundle:
    """Return a remark about an answer, told apart from what the model wrote."""
    return of_text(f"({sentence})", "em") if sentence else nothing()


def thought_title(thinking: str) -> str:
    """Say how much was thought.

    >>> thought_title("Two and two is four.")
    'thought (5 words)'
    """
    num_words = len(thinking.split())
    return f"thought ({num_words:,} word{'s' * (num_words != 1)})"


def _wrapped(thought: str) -> str:
    """Break the long lines of prose, which a block of code would not."""
    return "\n".join(
        "\n".join(textwrap.wrap(line, THOUGHT_COLUMNS)) if len(line) > THOUGHT_COLUMNS else line
        for line in thought.splitlines()
    )
