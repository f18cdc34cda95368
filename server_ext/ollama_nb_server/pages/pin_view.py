"""Pins and windows as the page lists them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ollama_nb_server.pages.forms import key_of
from ollama_nb_server.pages.pin_actions import shown
from ollama_nb_server.pages.words import (
    Zone,
    days_in_words,
    holds_in_words,
    hours_in_words,
    is_for_good,
    moment_in_words,
)
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.sharing import Sharing
from ollama_nb_server.sharing.windows import Pin, Window


@dataclass(frozen=True, slots=True)
class PinRow:
    """A pin; `state` says whether it holds now, `troubles` which of its models are not loaded."""

    key: str
    models: str
    days: str
    hours: str
    state: str
    troubles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WindowRow:
    """A window, in words."""

    name: str
    whom: str
    limits: str
    days: str
    hours: str
    state: str


def pin_rows(
    pins: Iterable[Pin], troubles: Mapping[str, str], now: datetime, zone: Zone
) -> tuple[PinRow, ...]:
    """A row for each; `troubles` are why pinned models are not loaded."""
    return tuple(
        PinRow(
            key=key_of(pin),
            models=", ".join(map(shown, pin.models)),
            days="" if is_for_good(pin) else days_in_words(pin),
            hours="for good" if is_for_good(pin) else hours_in_words(pin),
            state=holds_in_words(pin, now, zone),
            troubles=tuple(
                f"{shown(name)} is not loaded: {troubles[name]}"
                for name in pin.models
                if name in troubles
            ),
        )
        for pin in pins
    )


def window_rows(windows: Iterable[Window], now: datetime, zone: Zone) -> tuple[WindowRow, ...]:
    """A row for each."""
    return tuple(
        WindowRow(
            name=window.name,
            whom=", ".join(sorted(window.groups)) or "all who do not manage",
            limits=_limits(window),
            days=days_in_words(window),
            hours=hours_in_words(window),
            state=holds_in_words(window, now, zone),
        )
        for window in windows
    )


def holding(sharing: Sharing, caller: Caller, now: datetime) -> tuple[str, ...]:
    """What limits somebody now, a sentence for each window; none limits who manages."""
    if caller.manages:
        return ()
    found = []
    for each in sharing.in_force(caller.groups, now):
        until = f", until {moment_in_words(each.end, sharing.zone, now)}" if each.end else ""
        found.append(f"{each.window.name}{until}: {_limits(each.window)}.")
    return tuple(found)


def _limits(window: Window) -> str:
    if window.none:
        return "no model may be used"
    limits = []
    if window.allow is not None:
        allowed = ", ".join(window.allow)
        limits.append(f"only {allowed} may be used" if allowed else "no model may be used")
    if window.num_predict is not None:
        limits.append(f"answers end after {window.num_predict:,} tokens")
    return ", ".join(limits)
