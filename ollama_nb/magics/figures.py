"""`%stats`, `%%bench` and `%%compare`: what calls took, as frames and pictures.

The options of a question are those of `asking`; what is counted is the plain functions' affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments

from ollama_nb.errors import MagicUsage
from ollama_nb.magics.asking import asking_options
from ollama_nb.magics.line import parsed, read
from ollama_nb.magics.prompting import prompt_of
from ollama_nb.magics.session import Session, in_one_line

if TYPE_CHECKING:
    from argparse import Namespace

    import pandas as pd

    from ollama_nb.magics.asking import AskingMagics
    from ollama_nb.magics.line import Line


@magics_class
class FiguresMagics(Magics):
    """The magics that tell what calls took."""

    def __init__(self, shell: Any, asking: AskingMagics) -> None:
        super().__init__(shell)
        self._session = Session(shell)
        self._asking = asking

    @magic_arguments()
    @argument("-m", "--model", metavar="NAME", help="Only the calls of this model.")
    @argument("-n", "--last", metavar="N", type=int, help="Only the last N calls.")
    @argument("--plot", action="store_true", help="Draw the timeline instead of the table.")
    @argument("--reset", action="store_true", help="Forget all calls so far.")
    @no_var_expand
    @line_magic
    @in_one_line
    def stats(self, line: str) -> pd.DataFrame | None:
        """Tell what every call of this kernel took, a row a call.

        `%stats` is the DataFrame of `ollama_nb.stats()`; all its times are seconds. `%stats
        --plot` draws where they went: waiting in a queue, loading the model, reading the prompt,
        writing the answer.
        """
        from ollama_nb.answers.statistics import forget, stats

        asked = parsed(line, self.stats.parser)
        if asked.reset:
            _refuse_others(asked)
            forget()
            return None
        frame = _chosen(stats(), asked)
        if not asked.plot:
            return frame
        frame.plot()
        return None

    @magic_arguments()
    @argument("-n", "--repeats", metavar="N", type=int, default=3, help="How many calls count (3).")
    @argument(
        "--fresh",
        action="store_true",
        help="Let every call read the whole prompt: a number that changes is put before it.",
    )
    @argument("--plot", action="store_true", help="Draw the bar chart as well.")
    @asking_options
    @no_var_expand
    @cell_magic
    @in_one_line
    def bench(self, line: str, cell: str) -> pd.DataFrame:
        """Measure how fast models answer the prompt in this cell.

        `%%bench [-m MODEL,MODEL] [-n N] [options] [-> name]`, with the prompt in the lines below.
        Each model answers once to warm up and then N times; the DataFrame has the medians of
        these, and what the warm-up took. Answers end after 128 tokens, or -o num_predict=N.
        Interrupting the kernel keeps what has been measured.
        """
        from ollama_nb.asking.measuring import bench

        asked = read(line, self.bench.parser)
        prompt, how = self._asked(asked, cell, "%%bench")
        options = asked.options
        frame = bench(prompt, repeats=options.repeats, fresh=options.fresh, **how)
        if options.plot:
            frame.plot()
        return self._session.kept(frame, asked.bind)

    @magic_arguments()
    @asking_options
    @no_var_expand
    @cell_magic
    @in_one_line
    def compare(self, line: str, cell: str) -> pd.DataFrame:
        """Ask several models the prompt in this cell, and show their answers side by side.

        `%%compare -m MODEL,MODEL [options] [-> name]`, with the prompt in the lines below. The
        DataFrame has a row a model: the answer, its counts and seconds, or what went wrong.
        Interrupting the kernel keeps the answers that have come.
        """
        from ollama_nb.asking.comparing import compare

        asked = read(line, self.compare.parser)
        prompt, how = self._asked(asked, cell, "%%compare")
        return self._session.kept(compare(prompt, **{"models": [], **how}), asked.bind)

    def _asked(self, asked: Line, cell: str, magic: str) -> tuple[str, dict[str, Any]]:
        """Return the prompt with the notebook's variables in it, and how it is asked."""
        text = prompt_of(asked.text, cell, magic)
        prompt = self._asking.with_variables(text, asked.options)
        how = self._settings(asked.options)
        pictures = [*prompt.images, *how.pop("images", [])]
        return prompt.text, {**how, "images": pictures} if pictures else how

    def _settings(self, options: Namespace) -> dict[str, Any]:
        """Return the arguments that the options stand for; models are separated by commas."""
        settings = self._asking.settings(options)
        named = settings.pop("model", None)
        if named is None:
            return settings
        return {**settings, "models": [name.strip() for name in named.split(",") if name.strip()]}


def _refuse_others(asked: Namespace) -> None:
    if asked.plot or asked.model or asked.last is not None:
        raise MagicUsage("%stats --reset forgets all calls; give it without other options")


def _chosen(frame: pd.DataFrame, asked: Namespace) -> pd.DataFrame:
    from ollama_nb.answers.statistics import full_name

    if asked.last is not None and asked.last < 1:
        raise MagicUsage(f"%stats -n takes a number of calls, at least 1, not {asked.last}")
    if asked.model:
        known = sorted(set(frame["model"]))
        model = full_name(asked.model)
        if model not in known:
            told = f"there are calls of {', '.join(known)}" if known else "there is no call yet"
            raise MagicUsage(f"%stats: no call of {asked.model!r}; {told}")
        frame = frame[frame["model"] == model]
    return frame if asked.last is None else frame.tail(asked.last)
