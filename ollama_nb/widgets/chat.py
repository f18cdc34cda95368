"""`Chat`: talk to a model from a cell, with a Stop that stops the engine.

What is said lives in an ordinary output of the cell (`transcript`); the widget is the live part.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import traitlets
from IPython.display import display
from ipywidgets import Button, HBox, Layout, Text, VBox

from ollama_nb.asking.chatting import Conversation, chat_request
from ollama_nb.asking.request import Request
from ollama_nb.asking.streaming import ask_async
from ollama_nb.connection.options import checked
from ollama_nb.display.cell import OneOutput
from ollama_nb.display.screens import LiveCell
from ollama_nb.errors import OllamaNbError
from ollama_nb.threads import thread_of_cell
from ollama_nb.widgets import transcript

TEXT_FOLLOWS_WITHIN_S = 0.3


class Chat(VBox):
    """A conversation with a model, in the output of a cell.

    Type into the box and press Enter. The model answers on a thread of its own, so the kernel
    stays free and Stop works at once. The conversation is written into the cell's output as
    plain markdown: it stays in the saved notebook, where a widget would not.

    Parameters
    ----------
    model
        Default as for `ollama_nb.generate()`.
    system
        Stands in front of the conversation.
    options
        Ollama's options by name.

    Attributes
    ----------
    messages : list of dict
        The conversation so far (a trait: it can be observed).
    busy : bool
        Whether an answer is on its way (a trait).
    error : str
        What went wrong last, else empty (a trait).

    Examples
    --------
    >>> talk = Chat("demo", system="Answer in one sentence.")  # doctest: +SKIP
    >>> talk.messages[-1]["content"]  # doctest: +SKIP
    """

    messages = traitlets.List(traitlets.Dict())
    busy = traitlets.Bool(False)
    error = traitlets.Unicode("")

    def __init__(
        self,
        model: str | None = None,
        *,
        system: str | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.box = Text(
            placeholder="Ask something, press Enter",
            continuous_update=False,  # else text typed quickly arrives after the Enter
            layout=Layout(flex="1 1 auto"),
        )
        self.send_button = Button(description="Send", button_style="primary", icon="paper-plane")
        self.stop_button = Button(description="Stop", icon="stop", disabled=True)
        super().__init__([HBox([self.box, self.send_button, self.stop_button])])
        self._conversation = Conversation(model, system)
        self._options = checked(options or {})
        self._output = OneOutput()
        self._entered = False
        self._task: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self._listen()

    def _listen(self) -> None:
        self.box.on_msg(self._on_box_message)
        self.box.observe(lambda _: self._send_entered(), "value")
        self.send_button.on_click(lambda _: self.send())
        self.stop_button.on_click(lambda _: self.stop())
        self.observe(self._on_busy, "busy")

    def _on_box_message(self, _: Text, content: dict[str, Any], __: object) -> None:
        """Note an Enter: the text follows it, unless the box has sent it before."""
        if content.get("event") == "submit":
            self._entered = True
            threading.Timer(TEXT_FOLLOWS_WITHIN_S, self._send_entered).start()

    def _send_entered(self) -> None:
        if self._entered:
            self._entered = False
            self.send()

    def _on_busy(self, change: dict[str, Any]) -> None:
        self.send_button.disabled = change["new"]
        self.stop_button.disabled = not change["new"]

    def send(self, text: str | None = None) -> None:
        """Ask what stands in the box, or `text`; nothing happens while an answer is on its way."""
        question = (self.box.value if text is None else text).strip()
        if not question or self.busy:
            return
        self.box.value = ""
        self.error = ""
        self.busy = True
        thread_of_cell(lambda: self._answer(question), "ollama_nb-chat").start()

    def stop(self) -> None:
        """Stop the engine; what has come of the answer stays."""
        if self._task is not None:
            loop, task = self._task
            loop.call_soon_threadsafe(task.cancel)

    def reset(self) -> None:
        """Forget the conversation and clear the transcript."""
        self._conversation.reset()
        self._settle()

    def _answer(self, question: str) -> None:
        """Run one turn to its end, on its own thread and event loop."""
        try:
            asyncio.run(self._answering(question))
        except OllamaNbError as error:
            self.error = f"{type(error).__name__}: {error}"
        finally:
            self._task = None
            self._settle(question)
            self.busy = False

    async def _answering(self, question: str) -> None:
        self._task = asyncio.get_running_loop(), asyncio.current_task()  # type: ignore[assignment]
        request = self._request(question)
        live = LiveCell(request.model, lambda shown, _: self._publish(question, shown))
        live.open()
        try:
            answer = await ask_async(request, live.update)
            self._conversation.remember(question, answer)
        finally:
            live.end()

    def _request(self, question: str) -> Request:
        talk = self._conversation
        return chat_request(
            [*talk.messages, question],
            model=talk.model,
            system=talk.system,
            options=self._options,
        )

    def _publish(self, question: str, shown: dict[str, str]) -> int:
        turns = self._conversation.turns
        return self._output.publish(transcript.bundle(turns, question, shown["text/markdown"]), {})

    def _settle(self, question: str = "") -> None:
        """Publish what is final: all turns, and the error of one that failed."""
        turns = self._conversation.turns
        failed = (question, f"**{self.error}**") if self.error else ("", "")
        self._output.publish(transcript.bundle(turns, *failed), {})
        self.messages = self._conversation.messages

    def _ipython_display_(self) -> None:
        """Show the transcript as an output of the cell, and the controls below it."""
        self._output = OneOutput()
        self._settle()
        view = self._repr_mimebundle_()
        display({kind: value for kind, value in view.items() if kind != "text/plain"}, raw=True)

    def __repr__(self) -> str:
        return f"Chat(model={self._conversation.model!r}, turns={len(self._conversation.turns)})"
