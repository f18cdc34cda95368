"""What calls of tools look like in a cell: who was called with what, and what came of it.

What a model wants to run is shown whole before anybody is asked; long results are folded.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ollama_nb.answers.rendering import Bundle, folded, in_block, in_code, joined, of_markdown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ollama_nb.answers.tool_call import ToolCall

MAX_LINE_CHARS = 120  # of a call, and of its result, to stand in a line


def of_calls(calls: Iterable[ToolCall]) -> Bundle:
    """Show calls, one below the other."""
    return joined(*map(_of_call, calls))


def _of_call(call: ToolCall) -> Bundle:
    plain = f"call {call}{_outcome(call)}"
    if not call.done:
        return of_markdown(f"call {_whole(call)}", plain)
    if _is_short(str(call)) and _is_short(call.told):
        return of_markdown(f"call {in_code(str(call))}{_marked(call)}", plain)
    title = f"call {_clipped(str(call))}{_clipped(_outcome(call))}"
    inside = f"{_whole(call)}\n\n{in_block(call.told, 'text')}"
    return folded(title, inside, plain)


def _whole(call: ToolCall) -> str:
    """Return a call with all of its arguments, a long one as a block."""
    if _is_short(str(call)):
        return in_code(str(call))
    arguments = json.dumps(call.arguments, indent=2, ensure_ascii=False)
    return f"{in_code(call.name)} with\n\n{in_block(arguments)}"


def _outcome(call: ToolCall) -> str:
    return f" -> {call.told}" if call.done else ""


def _marked(call: ToolCall) -> str:
    return f" → {in_code(call.told)}" if call.told else " → (nothing)"


def _is_short(text: str) -> bool:
    return len(text) <= MAX_LINE_CHARS and "\n" not in text


def _clipped(text: str) -> str:
    line, more, _ = text.partition("\n")
    is_whole = len(line) <= MAX_LINE_CHARS and not more
    return line if is_whole else f"{line[: MAX_LINE_CHARS - 4]} ..."
