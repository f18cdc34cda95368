"""`Chat`: talk to a model from a cell, with a Stop that stops the engine.

The page's part is `chat.js`; what turns look like is in `transcript`, who asks in `asking`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets
from anywidget import AnyWidget

from ollama_nb.asking.chatting import Conversation, chat_request
from ollama_nb.asking.streaming import ask_async
from ollama_nb.connection.options import checked
from ollama_nb.connection.patience import pause
from ollama_nb.display.live import Place, place
from ollama_nb.display.screens import LiveCell
from ollama_nb.errors import OllamaNbError
from ollama_nb.managing.catalogue import default_model
from ollama_nb.threads import thread_of_cell
from ollama_nb.widgets.copies import Copies
from ollama_nb.widgets.transcript import NOTHING_CAME, Exchange

if TYPE_CHECKING:
    from ollama_nb.answers.generation import Generation
    from ollama_nb.asking.request import Request

PAGE = Path(__file__).parent
NUM_TAKEN = 100  # messages of pages that are remembered; one is sent again within seconds


class Chat(AnyWidget):
    """A conversation with a model, in the output of a cell.

    Type into the box and press Enter; Shift+Enter begins a new line. The model answers on a thread
    of its own, so the kernel stays free, Stop works at once, and an answer goes on when the page is
    closed. The conversation lives in the kernel: a page that is loaded again shows all of it.
    Each turn that is over is also an output of the cell, as HTML, markdown and plain text: it stays
    in the saved notebook, where a widget would not.

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
        The conversation so far (a trait: it can be observed). An answer that was stopped, or that
        broke off, is part of it as far as it came.
    busy : bool
        Whether an answer is on its way (a trait).
    error : str
        What went wrong last, else empty (a trait).
    model : str
        The model that answers, as the page names it (a trait).

    Examples
    --------
    >>> talk = Chat("demo", system="Answer in one sentence.")  # doctest: +SKIP
    >>> talk.messages[-1]["content"]  # doctest: +SKIP
    """

    _esm = (PAGE / "chat.js").read_text("utf-8")
    _css = (PAGE / "chat.css").read_text("utf-8")

    messages = traitlets.List(traitlets.Dict())
    error = traitlets.Unicode("")
    busy = traitlets.Bool(False).tag(sync=True)
    model = traitlets.Unicode("").tag(sync=True)
    talk = traitlets.Unicode("").tag(sync=True)  # the widget's id, which marks the copy

    def __init__(
        self,
        model: str | None = None,
        *,
        system: str | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self._options = checked(options or {})
        self._conversation = Conversation(model, system)
        self._shown: list[dict[str, Any]] = []  # the turns as the page has them
        self._num_forgotten = 0  # turns; those that come after have other numbers
        self._task: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._taken: deque[Any] = deque(maxlen=NUM_TAKEN)
        name = uuid.uuid4().hex
        super().__init__(model_id=name, talk=name, model=model or "")
        self._copies = Copies(self.talk)
        self.on_msg(self._on_page_message)

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return what a page is sent: all of the talk to one that is loaded.

        The turns are no trait: of one, a page would be sent all turns whenever one changes.
        """
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        return {**state, "turns": list(self._shown)} if key is None else state

    def _tell(self, kind: str, **facts: Any) -> None:
        """Send the page a message."""
        super().send({"type": kind, **facts})

    def _on_page_message(self, _: AnyWidget, message: dict[str, Any], __: object) -> None:
        """Take a message once: a page that does not know whether it has come sends it again."""
        name = message.get("id")
        self._tell("heard", id=name)
        if name not in self._taken:
            self._taken.append(name)
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "ask":
            self._tell("taken", taken=self.send(str(message.get("text", ""))))
        elif kind == "stop":
            self.stop()
        elif kind == "ready":
            self._tell_again()
        elif kind == "copies":
            self._tell("copies", copies=self._copies.of(message.get("numbers", ())))

    def send(self, text: str) -> bool:
        """Ask; tell whether it is asked: nothing happens while an answer is on its way."""
        question = text.strip()
        if not question or self.busy:
            return False
        self.error = ""
        self._stopping.clear()
        self.busy = True
        self._show(len(self._shown), question)
        self._thread = thread_of_cell(lambda: self._answer(question), "ollama_nb-chat")
        self._thread.start()
        return True

    def stop(self) -> None:
        """Stop the engine; what has come of the answer stays."""
        self._stopping.set()  # for a question that is about to be asked
        if task := self._task:
            with contextlib.suppress(RuntimeError):  # its loop has just been closed
                task[0].call_soon_threadsafe(task[1].cancel)

    def reset(self) -> None:
        """Stop, forget the conversation and clear the transcript."""
        self.stop()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._conversation.reset()
        self.messages = []
        self._copies.forget()
        self._num_forgotten += len(self._shown)
        self._shown = []
        self._tell("reset")

    def _answer(self, question: str) -> None:
        """Run one turn to its end, on its own thread and event loop."""
        answer = None
        pause.set(self._pause)
        try:
            answer = asyncio.run(self._answering(question))
        except asyncio.CancelledError:  # before it was asked
            self.error = NOTHING_CAME
        except OllamaNbError as error:
            self.error = f"{type(error).__name__}: {error}"
            answer = error.answer
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"  # else the page would wait for ever
            raise
        finally:
            self._task = None
            self._settle(question, answer)
            self.busy = False

    def _pause(self, seconds: float) -> None:
        """Wait for a server that is away for a moment; Stop ends it."""
        if self._stopping.wait(seconds):
            raise asyncio.CancelledError

    async def _answering(self, question: str) -> Generation:
        request = self._request(question)
        self._task = asyncio.get_running_loop(), asyncio.current_task()  # type: ignore[assignment]
        if self._stopping.is_set():
            self.stop()
        self.model = request.model
        at = len(self._shown) - 1

        def publish(shown: dict[str, str], _: object) -> int:
            self._show(at, question, shown["text/html"])
            return len(shown["text/html"].encode())

        live = LiveCell(request.model, publish)
        live.open()
        try:
            return await ask_async(request, live.update)
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

    def _settle(self, question: str, answer: Generation | None) -> None:
        """Show what is final, keep a copy in the notebook, and go on from there."""
        if answer is not None:
            self._conversation.remember(question, answer)
        exchange = Exchange.over(question, self.model or "Model", answer, self.error)
        at = len(self._shown) - 1
        self._copies.add(self._num_forgotten + at, exchange)
        self._show(at, question, exchange.html(), over=True)
        self.messages = self._conversation.messages

    def _show(self, at: int, question: str, html: str = "", *, over: bool = False) -> None:
        """Show one turn on the page, which is sent no other."""
        known = {"number": self._num_forgotten + at, "question": question}
        self._shown[at:] = [{**known, "html": html, "over": over}]
        self._tell_turn(at)

    def _tell_turn(self, at: int) -> None:
        turn = self._shown[at]
        self._tell("turn", at=at, turn=turn, copies=self._copies.of([turn["number"]]))

    def _tell_again(self) -> None:
        """Tell a page what it may have missed while it was loaded."""
        self.send_state(["busy", "model"])
        if self._shown:
            self._tell_turn(len(self._shown) - 1)

    def _ipython_display_(self) -> None:
        """Show the widget as an output of the cell, and the turns so far as others."""
        if place() is Place.TERMINAL:
            raise NotImplementedError  # IPython's word for: use the repr
        self._copies.show(self.model_id)
        if not self.model and place() is Place.WATCHED:
            thread_of_cell(self._name_model, "ollama_nb-model").start()

    def _name_model(self) -> None:
        """Find out which model would answer; without one, the first question will say why."""
        with contextlib.suppress(OllamaNbError):
            self.model = self.model or default_model(self._conversation.model)

    def __repr__(self) -> str:
        return f"Chat(model={self._conversation.model!r}, turns={len(self._conversation.turns)})"
