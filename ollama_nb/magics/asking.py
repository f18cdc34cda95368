"""`%generate`, `%%generate`, `%chat` and `%%chat`: declared options around the plain functions.

How a line is read is in `line`; what the shell keeps is in `session`.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments

from ollama_nb.answers.schemas import schema_of
from ollama_nb.asking.templating import text_alone
from ollama_nb.asking.thinking import Thinking, from_word
from ollama_nb.connection.options import parse_pairs
from ollama_nb.errors import BadThinking, MagicUsage
from ollama_nb.magics.line import read
from ollama_nb.magics.pictures import named_picture
from ollama_nb.magics.prompting import dry_chat, dry_generate, prompt_of, with_variables
from ollama_nb.magics.schemas import filled, suffix, wish
from ollama_nb.magics.session import Session, in_one_line

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from ollama_nb.answers.generation import Generation
    from ollama_nb.answers.schemas import Schema
    from ollama_nb.asking.chatting import Conversation
    from ollama_nb.asking.dry_run import DryRun
    from ollama_nb.asking.templating import Rendered
    from ollama_nb.pictures.picture import Picture


def _thinking(word: str) -> Thinking:
    """Read the value of --think, with an error that argparse shows."""
    try:
        return from_word(word)
    except BadThinking as error:
        raise ArgumentTypeError(str(error)) from None


def dry_run_option(magic: Callable[..., Any]) -> Callable[..., Any]:
    """Declare `--dry-run`."""
    declare = argument(
        "--dry-run",
        action="store_true",
        help="Ask nothing: show the final prompt, its tokens and its share of the context.",
    )
    declared: Callable[..., Any] = declare(magic)
    return declared


def _switched(word: str | None) -> bool | None:
    return None if word is None else word == "on"


def asking_options(magic: Callable[..., Any]) -> Callable[..., Any]:
    """Declare the options that all asking magics share; their help is the manual."""
    for declare in (
        argument(
            "-o",
            "--option",
            metavar="NAME=VALUE",
            action="append",
            default=[],
            help="Any of Ollama's options, such as seed=7, num_predict=200, stop=END or "
            'stop="two words". May be repeated.',
        ),
        argument(
            "--schema",
            metavar="FORM",
            help='Answer with JSON of this form, as in "name, age int, tags [str], mood happy|sad, '
            'score float?: 0 to 1". Or a variable: a pydantic model, a dataclass, a TypedDict, '
            "an Enum, a JSON Schema, a text; or a type such as list[Person]. The answer's .data "
            "is an object of it, .frame a table, .json plain.",
        ),
        argument(
            "--schema-in-prompt",
            choices=("on", "off"),
            help="Whether the prompt tells of the schema's fields, their types and what they mean. "
            "Default: on for a short form with descriptions, as in 'age int: in years'.",
        ),
        argument(
            "--image",
            metavar="WHAT",
            action="append",
            default=[],
            help="A picture to look at: a path, or a variable with a matplotlib figure or axes, a "
            "PIL image, a NumPy array of pixels (height x width, or x 3 or 4), a file's bytes. May "
            "be repeated. The model must be one that can see.",
        ),
        argument(
            "--think",
            metavar="N",
            nargs="?",
            const=Thinking(True),
            type=_thinking,
            help="Let the model think first; the thought is folded above the answer and in its "
            ".thinking. --think=off does without, --think=low (medium, high, max) says how hard, "
            "--think=200 ends the thought after 200 tokens (of ollama_nb's own server).",
        ),
        argument(
            "--format",
            choices=("json",),
            help="json: answer with any JSON object; ask for it in the prompt as well.",
        ),
        argument(
            "--system",
            metavar="TEXT",
            help="Replace the model's system text; {{ ... }} takes variables, as in the prompt.",
        ),
        argument(
            "--literal",
            action="store_true",
            help="Take the prompt and --system as they stand: {{ ... }} is text.",
        ),
        argument(
            "-t",
            "--temperature",
            type=float,
            help="0 always takes the likeliest word; higher values are more varied.",
        ),
        argument(
            "-m",
            "--model",
            help="Default: the one of %%ollama use, else a loaded one, else the newest, else demo.",
        ),
    ):
        magic = declare(magic)
    return magic


@magics_class
class AskingMagics(Magics):
    """The magics that ask a model."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._session = Session(shell)
        self._conversation: Conversation | None = None

    @magic_arguments()
    @argument(
        "--fill",
        metavar="MARK",
        help="The model fills the gap in the text, which is where MARK stands, as in --fill [GAP].",
    )
    @argument(
        "--suffix",
        metavar="TEXT",
        help="The text after the gap that the model fills; {name} takes it from a variable.",
    )
    @dry_run_option
    @asking_options
    @no_var_expand
    @line_cell_magic
    @in_one_line
    def generate(self, line: str, cell: str | None = None) -> Generation | DryRun:
        """Let a model continue from a prompt, streaming into this cell.

        `%generate [options] prompt [-> name]`, or `%%generate [options] [-> name]` with the
        prompt in the lines below. {{ expression }} in it is its value: a frame is a table, an
        exception its traceback, a Path its file, a figure a picture. All else is taken literally,
        single braces and quotes included.
        `-> name` also puts the answer into a variable; `_` and `Out[n]` hold it anyway. It is a
        string that knows its model, statistics and more. Interrupting the kernel stops the
        model and keeps what has come.
        """
        from ollama_nb.asking.generating import generate

        asked = read(line, self.generate.parser)
        settings = self.settings(asked.options)
        text, gap = self._gap(prompt_of(asked.text, cell, "%%generate"), asked.options)
        prompt = self.with_variables(text, asked.options)
        settings |= gap
        if asked.options.dry_run:
            return self._session.kept(dry_generate(prompt, settings), asked.bind)
        return self._session.answered(lambda: generate(prompt, show=True, **settings), asked.bind)

    @magic_arguments()
    @argument("--reset", action="store_true", help="Forget the conversation so far.")
    @dry_run_option
    @asking_options
    @no_var_expand
    @line_cell_magic
    @in_one_line
    def chat(self, line: str, cell: str | None = None) -> Generation | DryRun | None:
        """Go on with this notebook's conversation, streaming into this cell.

        `%chat [options] text [-> name]`, or `%%chat [options] [-> name]` with the text in the
        lines below. Earlier questions and answers are sent along. Running a cell again takes
        the conversation back to before that cell, so nothing is said twice. `%chat --reset`
        starts anew. {{ expression }} in the text is its value, as for %generate. Interrupting the
        kernel stops the model and keeps what has come.
        """
        asked = read(line, self.chat.parser)
        if asked.options.reset and asked.options.dry_run:
            raise MagicUsage("--dry-run asks and forgets nothing; give --reset without it")
        conversation = self._talk(reset=asked.options.reset)
        if asked.options.reset and not (asked.text or cell):
            return None
        text = self.with_variables(prompt_of(asked.text, cell, "%%chat"), asked.options)
        place, run = self._session.cell()
        settings = self.settings(asked.options)
        if asked.options.dry_run:
            told = dry_chat(conversation, text, settings, place, run)
            return self._session.kept(told, asked.bind)
        return self._session.answered(
            lambda: conversation.say(text, cell=place, run=run, show=True, **settings), asked.bind
        )

    def settings(self, options: Namespace) -> dict[str, Any]:
        """Return the arguments of the plain functions that the options stand for."""
        thinking = options.think or Thinking()
        given = {
            "model": options.model,
            "system": self._system(options),
            "temperature": options.temperature,
            "options": parse_pairs(options.option),
            "format": options.format,
            "images": self._pictures(options.image),
            "think": thinking.think,
            "think_budget": thinking.budget,
            "schema": self._schema(options.schema),
            "schema_in_prompt": _switched(options.schema_in_prompt),
        }
        return {name: value for name, value in given.items() if value is not None}

    def with_variables(self, text: str, options: Namespace) -> Rendered:
        """Return a text with the notebook's variables in it, unless it is to be literal."""
        return with_variables(text, self._session.own_variables, literal=options.literal)

    def _system(self, options: Namespace) -> str | None:
        if options.system is None:
            return None
        return text_alone(self.with_variables(options.system, options), "--system")

    def _schema(self, text: str | None) -> Schema | None:
        return None if text is None else schema_of(wish(text, self._session.variables))

    def _pictures(self, named: list[str]) -> list[Picture] | None:
        return [named_picture(text, self._session.variables) for text in named] or None

    def _gap(self, text: str, options: Namespace) -> tuple[str, dict[str, str]]:
        """Return the prompt, and the suffix if there is a gap to fill."""
        if options.fill is not None and options.suffix is not None:
            raise MagicUsage("--fill and --suffix both say where the gap is; give one")
        if options.fill is not None:
            before, after = filled(text, options.fill)
            rendered = self.with_variables(after, options)
            return before, {"suffix": text_alone(rendered, "the text after the gap")}
        given = suffix(options, self._session.variables)
        return text, {} if given is None else {"suffix": given}

    def _talk(self, *, reset: bool) -> Conversation:
        from ollama_nb.asking.chatting import Conversation

        if reset or self._conversation is None:
            self._conversation = Conversation()
        return self._conversation
