"""Who used what: every request of a shared server as a row, and what is left of quotas.

`journal` writes rows on a thread of its own, `table` is how they lie in sqlite, `reading` sums them
up, `ledger` decides about quotas. No prompt and no answer ever comes here.
"""

from ollama_nb_server.accounts.accounts import Accounts
from ollama_nb_server.accounts.ledger import QuotaState
from ollama_nb_server.accounts.reading import GROUPS, DayTotal, Report, UsageQuery, by_day, report

__all__ = [
    "GROUPS",
    "Accounts",
    "DayTotal",
    "QuotaState",
    "Report",
    "UsageQuery",
    "by_day",
    "report",
]
