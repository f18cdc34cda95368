"""The parser of models that ask for none by name: thoughts first, then calls in what follows.

Sources: reference/ollama-models.md 7.1 to 7.3. Which tags a template uses is found above.
"""

from __future__ import annotations

from ollama_nb_server.prompts.parsing.generic_lossless import LosslessToolParser
from ollama_nb_server.prompts.parsing.generic_tools import ToolParser
from ollama_nb_server.prompts.parsing.parts import NOTHING, OutputParser, Parts, Situation
from ollama_nb_server.prompts.thoughts import Thoughts, ThoughtSplitter


def generic(situation: Situation, thoughts: Thoughts | None, tool_tag: str | None) -> OutputParser:
    """A parser for one answer.

    Parameters
    ----------
    situation
        Calls are looked for only if it has tools.
    thoughts
        The texts around thoughts, None if they are not told apart.
    tool_tag
        The text before calls, None if they are not told apart.

    Examples
    --------
    >>> parser = generic(Situation(), Thoughts("<think>", "</think>"), None)
    >>> parser.feed("<think>Hm.</think> Four.")
    Parts(thinking='Hm.', content='Four.', ...)
    """
    answer: OutputParser = PlainParser()
    if tool_tag and situation.tools:
        parser = LosslessToolParser if situation.lossless else ToolParser
        answer = parser(tool_tag, situation.tools)
    return answer if thoughts is None else ThinkingParser(thoughts, answer)


class PlainParser:
    """All is content."""

    def feed(self, text: str) -> Parts:
        """The text."""
        return Parts(content=text)

    def end(self) -> Parts:
        """Nothing."""
        return NOTHING


class ThinkingParser:
    """Tells thoughts apart, gives what follows to another parser."""

    def __init__(self, thoughts: Thoughts, answer: OutputParser) -> None:
        self._thoughts, self._answer = ThoughtSplitter(thoughts), answer

    def feed(self, text: str) -> Parts:
        """What is certain now."""
        thinking, answer = self._thoughts.feed(text)
        return Parts(thinking=thinking) + (self._answer.feed(answer) if answer else NOTHING)

    def end(self) -> Parts:
        """What is left when nothing more comes."""
        thinking, answer = self._thoughts.end()
        rest = self._answer.feed(answer) if answer else NOTHING
        return Parts(thinking=thinking) + rest + self._answer.end()
