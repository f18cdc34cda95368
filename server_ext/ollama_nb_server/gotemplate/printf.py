"""`printf`: a format read directive by directive, each with its argument.

Owns flags, widths, precisions, `*`, `[n]`, and what Go prints for too few and too many arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from ollama_nb_server.gotemplate.formatting import NIL, bad_verb, format_value, num_leaves, show
from ollama_nb_server.gotemplate.values import Value, type_name
from ollama_nb_server.gotemplate.verbs import Spec

_FLAGS: Final = {"+": "plus", "-": "minus", "#": "sharp", " ": "space", "0": "zero"}
_MAX_NUMBER: Final = 1_000_000  # Go's own bound of widths and precisions
_MISSING: Final = object()


def sprintf(format_text: str, values: Sequence[Value], check: Callable[[int], None]) -> str:
    """What `printf` makes.

    Parameters
    ----------
    format_text : str
        Text with verbs.
    values : Sequence[Value]
        Their arguments.
    check : Callable[[int], None]
        Called with the length so far; it refuses a text that grows too long.
    """
    printer = _Printer(format_text, values, check)
    while printer.print_text():
        printer.print_directive()
    printer.print_extra()
    return "".join(printer.pieces)


class _Printer:
    """A cursor over the format, and one over the arguments."""

    def __init__(
        self, format_text: str, values: Sequence[Value], check: Callable[[int], None]
    ) -> None:
        self.format = format_text
        self.values = values
        self.check = check
        self.pieces: list[str] = []
        self._num_chars = 0
        self._at = 0
        self._argument = 0
        self._reordered = False  # whether any [n] was there: then extra arguments are no error
        self._good_index = True

    def _add(self, text: str) -> None:
        self._num_chars += len(text)
        self.check(self._num_chars)
        self.pieces.append(text)

    def print_text(self) -> bool:
        """Text up to the next directive; False at the end."""
        percent = self.format.find("%", self._at)
        if percent < 0:
            self._add(self.format[self._at :])
            return False
        self._add(self.format[self._at : percent])
        self._at = percent + 1
        return True

    def print_directive(self) -> None:
        """One verb, with what stands before it and its argument."""
        self._good_index = True
        flags = self._flags()
        after_index = self._read_index()
        width, flags["minus"] = self._width(flags["minus"], after_index)
        flags["zero"] = flags["zero"] and not flags["minus"]
        precision, after_index = self._precision(after_index and width is None)
        if not after_index:
            self._read_index()
        if self._at >= len(self.format):
            self._add("%!(NOVERB)")
            return
        verb = self.format[self._at]
        self._at += 1
        spec = Spec(verb, **flags, width=width, precision=precision)
        self._add("%" if verb == "%" else self._formatted(spec))

    def _flags(self) -> dict[str, bool]:
        flags = dict.fromkeys(_FLAGS.values(), False)
        while (flag := _FLAGS.get(self.format[self._at : self._at + 1])) is not None:
            flags[flag] = True
            self._at += 1
        return flags

    def _formatted(self, spec: Spec) -> str:
        if not self._good_index:
            return f"%!{spec.verb}(BADINDEX)"
        value = self._take()
        if value is _MISSING:
            return f"%!{spec.verb}(MISSING)"
        if spec.verb == "T":
            return NIL if value is None else format_value(type_name(value), replace(spec, verb="s"))
        if spec.verb == "p":
            return bad_verb(value, spec)
        size = max(spec.width or 0, spec.precision or 0)
        if size:  # before it is made: a width goes for each element of a list
            self.check(size * num_leaves(value))
        return format_value(value, spec)

    def _take(self) -> Value:
        if self._argument >= len(self.values):
            return _MISSING
        self._argument += 1
        return self.values[self._argument - 1]

    def _number(self) -> int | None:
        """Digits here; None without any. As in Go, too many spoil the rest of the format."""
        number = None
        while "0" <= self.format[self._at : self._at + 1] <= "9":
            if (number or 0) > _MAX_NUMBER:
                self._at = len(self.format)
                return None
            number = 10 * (number or 0) + int(self.format[self._at])
            self._at += 1
        return number

    def _width(self, minus: bool, after_index: bool) -> tuple[int | None, bool]:
        if self.format.startswith("*", self._at):
            width = self._star()
            if width is None:
                self._add("%!(BADWIDTH)")
                return None, minus
            return abs(width), minus or width < 0
        width = self._number()
        if after_index and width is not None:  # `%[3]2d`
            self._good_index = False
        return width, minus

    def _precision(self, after_index: bool) -> tuple[int | None, bool]:
        """The precision, and whether an index stands right before what follows."""
        if not self.format.startswith(".", self._at) or self._at + 1 >= len(self.format):
            return None, after_index
        self._at += 1
        if after_index:  # `%[3].2d`
            self._good_index = False
        after_index = self._read_index()
        if not self.format.startswith("*", self._at):
            return self._number() or 0, after_index
        precision = self._star()
        if precision is None or precision < 0:
            self._add("%!(BADPREC)")
            return None, False
        return precision, False

    def _star(self) -> int | None:
        """A number from the arguments; None if it is none, or says too much."""
        self._at += 1
        value = self._take()
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MAX_NUMBER:
            return None
        return value

    def _read_index(self) -> bool:
        """`[n]` chooses the next argument. False if there is none that one could read."""
        if not self.format.startswith("[", self._at):
            return False
        self._reordered = True
        closing = self.format.find("]", self._at)
        text = self.format[self._at + 1 : closing] if closing > 0 else ""
        self._at = closing + 1 if closing > 0 else self._at + 1
        readable = text.isdecimal() and text.isascii() and len(text) < len(str(_MAX_NUMBER))
        if readable and 1 <= int(text) <= len(self.values):
            self._argument = int(text) - 1
        else:
            self._good_index = False
        return readable

    def print_extra(self) -> None:
        """The arguments that no verb wanted."""
        if self._reordered or self._argument >= len(self.values):
            return
        extra = self.values[self._argument :]
        shown = (NIL if value is None else f"{type_name(value)}={show(value)}" for value in extra)
        self._add("%!(EXTRA ")
        for number, text in enumerate(shown):
            self._add(f", {text}" if number else text)
        self._add(")")
