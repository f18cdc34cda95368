"""What an answer looks like: its text, and above it what was thought, folded.

As markdown, which a saved notebook keeps, and as plain text. Where it is shown is in `display`.
"""

from __future__ import annotations

import html
import re
import textwrap

Bundle = dict[str, str]  # text/markdown and text/plain, as Jupyter takes them
THOUGHT_COLUMNS = 88
MARK = "| "  # begins a line of thought in plain text, so that nobody takes it for the answer


def both(text: str) -> Bundle:
    """Return a text that is its own markdown."""
    return {"text/markdown": text, "text/plain": text}


def joined(*bundles: Bundle) -> Bundle:
    """Put what is not empty below one another."""
    kinds = ("text/markdown", "text/plain")
    return {kind: "\n\n".join(one[kind] for one in bundles if one[kind]) for kind in kinds}


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


def folded(title: str, inside: str) -> str:
    """Return markdown that a click unfolds; after an empty line HTML is markdown again."""
    return f"<details><summary>{html.escape(title)}</summary>\n\n{inside}\n\n</details>"


def of_thoughts(thinking: str) -> Bundle:
    """Fold what was thought. No times: the same thought is to look the same when run again."""
    thought = thinking.strip()
    if not thought:
        return both("")
    title = thought_title(thought)
    marked = "\n".join(f"{MARK}{line}" for line in thought.splitlines())
    return {
        "text/markdown": folded(title, in_block(_wrapped(thought), "text")),
        "text/plain": f"{title}:\n{marked}",
    }


def of_note(sentence: str) -> Bundle:
    """Return a remark about an answer, told apart from what the model wrote."""
    if not sentence:
        return both("")
    return {"text/markdown": f"*({sentence})*", "text/plain": f"({sentence})"}


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
