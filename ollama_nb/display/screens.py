"""Show an answer while it arrives and leave a static one behind.

How an output is replaced, and how often, is in `live`; here is what an answer looks like in it.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from ollama_nb.answers.call_rendering import of_calls
from ollama_nb.answers.markdown import StreamedHtml
from ollama_nb.answers.rendering import (
    MARK,
    in_block,
    joined,
    nothing,
    of_markdown,
    of_text,
    thought_title,
)
from ollama_nb.display.cell import OneOutput, running_shell
from ollama_nb.display.live import Live, Place, place
from ollama_nb.pictures import thumbnails

MAX_THOUGHT_LINES, MAX_THOUGHT_CHARS = 3, 100

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ollama_nb.answers.generation import Generation
    from ollama_nb.answers.rendering import Bundle
    from ollama_nb.answers.tool_call import ToolCall
    from ollama_nb.pictures.picture import Picture


class Screen(Protocol):
    """Where an answer is shown, from `open` to `finish`; `close` ends what was not finished."""

    shows_calls: bool  # before they are run

    def show_sent(self, pictures: Sequence[Picture]) -> None:
        """Take the pictures that are sent; called before `open`."""

    def open(self) -> None:
        """Begin to show that an answer is waited for."""

    def update(self, text: str, thinking: str = "", waiting: str = "") -> None:
        """Take the whole answer so far, what was thought before it, or what is waited for."""

    def finish(self, answer: Generation) -> None:
        """Take the final answer; its rendering is what a saved notebook keeps."""

    def close(self) -> None:
        """Show nothing more of the answer; may be called after `finish`."""

    def show_calls(self, answer: Generation, calls: Sequence[ToolCall]) -> None:
        """Take what has come so far of the calls that a finished answer asks for."""

    def finish_calls(self, answer: Generation, calls: Sequence[ToolCall]) -> None:
        """Take what came of them in the end."""


class Nowhere:
    """Shows nothing: the caller wants the value only."""

    shows_calls = False

    def show_sent(self, pictures: Sequence[Picture]) -> None:
        """Show nothing."""

    def open(self) -> None:
        """Show nothing."""

    def update(self, text: str, thinking: str = "", waiting: str = "") -> None:
        """Ignore the text."""

    def finish(self, answer: Generation) -> None:
        """Ignore the answer."""

    def close(self) -> None:
        """There is nothing to end."""

    def show_calls(self, answer: Generation, calls: Sequence[ToolCall]) -> None:
        """Show nothing."""

    def finish_calls(self, answer: Generation, calls: Sequence[ToolCall]) -> None:
        """Show nothing."""


class Terminal(Nowhere):
    """Writes new text as it comes, for plain Python and IPython in a terminal."""

    def __init__(self, write: Callable[[str], object] | None = None) -> None:
        self._write = write or sys.stdout.write
        self._written = self._thought = 0

    def show_sent(self, pictures: Sequence[Picture]) -> None:
        """Name the pictures: a terminal cannot show them."""
        for picture in pictures:
            self._write(f"[{picture.caption}]\n")

    def update(self, text: str, thinking: str = "", waiting: str = "") -> None:
        """Write what is new of the thought, in lines that are marked, or of the answer."""
        self._think(thinking.strip())
        if text and self._thought and not self._written:
            self._write("\n\n")
        self._write(text[self._written :])
        self._written = len(text)
        sys.stdout.flush()

    def _think(self, thought: str) -> None:
        new = thought[self._thought :]
        if new and not self._thought:
            self._write(MARK)
        self._write(new.replace("\n", f"\n{MARK}"))
        self._thought = len(thought)

    def finish(self, answer: Generation) -> None:
        """Write the rest and end the line."""
        self.update(answer.text, answer.thinking)
        if self._written or self._thought or not answer.tool_calls:
            self._write("\n")
        if answer.cut:
            self._write(f"({answer.cut})\n")
        mark_shown(answer)

    def finish_calls(self, answer: Generation, calls: Sequence[ToolCall]) -> None:
        """Write a paragraph for each."""
        self._write(f"{of_calls(calls)['text/plain']}\n")


class OneCell(Nowhere):
    """Displays the answer once, when it is whole, for notebooks that a program executes.

    It leaves the same there as `LiveCell` does.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._is_over = False

    def show_sent(self, pictures: Sequence[Picture]) -> None:
        """Display them, small."""
        display_pictures(pictures)

    def finish(self, answer: Generation) -> None:
        """Display the answer; one that asks for calls, when these are done."""
        self._is_over = True
        if not answer.tool_calls:
            self._display(answer, final(answer, self._model))

    def close(self) -> None:
        """Say of an answer that was never finished that there is none."""
        if not self._is_over:
            OneOutput().publish(no_answer(self._model), {})

    def finish_calls(self, answer: Generation, calls: Sequence[ToolCall]) -> None:
        """Display the answer with them."""
        self._display(answer, joined(answer.said(), of_calls(calls)))

    def _display(self, answer: Generation, bundle: Bundle) -> None:
        OneOutput().publish(bundle, answer.provenance())
        mark_shown(answer)


class LiveCell(Live):
    """Streams into one display_id of the running cell.

    Parameters
    ----------
    waiting_for
        Name of the model, for the line that is shown until its first word.
    publish, clock
        As for `Live`.
    is_json
        Whether the answer is JSON, which markdown would mangle: it is shown as code.
    """

    shows_calls = True

    def __init__(
        self,
        waiting_for: str,
        publish: Callable[[dict[str, str], dict[str, Any]], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        is_json: bool = False,
    ) -> None:
        super().__init__(publish, clock)
        self._model = waiting_for
        self._is_json = is_json
        self._text = self._thinking = self._phase = ""
        self._streamed = StreamedHtml()

    def show_sent(self, pictures: Sequence[Picture]) -> None:
        """Display them, small, above the answer."""
        display_pictures(pictures)

    def close(self) -> None:
        """Say in the output of an answer that was never finished that there is none."""
        if not self._done.is_set():
            self.end()
            self._send(no_answer(self._model))

    def update(self, text: str, thinking: str = "", waiting: str = "") -> None:
        """Show the text now if the last update is long enough ago, else at a later call.

        Until there is some, the end of what the model thinks is shown, or what is waited for.
        """
        with self._lock:
            self._text, self._thinking, self._phase = text, thinking, waiting
            self._send_if_due()

    def finish(self, answer: Generation) -> None:
        """Replace all by the final rendering, which stands for the result of this cell."""
        self.end()
        self._publish(final(answer, self._model), answer.provenance())
        mark_shown(answer)

    def show_calls(self, answer: Generation, calls: Sequence[ToolCall]) -> None:
        """Show them below what the model wrote."""
        self._publish(joined(answer.said(), of_calls(calls)), answer.provenance())

    def finish_calls(self, answer: Generation, calls: Sequence[ToolCall]) -> None:
        """Leave them there."""
        self.show_calls(answer, calls)

    def _bundle(self) -> dict[str, str]:
        """Leave the markdown to the final answer: nobody reads that of an update."""
        shown = self._said() if self._text else self._waiting()
        return {kind: shown[kind] for kind in ("text/html", "text/plain")}

    def _said(self) -> Bundle:
        """The fold of what was thought would be sent again and again: its title stands for it."""
        markdown = in_block(self._text) if self._is_json else self._text
        said = {**nothing(), "text/html": self._streamed.of(markdown), "text/plain": self._text}
        if not self._thinking.strip():
            return said
        return joined(_status(thought_title(self._thinking)), said)

    def _waiting(self) -> Bundle:
        waited = f"{self._clock() - self._started_s:.0f} s"
        if not self._thinking.strip():
            phase = self._phase or "waiting for the first word"
            return _status(f"{self._model}: {phase}, {waited}")
        tail = of_markdown(in_block(_tail(self._thinking), ""))
        return joined(_status(f"{self._model}: thinking, {waited}"), tail)


def display_pictures(pictures: Sequence[Picture]) -> None:
    """Display each picture, small, as an output of its own."""
    for picture in pictures:
        OneOutput().publish(thumbnails.bundle(picture), {"ollama_nb": {"sent": picture.name}})


def final(answer: Generation, model: str) -> Bundle:
    """Return what is left of an answer: itself, if there is anything of it."""
    bundle = answer.bundle()
    return bundle if bundle["text/plain"].strip() or answer.tool_calls else no_answer(model)


def no_answer(model: str) -> Bundle:
    """Stand where nothing came: an output that is there cannot be taken away again."""
    return _status(f"{model}: no answer")


def _status(text: str) -> Bundle:
    """Return a line of ours where an answer could stand; the asterisks tell them apart."""
    return {**of_text(text, "em"), "text/plain": f"*{text}*"}


def _tail(thinking: str) -> str:
    """The last few lines, short enough to be read while they pass."""
    lines = [line[-MAX_THOUGHT_CHARS:] for line in thinking.strip().splitlines() if line.strip()]
    return "\n".join(lines[-MAX_THOUGHT_LINES:])


def screen(model: str, *, visible: bool = True, is_json: bool = False) -> Screen:
    """Return the screen that fits where this code runs."""
    if not visible:
        return Nowhere()
    screens: dict[Place, Callable[[], Screen]] = {
        Place.TERMINAL: Terminal,
        Place.EXECUTED: lambda: OneCell(model),
        Place.WATCHED: lambda: LiveCell(model, is_json=is_json),
    }
    return screens[place()]()


def mark_shown(answer: Generation) -> None:
    """Keep IPython from showing the answer a second time as the result of this cell."""
    shell = running_shell()
    if shell is None:
        return

    def cell_ends(*_: object) -> None:
        answer.shown = False
        shell.events.unregister("post_run_cell", cell_ends)

    answer.shown = True
    shell.events.register("post_run_cell", cell_ends)
