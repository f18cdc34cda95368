"""The ways in which a prompt cannot be made.

PromptError
├── TemplateFailed    the template does not compile, or fails on these messages
├── GoTemplateBroken  the text is no Go template
├── GoTemplateFailed  the Go template fails on these messages
├── TwoAnswersBegun     a Jinja template's conversation ends with two answers
├── ConversationRefused a built-in renderer does not take such a conversation
├── PromptCannotBeCut   too long, and cutting it is not allowed
└── UnknownRenderer     the model wants a renderer that does not exist
"""

from __future__ import annotations


class PromptError(Exception):
    """Base of everything the prompts room raises on purpose."""


class TemplateFailed(PromptError):
    """The chat template failed; `line` is where, if that is known."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        place = "" if line is None else f" (line {line})"
        super().__init__(f"the model's chat template failed{place}: {reason}")
        self.reason, self.line = reason, line


class GoTemplateBroken(PromptError):
    """The text is no Go template; `reason` is in Go's words, as clients of Ollama know it."""

    def __init__(self, reason: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.line, self.column = reason, line, column


class GoTemplateFailed(PromptError):
    """A Go template asks for what these messages do not have, or for more than it may.

    `reason` is in Go's words; `line` counts from 1, `column` is the bytes before it on that line,
    as Go counts. None where no single place is to blame.
    """

    def __init__(self, reason: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.line, self.column = reason, line, column


class TwoAnswersBegun(PromptError):
    """The conversation ends with two messages of the assistant: only one can be gone on with."""

    def __str__(self) -> str:
        return (
            "a conversation may end with one message of the assistant, which is then continued, "
            "but not with two: join them, or put a message of the user between or behind them"
        )


class ConversationRefused(PromptError):
    """A built-in renderer does not take this conversation; `reason` is in Ollama's words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PromptCannotBeCut(PromptError):
    """The prompt is longer than the context, and `shift` is off."""

    def __init__(self, num_tokens: int, num_ctx: int) -> None:
        super().__init__(
            "the prompt is longer than the context length currently available to the model; "
            "shorten the prompt, adjust the context length in settings, or use a model with a "
            "longer context length"
        )
        self.num_tokens, self.num_ctx = num_tokens, num_ctx


class UnknownRenderer(PromptError):
    """The model's config names a built-in renderer that does not exist."""

    def __init__(self, name: str) -> None:
        super().__init__(f'unknown renderer "{name}"')
        self.name = name
