"""Go to and fro between a model and the tools that it calls, until it answers.

One question is asked by `streaming`; a call is read, run and told by `tools`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ollama_nb.asking.streaming import ask
from ollama_nb.display.screens import screen
from ollama_nb.errors import Interrupted, OllamaNbError, TooManyRounds
from ollama_nb.tools.choice import chosen
from ollama_nb.tools.consent import Consent
from ollama_nb.tools.errors import BadTool, CallRefused, NobodyToAsk, UnknownTool
from ollama_nb.tools.results import in_words
from ollama_nb.tools.running import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ollama_nb.answers.generation import Generation
    from ollama_nb.answers.tool_call import ToolCall
    from ollama_nb.asking.request import Request
    from ollama_nb.display.screens import Screen
    from ollama_nb.tools.definition import Tool

REFUSED = "the user did not allow this call"
STOPPED = "the user stopped this call"
BROKEN = "the answer broke off before this call was run"
UNASKED = "nobody could be asked whether this call may run"


def offering(request: Request, tools: Mapping[str, Tool], choice: Any) -> Request:
    """Return a request that offers tools, and says whether one must be called.

    Raises
    ------
    BadTool
        If there is no such choice.
    """
    definitions = [tool.definition for tool in tools.values()]
    extensions = {**request.extensions, "tool_choice": chosen(choice, tools)}
    fields = {**request.fields, "tools": definitions}
    return replace(request, fields=fields, extensions=extensions)


class Rounds:
    """One answer of a model with tools: each round is a question to it, and the calls it makes.

    Parameters
    ----------
    request
        What is asked first.
    tools
        By name.
    confirm
        Whether the person at the notebook is asked before a call runs.
    show
        Whether answers and calls are shown in the running cell.
    """

    def __init__(
        self, request: Request, tools: Mapping[str, Tool], *, confirm: bool, show: bool
    ) -> None:
        self._request = request
        self._prompt = request.prompt
        self._tools = tools
        self._consent = Consent(asks=confirm)
        self._show = show
        self._calls: list[ToolCall] = []  # of all rounds

    def run(self, max_rounds: int) -> Generation:
        """Ask and run calls until there are none, or one that is the caller's business.

        Raises
        ------
        BadTool
            For no round at all.
        TooManyRounds
            If the model calls tools that many times without answering.
        Interrupted, NobodyToAsk, OllamaNbError
            All with the conversation so far in `answer.messages`.
        """
        if max_rounds < 1:
            raise BadTool(f"max_rounds is at least 1, not {max_rounds}")
        for _ in range(max_rounds):
            shown = screen(
                self._request.model, visible=self._show, is_json=self._request.schema is not None
            )
            answer = self._asked(shown)
            calls = self._carried_out(answer, shown)
            self._complete(answer, calls)
            if not (calls and all(call.done for call in calls)):
                return answer
            self._go_on_from(answer)
        raise _with(TooManyRounds(max_rounds), answer)

    def _asked(self, shown: Screen) -> Generation:
        try:
            return ask(self._request, shown)
        except Interrupted as interrupt:
            raise Interrupted(self._settled(interrupt.answer, STOPPED)) from None
        except OllamaNbError as error:
            if error.answer is not None:
                self._settled(error.answer, BROKEN)
            raise

    def _carried_out(self, answer: Generation, shown: Screen) -> list[ToolCall]:
        """Run the calls of an answer, one after the other."""
        calls = list(answer.tool_calls)
        if not calls:
            return calls
        try:
            for place, call in enumerate(calls):
                shown.show_calls(answer, calls)
                calls[place] = self._outcome(call, is_shown=shown.shows_calls)
        except KeyboardInterrupt:
            answer.done_reason = "interrupted"
            answer.tool_calls = tuple(calls)
            raise Interrupted(self._settled(answer, STOPPED)) from None
        except NobodyToAsk as error:
            answer.tool_calls = tuple(calls)
            raise _with(error, self._settled(answer, UNASKED)) from None
        finally:
            shown.finish_calls(answer, calls)
        return calls

    def _outcome(self, call: ToolCall, *, is_shown: bool) -> ToolCall:
        """Run a call; what goes wrong in it is for the model to know."""
        tool = self._tools.get(call.name)
        if tool is None:
            return call.raised(UnknownTool(call.name, list(self._tools)))
        if tool.function is None or tool.signature is None:
            return call
        try:
            positional, named = tool.signature.bound(call.arguments)
            if not self._consent.is_given(call, is_shown=is_shown):
                return call.raised(CallRefused(REFUSED))
            result = run(tool.function, positional, named)
            return call.returned(result, in_words(result))
        except NobodyToAsk:
            raise
        except Exception as error:
            return call.raised(error)

    def _settled(self, answer: Generation, why: str) -> Generation:
        """Give every call of an answer an outcome, without which a conversation cannot go on."""
        calls = [call if call.done else call.raised(CallRefused(why)) for call in answer.tool_calls]
        return self._complete(answer, calls)

    def _complete(self, answer: Generation, calls: list[ToolCall]) -> Generation:
        """Let an answer know the question that it answers, and all calls on the way to it."""
        self._calls += calls
        answer.messages = (*answer.messages, *(call.message() for call in calls if call.done))
        answer.tool_calls = tuple(self._calls)
        answer.prompt = self._prompt
        return answer

    def _go_on_from(self, answer: Generation) -> None:
        """Ask next with what the model has been told; what it must call, it has called."""
        fields = {**self._request.fields, "messages": list(answer.messages)}
        extensions = {**self._request.extensions, "tool_choice": "auto"}
        self._request = replace(self._request, fields=fields, extensions=extensions)


def _with(error: OllamaNbError, answer: Generation) -> OllamaNbError:
    error.answer = answer
    return error
