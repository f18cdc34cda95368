"""From a sequence's token bytes to a reader's text: whole characters, nothing of a stop string.

The same text comes out however the bytes are cut.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """Takes bytes in, gives text out as soon as it is certain.

    A character is given out when it is whole (what can never become one is U+FFFD), and text that
    could be the beginning of a stop string is held back until that is decided.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = list(dict.fromkeys(stop for stop in stops if stop))
        self._letters = {letter for stop in self._stops for letter in stop}
        self._held = ""
        self.stopped = ""  # the stop string that ended it

    def feed(self, data: bytes) -> str:
        """Text that can be shown now. After a stop string nothing more comes."""
        return self._filtered(self._decoder.decode(data))

    def flush(self) -> str:
        """What is left at the end: a stop string that never ended.

        A character that never became whole is dropped: nobody wrote the U+FFFD that it would be.
        """
        self._decoder.reset()
        text, self._held = self._held, ""
        return text

    def _filtered(self, text: str) -> str:
        if self.stopped or not self._stops:
            return "" if self.stopped else text
        if not self._held and self._letters.isdisjoint(text):
            return text
        text = self._held + text
        found = [(at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            at, self.stopped = min(found, key=lambda one: one[0])
            self._held = ""
            return text[:at]
        keep = max(self._begun(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    @staticmethod
    def _begun(text: str, stop: str) -> int:
        """Length of the longest end of `text` with which `stop` begins."""
        longest = min(len(stop) - 1, len(text))
        return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
