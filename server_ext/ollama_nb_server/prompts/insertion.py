"""Filling in the middle by a model's own tokens, where no template says how."""

from __future__ import annotations

from collections.abc import Sequence


def by_tokens(texts: Sequence[str], prefix: str, suffix: str) -> str:
    """The prompt after which the model writes what belongs between prefix and suffix.

    Parameters
    ----------
    texts
        Of the tokens that stand before the prefix, the suffix and the middle, in this order.

    Examples
    --------
    >>> by_tokens(("<P>", "<S>", "<M>"), "def f(", "return x")
    '<P>def f(<S>return x<M>'
    """
    before_prefix, before_suffix, before_middle = texts
    return f"{before_prefix}{prefix}{before_suffix}{suffix}{before_middle}"
