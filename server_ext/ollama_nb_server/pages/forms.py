"""What a form of the page says, read into values; what cannot be meant is told in a sentence."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from ollama_nb_server.sharing.quota import MAX_COMPUTE_S, MAX_TOKENS, Quota, window_of
from ollama_nb_server.sharing.windows import Pin
from ollama_nb_server.wire.errors import RequestError

Form = Mapping[str, str]
GROUPED = re.compile(r"[0-9]+|[0-9]{1,3}(?:[ _,][0-9]{3})+")
NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
MAX_NAME_CHARS = 255


class BadForm(RequestError):
    """A field of a form cannot be meant so, or what it changes is not there any more."""


def key_of(entry: BaseModel) -> str:
    """What a form names an entry of a list by: another one as soon as it says anything else."""
    said = entry.model_dump_json(by_alias=True)
    if isinstance(entry, Quota):  # sets have no order
        said = repr((sorted(entry.users), sorted(entry.groups), _amounts(entry), entry.window))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _amounts(quota: Quota) -> tuple[int | None, float | None]:
    return quota.tokens, quota.compute_seconds


def quota_of(form: Form) -> Quota:
    """The quota that a form says.

    Raises
    ------
    BadForm
        With the field, and how it is written.
    """
    tokens, seconds = _tokens(form), _seconds(form)
    if tokens is None and seconds is None:
        raise BadForm("a quota limits tokens or seconds of computing: write at least one of them")
    window = form.get("window", "").strip()
    try:
        window_s = window_of(window)
    except ValueError as error:
        raise BadForm(f"window: {error}") from error
    if window_s < 1:
        raise BadForm(f"window: {window!r} is too short: at least 1s")
    return Quota(
        tokens=tokens,
        compute_seconds=seconds,
        window=window_s,
        users=_names(form, "users"),
        groups=_names(form, "groups"),
    )


def _tokens(form: Form) -> int | None:
    text = form.get("tokens", "").strip()
    if not text:
        return None
    if not GROUPED.fullmatch(text):
        raise BadForm(f"tokens: {text[:40]!r} is no whole number, such as 200000 or 200,000")
    tokens = int(re.sub("[ _,]", "", text[:40]))
    if not 1 <= tokens <= MAX_TOKENS:
        raise BadForm(f"tokens: {text[:40]} is not between 1 and {MAX_TOKENS:,}")
    return tokens


def _seconds(form: Form) -> float | None:
    text = form.get("compute_seconds", "").strip()
    if not text:
        return None
    if not NUMBER.fullmatch(text):
        raise BadForm(f"seconds of computing: {text[:40]!r} is no number, such as 3600 or 0.5")
    seconds = float(text)
    if not 0 < seconds <= MAX_COMPUTE_S:
        most = f"{MAX_COMPUTE_S:,.0f}"
        raise BadForm(f"seconds of computing: {text[:40]} is not between 0 and {most}")
    return seconds


def _names(form: Form, field: str) -> frozenset[str]:
    names = [name.strip() for name in form.get(field, "").split(",")]
    for name in names:
        if len(name) > MAX_NAME_CHARS or not name.isprintable():
            raise BadForm(f"{field}: {name[:40]!r} is no name: write names with commas between")
    return frozenset(filter(None, names))


def pin_of(form: Form, model: str) -> Pin:
    """The pin that a form says for a model; empty fields are all days, and the whole day.

    Raises
    ------
    BadForm
        With the field, and how it is written.
    """
    said: dict[str, object] = {"models": (model,)}
    if days := re.split(r"[\s,]+", form.get("days", "").strip()):
        said |= {"days": days} if days != [""] else {}
    said |= {name: text for name in ("from", "until") if (text := form.get(name, "").strip())}
    try:
        return Pin.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        field = f"{first['loc'][0]}: " if first["loc"] else ""
        raise BadForm(f"{field}{first['msg'].removeprefix('Value error, ')}") from error
