"""Opens store, scheduler and transfers for both apps at the first request, and closes them."""

from __future__ import annotations

import asyncio
import logging
import math
import platform
import time
from collections.abc import Callable
from pathlib import Path

from ollama_nb_server.accounts import Accounts
from ollama_nb_server.answering.app_context import AppContext
from ollama_nb_server.answering.executors import Executors
from ollama_nb_server.answering.kept_streams import KeptStreams
from ollama_nb_server.answering.loading import put_right
from ollama_nb_server.answering.pinning import Pinning
from ollama_nb_server.answering.template_executor import TemplateExecutor
from ollama_nb_server.engine.hardware.host_memory import HostMemory
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.engine.process import Worker
from ollama_nb_server.environment import Settings
from ollama_nb_server.handlers.verbs import OLLAMA_VERSION
from ollama_nb_server.library import dialects
from ollama_nb_server.library.errors import LibraryError
from ollama_nb_server.library.permissions import obstacle
from ollama_nb_server.library.store import Store
from ollama_nb_server.metrics import Metrics
from ollama_nb_server.registry import Transfers
from ollama_nb_server.scheduling.scheduler import Scheduler, everybody
from ollama_nb_server.scheduling.shares import ALONE, Shares
from ollama_nb_server.scheduling.usage import Record, Unloaded, WorkerEnded, to_log
from ollama_nb_server.sharing.rules import Rules

log = logging.getLogger(__name__)

DEFAULT_MAX_LOADED = 3
TIDY_AFTER_S = 3.0
KEY_FOLDER = ".ollama"  # in the user's home, wherever the models are
GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64", "AMD64": "amd64"}


class Application:
    """What both apps serve from, and its life.

    Requests are accounted for where several people share the server, each with a name. `rules` are
    given by a server whose administrators may change them; without, they are the configuration's.
    """

    def __init__(
        self, settings: Settings, *, is_shared: bool = False, rules: Rules | None = None
    ) -> None:
        self.settings = settings
        self._rules = rules or Rules(settings.sharing)
        self._may_be_pinned = bool(rules or self._rules.pins)
        self._is_shared = is_shared
        self.metrics = Metrics(by_user=is_shared and settings.sharing.metrics_by_user)
        self._accounts: Accounts | None = None
        if is_shared:
            days = settings.sharing.retention_days
            self._accounts = Accounts(
                settings.models, days, self._rules.quotas, settings.sharing.zone
            )
            self._rules.quotas_changed = self._accounts.change_quotas
        self._context: AppContext | None = None
        self.kept = KeptStreams()
        self._executors = Executors()
        self._tidying: asyncio.Task[None] | None = None
        self._pinning: Pinning | None = None

    async def context(self) -> AppContext:
        """What the verbs call; made by the first call."""
        if self._context is None:
            settings = self.settings
            removes = not settings.no_prune
            store = Store(
                settings.models,
                removes=removes,
                cache=settings.cache,
                go_template=settings.go_template,
            )
            self._context = AppContext(
                store,
                self._scheduler(),
                self._transfers(store),
                settings,
                TemplateExecutor(),
                self._executors,
                self.metrics,
                self._rules,
                accounts=self._accounts,
                kept=self.kept,
            )
            self.metrics.watch(self._context.scheduler.activity)
            self._tidying = asyncio.create_task(self._tidy(store))
            if self._may_be_pinned:
                self._pinning = Pinning(self._context)
                self._rules.pins_changed = self._pinning.change
        if self._accounts is not None:
            await self._accounts.opened()
        return self._context

    async def check_store(self) -> None:
        """Say in the log why the store cannot be used, if so; the server starts all the same."""
        if reason := await asyncio.to_thread(obstacle, self.settings.models):
            log.warning("%s", reason)

    async def begin(self) -> None:
        """Begin what waits for no request: pins."""
        if self._rules.pins:
            await self.context()

    async def _tidy(self, store: Store) -> None:
        """Let go of what nobody needs, after the first requests; not worth an error to anybody."""
        await asyncio.sleep(TIDY_AFTER_S)
        try:
            await self._executors.write(store.tidy, time.time())
            cache, blobs = self.settings.cache, store.blobs.folder
            await self._executors.write(dialects.prune, cache, blobs)
        except (OSError, LibraryError) as error:
            log.warning("the model store was not tidied: %s", error)

    def _scheduler(self) -> Scheduler:
        settings = self.settings
        limit = None if math.isinf(settings.load_timeout_s) else settings.load_timeout_s

        async def start(spec: LoadSpec, progress: Callable[[float], None]) -> Worker:
            right = await put_right(spec, settings.cache, self._executors)
            return await Worker.start(right, progress, timeout_s=limit)

        return Scheduler(
            max_loaded=settings.max_loaded_models or DEFAULT_MAX_LOADED,
            max_queue=settings.max_queue,
            default_keep_alive=settings.keep_alive_s,
            reload_on_request=settings.reload_on_request,
            memory_bytes=HostMemory.now().total_bytes,
            start_worker=start,
            account=self.account,
            shares=self._shares(),
            admit=everybody if self._accounts is None else self._accounts.admit,
        )

    def _shares(self) -> Shares:
        sharing = self.settings.sharing
        if not self._is_shared:
            return ALONE
        limits = sharing.express_slots, sharing.max_running, sharing.max_waiting
        return Shares(True, sharing.weights, *limits)

    def account(self, record: Record) -> None:
        """Tell the log, the metrics and the accounts of what has happened."""
        to_log(record)
        self.metrics.record(record)
        if self._pinning is not None and isinstance(record, Unloaded | WorkerEnded):
            self._pinning.look_again()
        if self._accounts is not None:
            self._accounts.record(record)

    def _transfers(self, store: Store) -> Transfers:
        machine = GO_NAMES.get(platform.machine(), platform.machine())
        agent = f"ollama/{OLLAMA_VERSION} ({machine} {platform.system().lower()}) ollama_nb"
        return Transfers(store, Path.home() / KEY_FOLDER, agent)

    async def close(self) -> None:
        """End the tidying; stop every download and every worker."""
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)
        if self._pinning is not None:
            await self._pinning.close()
        if self._context is not None:
            self._context.templates.close()
            await self._context.transfers.close()
            await self._context.scheduler.close()
        if self._accounts is not None:
            await self._accounts.close()
        self._executors.close()
