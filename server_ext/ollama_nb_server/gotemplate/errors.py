"""The ways in which a template fails, each with the text that Go gives it.

GoTemplateError
├── SyntaxFault       the text is no template
├── ExecutionFault    the template asks for what is not there
├── FunctionFault     what a function of a template raises; it leaves as an ExecutionFault
└── LimitExceeded     the template wants more text, work or depth than it is allowed
"""

from __future__ import annotations

from ollama_nb_server.gotemplate.quoting import quote


class GoTemplateError(Exception):
    """Base of everything that this package raises on purpose."""


class SyntaxFault(GoTemplateError):
    """The text is no template.

    Parameters
    ----------
    reason : str
        What is wrong, in Go's words.
    line, column : int
        Where: lines from 1; the bytes before it on its line (Go's text names the line only).
    name : str
        The template's name; Ollama's templates have the empty one.
    """

    def __init__(self, reason: str, line: int, column: int, name: str = "") -> None:
        super().__init__(f"template: {name}:{line}: {reason}")
        self.reason = reason
        self.line = line
        self.column = column
        self.name = name

    @property
    def detail(self) -> str:
        """The same with the column, counted from 1 as editors do."""
        return f"line {self.line}, column {self.column + 1}: {self.reason}"


class ExecutionFault(GoTemplateError):
    """The template asks for what is not there.

    Parameters
    ----------
    reason : str
        What is wrong, in Go's words.
    context : str
        The piece of the template where it happened.
    line, column : int
        Where that is: lines from 1; the bytes before it on its line, both as Go prints them.
    name : str
        The (sub-)template that was running.
    """

    def __init__(self, reason: str, context: str, line: int, column: int, name: str = "") -> None:
        where = f"template: :{line}:{column}: executing {quote(name)} at <{context}>"
        super().__init__(f"{where}: {reason}")
        self.reason = reason
        self.context = context
        self.line = line
        self.column = column
        self.name = name

    @property
    def detail(self) -> str:
        """The same with the column counted from 1, as editors do."""
        return f"line {self.line}, column {self.column + 1}, at <{self.context}>: {self.reason}"


class FunctionFault(GoTemplateError):
    """What a function of a template raises when its arguments are of no use to it."""


class LimitExceeded(GoTemplateError):
    """The template wants more than it is allowed.

    Parameters
    ----------
    what : str
        What there is too much of: `steps`, `characters of output`.
    limit : int
        How much is allowed.
    """

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"template: more than {limit} {what}; that is too much for a template")
        self.what = what
        self.limit = limit
