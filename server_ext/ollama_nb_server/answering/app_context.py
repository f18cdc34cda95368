"""What answering calls, in one value; both apps build it once and own its life."""

from __future__ import annotations

from dataclasses import dataclass, field

from ollama_nb_server.accounts import Accounts
from ollama_nb_server.answering.belongings import Allowance
from ollama_nb_server.answering.executors import Executors
from ollama_nb_server.answering.kept_streams import KeptStreams
from ollama_nb_server.answering.live import LiveRequests
from ollama_nb_server.answering.naming import Catalog
from ollama_nb_server.answering.progress import RequestProgress
from ollama_nb_server.answering.template_executor import TemplateExecutor
from ollama_nb_server.answering.user_locks import UserLocks
from ollama_nb_server.environment import Settings
from ollama_nb_server.library.store import Store
from ollama_nb_server.metrics import Metrics
from ollama_nb_server.registry import Transfers
from ollama_nb_server.scheduling.context import Caller, RequestContext
from ollama_nb_server.scheduling.scheduler import Scheduler
from ollama_nb_server.sharing.rules import Rules
from ollama_nb_server.sharing.uploads import Uploads


@dataclass(frozen=True, slots=True)
class AppContext:
    """Where models lie, who is loaded, what is on its way, and what the administrator has set."""

    store: Store
    scheduler: Scheduler
    transfers: Transfers
    settings: Settings
    templates: TemplateExecutor
    executors: Executors
    metrics: Metrics
    rules: Rules
    live: LiveRequests = field(default_factory=LiveRequests)
    uploads: Uploads = field(default_factory=Uploads)
    accounts: Accounts | None = None  # of a server that several people share
    kept: KeptStreams = field(default_factory=KeptStreams)
    unpinned: dict[str, str] = field(default_factory=dict)  # pinned, not loaded: names and why
    reports: UserLocks = field(default_factory=UserLocks)  # held until one has been sent

    def catalog(self, caller: Caller) -> Catalog:
        """The models that are there for a caller."""
        return Catalog(self.store, self.settings.sharing, caller)

    def progress(self, context: RequestContext) -> RequestProgress:
        """The progress of a request that begins: its stream tells of it, and so does the page."""
        progress = RequestProgress(self.scheduler)
        self.live.follow(context.live, progress.extras)
        return progress

    def allowance(self, caller: Caller) -> Allowance:
        """What a caller may add to the store."""
        return Allowance(self.catalog(caller), self.uploads)
