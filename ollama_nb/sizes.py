"""Sizes of files and of memory, in words."""

from __future__ import annotations

MIB = 2**20
UNITS = ("B", "kB", "MB", "GB", "TB")


def in_words(num_bytes: float) -> str:
    """Write a size in decimal units, as model pages do.

    >>> in_words(312), in_words(1_260_000), in_words(4_700_000_000)
    ('312 B', '1.3 MB', '4.7 GB')
    """
    for unit in UNITS:
        if num_bytes < 1000 or unit == UNITS[-1]:
            break
        num_bytes /= 1000
    return f"{num_bytes:.0f} {unit}" if unit == "B" else f"{num_bytes:.1f} {unit}"
