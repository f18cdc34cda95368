"""Quotas that administrators change on the page: they hold at once."""

from __future__ import annotations

from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.pages.forms import BadForm, Form, key_of, quota_of
from ollama_nb_server.pages.pulls import Pulls
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.sharing import Quota
from ollama_nb_server.sharing.rules import EditQuotas
from ollama_nb_server.wire.errors import NoAccounts

Quotas = tuple[Quota, ...]


async def add(app: AppContext, _: Pulls, caller: Caller, form: Form) -> str:
    """A quota more."""
    new = quota_of(form)

    def edit(there: Quotas) -> Quotas:
        _refuse_second(new, there)
        return (*there, new)

    await _change(app, caller, edit)
    return f"New quota: {new}."


async def change(app: AppContext, _: Pulls, caller: Caller, form: Form) -> str:
    """Another one in a quota's place."""
    new, before = quota_of(form), list[Quota]()

    def edit(there: Quotas) -> Quotas:
        place = _place(there, form)
        others = (*there[:place], *there[place + 1 :])
        _refuse_second(new, others)
        before.append(there[place])
        return (*there[:place], new, *there[place + 1 :])

    await _change(app, caller, edit)
    return f"The quota of {before[0]} is changed: {new}."


async def remove(app: AppContext, _: Pulls, caller: Caller, form: Form) -> str:
    """A quota less."""
    gone: list[Quota] = []

    def edit(there: Quotas) -> Quotas:
        place = _place(there, form)
        gone.append(there[place])
        return (*there[:place], *there[place + 1 :])

    await _change(app, caller, edit)
    return f"The quota of {gone[0]} is removed."


async def reset(app: AppContext, _: Pulls, caller: Caller, __: Form) -> str:
    """Those of the configuration."""
    await _change(app, caller, None)
    return "The quotas are those of the configuration again."


async def _change(app: AppContext, caller: Caller, edit: EditQuotas | None) -> None:
    if app.accounts is None:
        raise NoAccounts
    by = caller.name or "administrator"
    await app.rules.change_quotas(edit, by, app.executors.write)


def _place(there: Quotas, form: Form) -> int:
    keys = [key_of(quota) for quota in there]
    if form.get("value", "") not in keys:
        raise BadForm("somebody has changed that quota meanwhile: look at it again")
    return keys.index(form["value"])


def _refuse_second(new: Quota, others: Quotas) -> None:
    """Refuse a quota that has no effect, or takes the effect of another one."""
    for quota in others:
        same = (quota.users, quota.groups, quota.window) == (new.users, new.groups, new.window)
        both = None not in (quota.tokens, new.tokens) or None not in (
            quota.compute_seconds,
            new.compute_seconds,
        )
        if same and both:
            raise BadForm(f"there is a quota for the same: {quota}; change that one")
