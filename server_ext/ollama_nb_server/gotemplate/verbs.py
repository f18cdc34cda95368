"""What a verb of Go's fmt says: its flags, its width, its precision; how widths are filled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Spec:
    """A verb with its flags, width and precision.

    `plain` is set inside of a verb that did not fit: there `%v` takes plus and sharp as others do.
    """

    verb: str = "v"
    plus: bool = False
    minus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    width: int | None = None
    precision: int | None = None
    plain: bool = False

    @property
    def go_syntax(self) -> bool:
        """`%#v`."""
        return self.sharp and self._asks_for_more

    @property
    def field_names(self) -> bool:
        """`%+v`."""
        return self.plus and self._asks_for_more

    @property
    def signed(self) -> bool:
        """Whether numbers show a plus."""
        return self.plus and not self._asks_for_more

    @property
    def alternate(self) -> bool:
        """Whether numbers show their base, or their point."""
        return self.sharp and not self._asks_for_more

    @property
    def _asks_for_more(self) -> bool:
        return self.verb == "v" and not self.plain


PLAIN: Final = Spec()


def pad(text: str, spec: Spec, *, zero: bool = True) -> str:
    """Fill up to the width, which counts characters; with zeros only if both allow it."""
    missing = (spec.width or 0) - len(text)
    if missing <= 0:
        return text
    if spec.minus:
        return text + " " * missing
    return ("0" if zero and spec.zero else " ") * missing + text
