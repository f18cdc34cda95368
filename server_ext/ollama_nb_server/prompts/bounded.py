"""The sandbox that chat templates run in: jinja2's own, with every cost counted.

Owns what happens at a call, a filter, an operator; what one of them may make is `growth`'s to say,
what a run may cost in all, `budget`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, markup_join, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ollama_nb_server.prompts import formats, growth
from ollama_nb_server.prompts.budget import ROWS, SCALARS, SIZED, Budget, running, size
from ollama_nb_server.prompts.counting import CountedCode

LONG = 10_000  # comparing shorter texts takes no time
JINJA_KEYWORDS = frozenset({"_loop_vars", "_block_vars"})  # compiled code adds them to calls
METHOD_OWNERS = (str, bytes, int, list, tuple)
OWN_CALLS = (Macro, LoopContext, BlockReference)

# Filters and tests that neither print, compare nor hash what they are given.
HARMLESS_FILTERS = frozenset(
    {
        "length", "count", "first", "last", "list", "reverse", "default", "d", "map", "select",
        "reject", "selectattr", "rejectattr", "items", "batch", "slice", "attr", "random",
    }
)  # fmt: skip
HARMLESS_TESTS = frozenset(
    {
        "defined", "undefined", "none", "mapping", "iterable", "sequence", "string", "number",
        "integer", "float", "boolean", "true", "false", "callable", "sameas",
    }
)  # fmt: skip
# Filters that go through all that an iterator gives, and would do so with a list too.
CONSUMING = frozenset({"join", "sort", "unique", "groupby", "sum", "min", "max"})


class BoundedSandbox(ImmutableSandboxedEnvironment):
    """Where a chat template can neither reach out nor cost more than its budget."""

    code_generator_class = CountedCode
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.finalize = self.shown

    def bound_filters(self) -> None:
        """Count filters and tests; to be called when all are there."""
        for name, function in self.filters.items():
            check = growth.FILTERS.get(name)
            self.filters[name] = _counted(
                function, check, name in HARMLESS_FILTERS, name in CONSUMING
            )
        for name, test in self.tests.items():
            self.tests[name] = _counted(test, growth.TESTS.get(name), name in HARMLESS_TESTS)

    def step(self, num_chars: int) -> None:
        """A block begins."""
        running().spend(num_chars)

    def shown(self, value: Any) -> Any:
        """A value is about to be printed."""
        kind = type(value)
        if kind is str:
            running().made(value)
        elif kind is int or kind not in SCALARS:
            running().weigh(value)
        return value

    def concatenated(self, eval_ctx: nodes.EvalContext, parts: tuple[Any, ...]) -> str:
        """`a ~ b`."""
        budget = running()
        weights = [size(p) if type(p) is str else budget.weigh(p) for p in parts]
        budget.expect(sum(weights))
        return (markup_join if eval_ctx.autoescape else str_join)(parts)

    def comparable(self, value: Any) -> Any:
        """A value is about to be compared or hashed."""
        kind = type(value)
        if kind is str:
            if len(value) > LONG:
                running().spend()
        elif kind not in SCALARS:
            running().weigh(value)
        return value

    def contains(self, needle: Any, haystack: Any) -> bool:
        """`needle in haystack`."""
        if type(needle) is not str or type(haystack) is not str or len(haystack) > LONG:
            growth.found(running(), needle, haystack)
        return needle in haystack

    def copied(self, value: Any) -> Any:
        """A part has been cut out."""
        running().made(value)
        return value

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`a[b]`: a tuple is hashed."""
        if isinstance(argument, tuple):
            running().weigh(argument)
        return super().getitem(obj, argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """An operator; what it would make is counted first."""
        if operator == "+" and type(left) is str and type(right) is str:  # by far the most
            running().expect(size(left) + size(right))
            return left + right
        check = growth.OPERATORS.get(operator)
        if check is not None:
            growth.small(left, right)
            check(running(), left, right)
        else:
            _look(running(), (left, right))
        return self.binop_table[operator](left, right)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`text.format`, as the sandbox has it."""
        format_text = super().wrap_str_format(value)
        if format_text is None:
            return None

        @wraps(format_text)
        def bounded(*args: Any, **kwargs: Any) -> str:
            named = args[0] if value.__name__ == "format_map" and args else kwargs
            formats.brace_formatted(running(), value.__self__, args, named)
            return format_text(*args, **kwargs)

        return bounded

    # The underscores are jinja2's: a template may call with an argument named `self`.
    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """A call of whatever the template calls."""
        budget = running()
        if not __self.is_safe_callable(__obj):
            raise SecurityError(f"{__obj!r} is not safely callable")
        if isinstance(__obj, OWN_CALLS):
            budget.spend()
            with budget.call():
                return __context.call(__obj, *args, **kwargs)
        args = tuple(list(a) if isinstance(a, Iterator) else a for a in args)
        _look(budget, (*args, *kwargs.values()))
        _expect(budget, __obj, args, kwargs)
        value = __context.call(__obj, *args, **kwargs)
        budget.made(value)
        return value


def _look(budget: Budget, values: Iterable[Any]) -> None:
    """Weigh what may be printed, compared or hashed by a function that is not ours."""
    for value in values:
        kind = type(value)
        if kind is int:
            growth.small(value)
        elif kind not in SCALARS:
            budget.weigh(value)


def _expect(budget: Budget, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Ask what a method of a text, number or list would make or do."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, METHOD_OWNERS):
        methods = growth.ROW_METHODS if isinstance(owner, ROWS) else growth.METHODS
        check = methods.get(getattr(function, "__name__", ""))
        if check is not None:
            named = {key: value for key, value in kwargs.items() if key not in JINJA_KEYWORDS}
            check(budget, owner, *args, **named)


def _counted(
    function: Any, check: growth.Check | None, harmless: bool, consuming: bool = False
) -> Callable[..., Any]:
    """A filter or test that looks at what it is given, and counts what it makes."""
    skip = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def counted(*args: Any, **kwargs: Any) -> Any:
        budget = running()
        values = args[skip:]
        if consuming and values and not isinstance(values[0], SIZED):
            values = (list(values[0]), *values[1:])
        if check is None and not harmless:
            _look(budget, (*values, *kwargs.values()))
        if check is not None:
            check(budget, *values, **kwargs)
        made = function(*args[:skip], *values, **kwargs)
        budget.made(made)
        return made

    return counted
