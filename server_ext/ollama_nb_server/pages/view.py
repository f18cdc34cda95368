"""What one person may see of a shared server, as values."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.live import LiveRequest
from ollama_nb_server.answering.naming import Catalog
from ollama_nb_server.library.model import Model
from ollama_nb_server.pages.pin_actions import pinned_for_good
from ollama_nb_server.pages.pin_view import PinRow, WindowRow, holding, pin_rows, window_rows
from ollama_nb_server.pages.pulls import Pulls
from ollama_nb_server.pages.quota_view import (
    Meter,
    QuotaRow,
    Standing,
    meters,
    quota_rows,
    standings,
)
from ollama_nb_server.pages.usage_view import Choice, History, Today, history, today
from ollama_nb_server.pages.words import Zone, clock, progress_in_words
from ollama_nb_server.scheduling.activity import ModelActivity
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.scheduling.scheduler import RunningModel
from ollama_nb_server.sharing.overrides import ChangedPins, ChangedQuotas
from ollama_nb_server.wire.errors import NotAllowed


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory: its size, until when it stays (empty: for good), who is served by it."""

    name: str
    megabytes: int
    context: int
    until: str
    num_running: int
    num_waiting: int
    is_pinned: bool


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model that is there, and whether the page has pinned it for good."""

    name: str
    is_pinned: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is not over; `state` tells its place, or how far it is."""

    id: int
    user: str
    verb: str
    model: str
    seconds: int
    state: str
    waits: bool


@dataclass(frozen=True, slots=True)
class Changed:
    """Who has changed a list of the configuration on the page, and when; how long that holds."""

    by: str
    at: str
    is_kept: bool


@dataclass(frozen=True, slots=True)
class Administration:
    """What only administrators see; `standings` are how users' quotas stand."""

    pulls: tuple[tuple[str, str], ...]  # names, and how far they are
    pins: tuple[PinRow, ...]
    pins_changed: Changed | None
    windows: tuple[WindowRow, ...]
    quotas: tuple[QuotaRow, ...] | None  # None: nobody has a name here
    quotas_changed: Changed | None
    standings: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class View:
    """All that a page shows to one person; `url` is what clients are given.

    `history` is None where it is not asked for, or where there are no accounts.
    """

    user: str
    manages: bool
    contact: str
    url: str
    loaded: tuple[LoadedModel, ...]
    requests: tuple[Asked, ...]
    models: tuple[ListedModel, ...]
    holding: tuple[str, ...]  # the windows that limit this person now
    has_accounts: bool
    today: Today
    meters: tuple[Meter, ...]  # how the person's own quotas stand
    history: History | None
    administration: Administration | None


async def view_of(
    app: AppContext,
    pulls: Pulls,
    caller: Caller,
    url: str,
    people: Iterable[Caller] = (),
    choice: Choice | None = None,
) -> View:
    """Collect it; `people` are those whom the server knows, `choice` is which history is shown.

    Raises
    ------
    NotAllowed
        If the choice is an administrator's.
    """
    if choice is not None and choice.by == "user" and not caller.manages:
        raise NotAllowed(caller.name, "see what others use", app.settings.sharing.contact)
    everybody = None if caller.manages else caller.name
    zone, now = app.settings.sharing.zone, time.time()
    names, loaded = await app.executors.read(
        _models, app.catalog(caller), app.scheduler.running(), app.scheduler.activity()
    )
    pinned = pinned_for_good(app.rules.pins)
    kept = app.scheduler.pins
    return View(
        user=caller.name,
        manages=caller.manages,
        contact=app.settings.sharing.contact,
        url=url,
        loaded=tuple(_loaded(*each, kept=each[0].weights in kept, zone=zone) for each in loaded),
        requests=tuple(_asked(live, app.live.clock()) for live in app.live.of(everybody)),
        models=tuple(ListedModel(name, name in pinned) for name in names),
        holding=holding(app.settings.sharing, caller, _moment(now)),
        has_accounts=app.accounts is not None,
        today=await app.executors.read(today, app.accounts, everybody, zone, now),
        meters=meters(app.accounts.quotas(caller), zone, now) if app.accounts else (),
        history=None
        if choice is None or app.accounts is None
        else await app.executors.read(history, app.accounts, everybody, choice, zone, now),
        administration=_administration(app, pulls, people, now) if caller.manages else None,
    )


def _administration(
    app: AppContext, pulls: Pulls, people: Iterable[Caller], now: float
) -> Administration:
    sharing, rules, zone = app.settings.sharing, app.rules, app.settings.sharing.zone
    callers = {} if app.accounts is None else app.accounts.callers
    callers |= {person.name: person for person in people}
    known = [caller for caller in callers.values() if caller is not None]
    return Administration(
        pulls=tuple(pulls.told()),
        pins=pin_rows(rules.pins, app.unpinned, _moment(now), zone),
        pins_changed=_changed(rules.overrides.pins, zone, now, is_kept=rules.is_kept),
        windows=window_rows(sharing.windows, _moment(now), zone),
        quotas=None if app.accounts is None else quota_rows(rules.quotas, known, app.accounts),
        quotas_changed=_changed(rules.overrides.quotas, zone, now, is_kept=rules.is_kept),
        standings=() if app.accounts is None else standings(callers, app.accounts, zone, now),
    )


def _changed(
    changed: ChangedQuotas | ChangedPins | None, zone: Zone, now: float, *, is_kept: bool
) -> Changed | None:
    if changed is None:
        return None
    return Changed(changed.by, clock(changed.at.timestamp(), zone, now), is_kept)


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, timezone.utc)


def _models(
    catalog: Catalog, running: list[RunningModel], activity: list[ModelActivity]
) -> tuple[tuple[str, ...], list[tuple[RunningModel, ModelActivity]]]:
    """The names of the models that are there for somebody, and what is loaded of them."""
    names = tuple(sorted(entry.name.display for entry in catalog.entries()))
    served = {one.model: one for one in activity}
    return names, [
        (one, served.get(one.label, ModelActivity(one.label)))
        for one in running
        if not isinstance(one.model, Model) or catalog.sees(one.model.name)
    ]


def _loaded(one: RunningModel, served: ModelActivity, *, kept: bool, zone: Zone) -> LoadedModel:
    now = time.time()
    return LoadedModel(
        name=one.label,
        megabytes=round(one.size_bytes / 1e6),
        context=one.num_ctx,
        until="" if one.expires_at == math.inf else clock(one.expires_at, zone, now),
        num_running=served.num_running,
        num_waiting=served.num_waiting,
        is_pinned=kept,
    )


def _asked(live: LiveRequest, now: float) -> Asked:
    extras = live.extras() if live.extras is not None else None
    if extras is None:
        state = "is answered" if live.is_answered() else "begins"
    else:
        state = progress_in_words(extras)
    waits = extras is not None and extras.phase in ("queued", "loading")
    return Asked(live.id, live.user, live.verb, live.model, round(now - live.began), state, waits)
