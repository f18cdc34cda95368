"""A parsed template: its trees to look at and to cut, its text for some data.

Owns the bounds around a run. The trees are made by `parser`, and made to run by `evaluator`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType

from ollama_nb_server.gotemplate.errors import LimitExceeded
from ollama_nb_server.gotemplate.evaluator import Program, compile_trees
from ollama_nb_server.gotemplate.functions import BUILTINS, Function, wrap
from ollama_nb_server.gotemplate.limits import DEFAULT_LIMITS, Limits, Run
from ollama_nb_server.gotemplate.nodes import List
from ollama_nb_server.gotemplate.parser import parse_trees
from ollama_nb_server.gotemplate.quoting import clean
from ollama_nb_server.gotemplate.values import Value

NAME = ""  # Ollama parses all its templates under the empty name
NO_FUNCTIONS: Mapping[str, Callable[..., Value]] = MappingProxyType({})


class Template:
    """A template that parsed. It never changes, so threads may share it.

    Parameters
    ----------
    trees : Mapping[str, List]
        Its own tree under the empty name, and those that it defines.
    functions : Mapping[str, Callable]
        Functions besides Go's own.

    See Also
    --------
    parse : how one is made.
    """

    def __init__(
        self,
        trees: Mapping[str, List],
        functions: Mapping[str, Callable[..., Value]] = NO_FUNCTIONS,
    ) -> None:
        self.trees = MappingProxyType(dict(trees))
        self.functions = MappingProxyType(dict(functions))

    @property
    def root(self) -> List:
        """The template's own tree."""
        return self.trees[NAME]

    def replace(
        self,
        root: List | None = None,
        *,
        trees: Mapping[str, List] | None = None,
        functions: Mapping[str, Callable[..., Value]] | None = None,
    ) -> Template:
        """The template with something else in a place.

        Parameters
        ----------
        root : List, optional
            Its own tree.
        trees : Mapping[str, List], optional
            The trees that it can call; `{}` leaves it none but its own.
        functions : Mapping[str, Callable], optional
            The functions besides Go's own.

        Examples
        --------
        >>> whole = parse("<{{ .A }}>")
        >>> whole.replace(List(whole.root.nodes[:2])).execute({"A": 1})
        '<1'
        """
        own = {NAME: self.root if root is None else root}
        return Template(
            {**(self.trees if trees is None else trees), **own},
            self.functions if functions is None else functions,
        )

    @cached_property
    def _programs(self) -> dict[str, Program]:
        functions: dict[str, Function] = dict(BUILTINS)
        functions.update({name: wrap(function) for name, function in self.functions.items()})
        return compile_trees(self.trees, functions)

    def execute(self, data: Value, limits: Limits = DEFAULT_LIMITS) -> str:
        """The template's text for this data.

        Parameters
        ----------
        data : Value
            The dot; mostly a dict. See `values` for what stands for what.
        limits : Limits
            Bounds of the run.

        Raises
        ------
        ExecutionFault
            If the template asks for what is not there.
        LimitExceeded
            If it wants more than it is allowed.

        Examples
        --------
        >>> parse("{{ range .Names }}<{{ . }}>{{ end }}").execute({"Names": ["a", "b"]})
        '<a><b>'
        """
        run = Run(limits)
        try:
            self._programs[NAME].execute(run, data)
        except RecursionError:
            raise LimitExceeded("levels of nesting", limits.max_run_depth) from None
        return clean("".join(run.parts))


def parse(
    text: str,
    functions: Mapping[str, Callable[..., Value]] = NO_FUNCTIONS,
    limits: Limits = DEFAULT_LIMITS,
) -> Template:
    """Read a template.

    Parameters
    ----------
    text : str
        The template.
    functions : Mapping[str, Callable]
        Functions besides Go's own; how many arguments they take is read off their signatures. One
        that cannot use its arguments raises `FunctionFault`.
    limits : Limits
        Bounds of the text and its nesting.

    Raises
    ------
    SyntaxFault
        If it is no template.
    LimitExceeded
        If it is too long, or nested too deep.

    Examples
    --------
    >>> parse("{{ upper .Name }}", {"upper": str.upper}).execute({"Name": "ada"})
    'ADA'
    """
    try:
        trees = parse_trees(text, {*BUILTINS, *functions}, limits, NAME)
    except RecursionError:
        raise LimitExceeded("levels of nesting", limits.max_depth) from None
    return Template(trees, functions)
