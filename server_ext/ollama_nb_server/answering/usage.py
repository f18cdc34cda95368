"""The verb usage: what a caller, or everybody, has used, and how the caller's quotas stand."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any

from ollama_nb_server.accounts import Accounts, QuotaState, UsageQuery, report
from ollama_nb_server.accounts.ledger import NS, Kind
from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.wire.encoding import pieces
from ollama_nb_server.wire.errors import AccountsBroken, NoAccounts, NotAllowed
from ollama_nb_server.wire.usage import UsageRequest, as_csv


async def usage(app: AppContext, request: UsageRequest, caller: Caller) -> bytes:
    """The answer, as JSON or CSV: made beside the event loop, for it may be long.

    Raises
    ------
    NoAccounts
        If the server keeps none.
    NotAllowed
        If the caller asks for what others used, and does not manage the server.
    """
    if app.accounts is None:
        raise NoAccounts
    if request.user not in (None, caller.name) and not caller.manages:
        raise NotAllowed(caller.name, "see what others use", app.settings.sharing.contact)
    quotas = [_quota(state) for state in app.accounts.quotas(caller)]
    query = request.query(caller.name)
    return await app.executors.read(_answer, app.accounts, request, query, quotas)


def _answer(
    accounts: Accounts, request: UsageRequest, query: UsageQuery, quotas: list[dict[str, Any]]
) -> bytes:
    accounts.flush()
    try:
        found = report(accounts.path, query)
    except sqlite3.Error as error:
        raise AccountsBroken(f"the accounts {accounts.path} cannot be read: {error}") from error
    if request.as_csv:
        return as_csv(found)
    name = "requests" if query.by is None else "totals"
    document = {name: found.documents(), "truncated": found.is_cut, "quotas": quotas}
    return b"".join(pieces(document))


def _quota(state: QuotaState) -> dict[str, Any]:
    limit = state.limit
    unit = 1 if limit.kind is Kind.TOKENS else NS
    free_at = None if state.free_at is None else datetime.fromtimestamp(state.free_at).astimezone()
    return {
        "kind": limit.kind.value,
        "window_s": limit.window_s,
        "limit": limit.amount / unit if unit > 1 else limit.amount,
        "used": state.used / unit if unit > 1 else state.used,
        "free_at": free_at and free_at.isoformat(),
    }
