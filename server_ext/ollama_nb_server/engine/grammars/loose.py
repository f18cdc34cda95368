"""Where an answer begins with a call that is in no family's notation.

Small models that were told of tools often write the call's JSON alone, or in a fence. Behind a word
of their own it may be an example or a quotation: only the beginning of an answer counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Blanks, a fence with the language's name, brackets.
LEAD = re.compile(rb"\s*(```[a-zA-Z_]*\s*|`{0,2})[\s\[{]*")
MORE = re.compile(rb"[\s`,;\]}]*(json|jso|js|j)?[\s\[{]*")  # between two of them
MAX_LEAD = 80  # bytes


class LooseScanner:
    """Takes an answer's bytes in and finds the trigger that it begins with.

    Examples
    --------
    >>> scanner = LooseScanner([b'"name": "look"'])
    >>> scanner.feed(b'{"name": "lo'), scanner.feed(b'ok", ')
    (None, (b'"name": "look"', b', '))
    """

    def __init__(self, triggers: Iterable[bytes], lead: re.Pattern[bytes] = LEAD) -> None:
        self._triggers, self._lead = tuple(triggers), lead
        self._text = b""

    def feed(self, piece: bytes) -> tuple[bytes, bytes] | None:
        """The trigger and what stands behind it, once it is there."""
        if not self._triggers:
            return None
        self._text += piece
        found = [(at, one) for one in self._triggers if (at := self._text.find(one)) >= 0]
        if not found:
            if len(self._text) > MAX_LEAD + max(map(len, self._triggers)):
                self._triggers = ()
            return None
        at, trigger = min(found)
        text, self._triggers = self._text, ()
        if at > MAX_LEAD or not self._lead.fullmatch(text[:at]):
            return None
        return trigger, text[at + len(trigger) :]
