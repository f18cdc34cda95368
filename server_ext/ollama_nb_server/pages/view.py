"""What one person may see of a shared server, as values."""

from __future__ import annotations

import math
import sqlite3
import time
from dataclasses import dataclass
from datetime import datetime

from ollama_nb_server.accounts import Accounts, QuotaState, UsageQuery, report
from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.live import LiveRequest
from ollama_nb_server.answering.naming import Catalog
from ollama_nb_server.library.model import Model
from ollama_nb_server.pages.pulls import Pulls
from ollama_nb_server.scheduling.activity import ModelActivity
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.scheduling.scheduler import RunningModel


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory: its size, until when it stays (empty: for good), who is served by it."""

    name: str
    megabytes: int
    context: int
    until: str
    num_running: int
    num_waiting: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is not over."""

    id: int
    user: str
    verb: str
    model: str
    seconds: int
    state: str


@dataclass(frozen=True, slots=True)
class Used:
    """What a user has had of a model today: requests, tokens, seconds of computing."""

    user: str
    model: str
    requests: int
    prompt_tokens: int
    answer_tokens: int
    seconds: int


@dataclass(frozen=True, slots=True)
class View:
    """All that a page shows to one person; `url` is what clients are given."""

    user: str
    manages: bool
    contact: str
    url: str
    loaded: tuple[LoadedModel, ...]
    requests: tuple[Asked, ...]
    models: tuple[str, ...]
    pulls: tuple[tuple[str, str], ...]  # names, and how far they are
    used: tuple[Used, ...] = ()
    quotas: tuple[str, ...] = ()  # how each of the person's own stands


async def view_of(app: AppContext, pulls: Pulls, caller: Caller, url: str) -> View:
    """Collect it."""
    everybody = None if caller.manages else caller.name
    names, loaded = await app.executors.read(
        _models, app.catalog(caller), app.scheduler.running(), app.scheduler.activity()
    )
    return View(
        user=caller.name,
        manages=caller.manages,
        contact=app.settings.sharing.contact,
        url=url,
        loaded=loaded,
        requests=tuple(_asked(live, app.live.clock()) for live in app.live.of(everybody)),
        models=names,
        pulls=tuple(pulls.told()) if caller.manages else (),
        used=await app.executors.read(_used, app.accounts, everybody),
        quotas=tuple(map(_in_words, app.accounts.quotas(caller))) if app.accounts else (),
    )


def _used(accounts: Accounts | None, user: str | None) -> tuple[Used, ...]:
    """Today's sums; none where the accounts cannot be read, which their writer logs."""
    if accounts is None:
        return ()
    began = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    query = UsageQuery(user, since=began.timestamp(), by=("user", "model"))
    try:
        rows = report(accounts.path, query).documents()
    except sqlite3.Error:
        return ()
    return tuple(
        Used(
            user=row["user"],
            model=row["model"],
            requests=row["requests"],
            prompt_tokens=row["prompt_tokens"] or 0,
            answer_tokens=row["answer_tokens"] or 0,
            seconds=round((row["prompt_s"] or 0) + (row["eval_s"] or 0)),
        )
        for row in rows
        if row["prompt_tokens"] or row["prompt_s"] or row["eval_s"]  # all refusals are not use
    )


def _in_words(quota: QuotaState) -> str:
    """How a quota stands."""
    share = min(100 * quota.used // max(quota.limit.amount, 1), 100)
    free = "" if quota.free_at is None else f"; there is more at {_clock(quota.free_at)}"
    return f"{quota.limit}: {share} % used{free}"


def _models(
    catalog: Catalog, running: list[RunningModel], activity: list[ModelActivity]
) -> tuple[tuple[str, ...], tuple[LoadedModel, ...]]:
    """The names of the models that are there for somebody, and what is loaded of them."""
    names = tuple(sorted(entry.name.display for entry in catalog.entries()))
    served = {one.model: one for one in activity}
    loaded = tuple(
        LoadedModel(
            name=one.label,
            megabytes=round(one.size_bytes / 1e6),
            context=one.num_ctx,
            until="" if one.expires_at == math.inf else _clock(one.expires_at),
            num_running=served[one.label].num_running if one.label in served else 0,
            num_waiting=served[one.label].num_waiting if one.label in served else 0,
        )
        for one in running
        if not isinstance(one.model, Model) or catalog.sees(one.model.name)
    )
    return names, loaded


def _clock(seconds: float) -> str:
    form = "%H:%M:%S" if seconds < time.time() + 86_400 else "%Y-%m-%d %H:%M"
    return datetime.fromtimestamp(seconds).astimezone().strftime(form)


def _asked(live: LiveRequest, now: float) -> Asked:
    state = "is answered" if live.is_answered() else "waits or is read"
    return Asked(live.id, live.user, live.verb, live.model, round(now - live.began), state)
