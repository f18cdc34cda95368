"""Sizes of files and of memory, in decimal units: 1 MB is a million bytes, as in `ollama list`."""

from __future__ import annotations

MEGABYTE = 1_000_000
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


def in_megabytes(num_bytes: float | None) -> float | None:
    """Return a size as the number of a column `..._mb`; None is what is not known.

    >>> in_megabytes(4_700_000_000), in_megabytes(1_260_000), in_megabytes(None)
    (4700.0, 1.3, None)
    """
    return None if num_bytes is None else round(num_bytes / MEGABYTE, 1)
