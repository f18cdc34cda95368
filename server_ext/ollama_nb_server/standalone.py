"""`ollama-nb serve`: the API at the root of a port of its own, as Ollama has it.

Wiring and life cycle only; who may call is in `handlers.access`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import ProcessCollector
from tornado import netutil, web
from tornado.routing import Rule

from ollama_nb_server.application import Application
from ollama_nb_server.environment import Settings
from ollama_nb_server.handlers.access import Open, Policy
from ollama_nb_server.handlers.base import ApiHandler
from ollama_nb_server.handlers.connections import SILENT_S, BoundedServer
from ollama_nb_server.handlers.gate import RETRY_AFTER_S, Gate
from ollama_nb_server.handlers.origins import is_loopback
from ollama_nb_server.handlers.page import MAX_FORM_BYTES, Behind, TokenDoor, page_rule
from ollama_nb_server.handlers.routes import handlers
from ollama_nb_server.handlers.verbs import OLLAMA_VERSION
from ollama_nb_server.pages.pulls import Pulls
from ollama_nb_server.sharing import BadSharing, Sharing
from ollama_nb_server.sharing.overrides import OverridesFile
from ollama_nb_server.sharing.rules import Rules
from ollama_nb_server.sharing.tokens import BadTokens, TokenFile

if TYPE_CHECKING:
    from ollama_nb_server.handlers.hub_access import HubPlace

log = logging.getLogger(__name__)

NO_NAMES = "quotas need names: give each user a token with `ollama-nb token add NAME`"
IDLE_CHECK_S = 5.0
DRAIN_S = 30.0


def arguments(settings: Settings) -> argparse.ArgumentParser:
    """What may be said on the command line; the environment gives the defaults."""
    parser = argparse.ArgumentParser(
        prog="ollama-nb serve",
        description="Serve Ollama's REST API without Jupyter.",
        epilog="Environment: OLLAMA_HOST, OLLAMA_MODELS, OLLAMA_ORIGINS, OLLAMA_KEEP_ALIVE, "
        "OLLAMA_NUM_PARALLEL, OLLAMA_MAX_LOADED_MODELS, OLLAMA_MAX_QUEUE, OLLAMA_CONTEXT_LENGTH, "
        "OLLAMA_LOAD_TIMEOUT, OLLAMA_NUM_THREAD, OLLAMA_GPU_OVERHEAD, OLLAMA_SCHED_SPREAD, "
        "OLLAMA_FLASH_ATTENTION, OLLAMA_KV_CACHE_TYPE (f16, q8_0 or q4_0), OLLAMA_NB_CALIBRATE (0: "
        "measure nothing), OLLAMA_DEBUG, OLLAMA_NB_CACHE (a folder for what was read of models), "
        "OLLAMA_NB_PREFIX_CACHE_MB (of memory for prompts that may come again; 0: none), "
        "OLLAMA_NB_RELOAD_ON_REQUEST, OLLAMA_NB_REPRODUCIBLE (seeded, always or never), "
        "OLLAMA_NB_TOKEN (the secret that every request must carry), OLLAMA_NB_TOKENS (the file of "
        "`ollama-nb token`).",
    )
    parser.add_argument("--host", default=settings.host, help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=settings.port, help="port; 0 takes a free one (%(default)s)"
    )
    parser.add_argument(
        "--models", type=Path, default=settings.models, help="the model store (%(default)s)"
    )
    parser.add_argument(
        "--base-url",
        type=_base_url,
        default="",
        metavar="/PATH",
        help="the path below which a proxy has this server",
    )
    parser.add_argument(
        "--tokens",
        type=Path,
        default=settings.tokens,
        metavar="FILE",
        help="who may call, if it is there: see `ollama-nb token` (%(default)s)",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="how the server is shared: the table [hub] of a TOML file",
    )
    parser.add_argument(
        "--hub",
        action="store_true",
        help="be the service of a JupyterHub, which says who may call; where to listen and the "
        "path below its proxy come from its environment",
    )
    parser.add_argument(
        "--allow-anyone",
        action="store_true",
        help="answer everybody who reaches an address that is not loopback, without a token",
    )
    parser.add_argument(
        "--reload-on-request",
        action="store_true",
        default=settings.reload_on_request,
        help="let a request with another num_batch, num_gpu, ... wait until a model that is in use "
        "can be loaded anew for it, as Ollama does; otherwise it is served as it is loaded",
    )
    parser.add_argument("--runtime-file", type=Path, help="write address and secret there (0600)")
    parser.add_argument(
        "--idle-timeout",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="end after so long without a request",
    )
    parser.add_argument(
        "--drain",
        type=float,
        default=DRAIN_S,
        metavar="SECONDS",
        help="how long answers may take to finish after a signal to end (%(default)s)",
    )
    parser.add_argument(
        "--log-level",
        default="DEBUG" if settings.debug else "INFO",
        choices=("DEBUG", "INFO", "WARNING", "ERROR"),
    )
    return parser


def _base_url(text: str) -> str:
    path = text.rstrip("/")
    if path and not path.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with /")
    return path


class Standalone:
    """One server: application, sockets, signals, runtime file."""

    def __init__(
        self,
        settings: Settings,
        options: argparse.Namespace,
        rules: Rules,
        hub: HubPlace | None = None,
    ) -> None:
        self.settings, self.options = settings, options
        shared = is_shared(settings, options)
        self.application = Application(settings, is_shared=shared, rules=rules)
        ProcessCollector(registry=self.application.metrics.registry)
        self._last_request = time.monotonic()
        self._gate = Gate(settings.sharing.max_requests_per_user)
        # A Hub that was killed leaves its service behind, in the way of the next one's.
        is_managed = hub is not None and hub.listens_on is not None
        self._hub_pid = os.getppid() if is_managed and os.getppid() > 1 else None
        self._stop, self._stop_at_once = asyncio.Event(), asyncio.Event()
        policy = Policy(
            hub is None and is_loopback(settings.host),  # a Hub's proxy has names of its own
            settings.origins,
            settings.token,
            TokenFile(settings.tokens) if hub is None and settings.tokens.exists() else None,
            settings.sharing,
        )
        self._is_shared = hub is not None or policy.knows_people
        self._pulls = Pulls()
        secret = secrets.token_bytes(32)
        access: type[Open] = Open
        more: dict[str, Any] = {}
        behind = Behind(
            self.application.context,
            self._pulls,
            options.base_url,
            secret,
            self._gate,
            options.drain,
            policy.people,
        )
        page = _page(policy, behind)
        if hub is not None:
            access, more, page = _of_hub(hub, settings.sharing, behind)
        served = self.application.context, self.application.account
        self._app = web.Application(
            [
                *page,
                *handlers(self._counted(access), options.base_url, *served),
            ],
            cookie_secret=secret,
            policy=policy,
            log_function=_log_request,
            **more,
        )

    def _counted(self, access: type[Open]) -> type[Open]:
        server = self

        class Counted(access):  # type: ignore[valid-type, misc]
            """Tells the server when it was last used.

            A request ends in one of two ways, or in both: Tornado calls no `on_finish` for a body
            that never came to its end.
            """

            async def prepare(self) -> None:
                await super().prepare()
                if not self._finished and self.request.method != "OPTIONS":
                    server._let_in(self)

            def on_finish(self) -> None:
                server._ended(self)
                super().on_finish()

            def on_connection_close(self) -> None:
                server._ended(self)
                super().on_connection_close()

        return Counted

    def _let_in(self, request: Open) -> None:
        assert isinstance(request, ApiHandler)
        goes_on = request.route.goes_on
        refusal = self._gate.enter(request, request.caller.name, goes_on=goes_on)
        if refusal is not None:
            request.turn_away(refusal.status, refusal.sentence, RETRY_AFTER_S)

    def _ended(self, request: web.RequestHandler) -> None:
        self._gate.leave(request)
        self._last_request = time.monotonic()

    async def run(self) -> None:
        """Serve until a signal or the idle timeout."""
        sockets = netutil.bind_sockets(self.settings.port, self.settings.host)
        port = sockets[0].getsockname()[1]
        silent = {"idle_connection_timeout": SILENT_S} if self._is_shared else {}
        # Of forms of the page; the API's handlers take more of who they let in.
        server = BoundedServer(self._app, max_body_size=MAX_FORM_BYTES, **silent)
        server.max_connections = self.settings.sharing.max_connections if self._is_shared else 0
        server.add_sockets(sockets)
        self._on_signals()
        url = f"http://{_shown_host(self.settings.host)}:{port}{self.options.base_url}"
        log.info("serving Ollama's API on %s (models in %s)", url, self.settings.models)
        await self.application.check_store()
        await self.application.begin()
        self._write_runtime_file(url)
        try:
            await self._until_stopped()
        finally:
            self._remove_runtime_file()
            await self._drain()
            self._gate.is_closed = True
            server.stop()
            await self._pulls.close()
            await self.application.close()
            await server.close_all_connections()

    async def _until_stopped(self) -> None:
        limit = self.options.idle_timeout or float("inf")
        while not self._stop.is_set():
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stop.wait(), min(IDLE_CHECK_S, limit))
            idle = time.monotonic() - self._last_request
            if not self._gate and idle > limit:
                log.info("no request for %.0f s: the server ends", idle)
                return
            if self._hub_pid is not None and os.getppid() != self._hub_pid:
                log.warning("the Hub that has started this service is gone: the service ends")
                return

    async def _drain(self) -> None:
        """Let running answers finish, for a while; a second signal ends them.

        An answer whose client has lost the connection is one of them: its client may come back.
        """
        if num_left := self._num_left():
            within = f"within {self.options.drain:g} s; a second signal ends them at once"
            log.info("the server ends: %d requests may finish %s", num_left, within)
        done = asyncio.ensure_future(self._finished())
        hurry = asyncio.ensure_future(self._stop_at_once.wait())
        await asyncio.wait(
            (done, hurry), timeout=self.options.drain, return_when=asyncio.FIRST_COMPLETED
        )
        if num_left := self._num_left():
            log.warning("the server ends: %d requests are broken off", num_left)
        for task in (done, hurry):
            task.cancel()

    def _num_left(self) -> int:
        return len(self._gate) + self.application.kept.num_awaited

    async def _finished(self) -> None:
        self._gate.close()
        while self._num_left():
            await self._gate.emptied()
            await self.application.kept.settled()

    def _signalled(self) -> None:
        (self._stop_at_once if self._stop.is_set() else self._stop).set()

    def _on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # Windows: KeyboardInterrupt ends the loop instead
                loop.add_signal_handler(name, self._signalled)

    def _write_runtime_file(self, url: str) -> None:
        path: Path | None = self.options.runtime_file
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        facts = {
            "url": url,
            "token": self.settings.token,
            "pid": os.getpid(),
            "version": OLLAMA_VERSION,
        }
        with os.fdopen(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"
        ) as file:
            json.dump(facts, file)
        temporary.replace(path)

    def _remove_runtime_file(self) -> None:
        path: Path | None = self.options.runtime_file
        if path is None:
            return
        with suppress(OSError, ValueError):  # gone, or another server's by now
            if json.loads(path.read_text()).get("pid") == os.getpid():
                path.unlink()


def _page(policy: Policy, behind: Behind) -> list[Rule]:
    """The page, where people have names or a token to be known by."""
    if not policy.knows_people:
        return []
    return [page_rule(TokenDoor(policy, f"{behind.prefix}/"), behind)]


def _of_hub(
    place: HubPlace, sharing: Sharing, behind: Behind
) -> tuple[type[Open], dict[str, Any], list[Rule]]:
    """Who lets callers in, the application's setting for that, and the page."""
    from ollama_nb_server.handlers.hub_access import Hub, HubUser
    from ollama_nb_server.handlers.hub_page import hub_page_rules

    hub = Hub(place, sharing)
    return HubUser, {"hub": hub}, hub_page_rules(place, hub, sharing.contact, behind)


def _shown_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _log_request(handler: web.RequestHandler) -> None:
    """One line a request; never its query, which may hold a secret."""
    request = handler.request
    level = logging.WARNING if handler.get_status() >= 500 else logging.INFO
    log.log(
        level,
        "%d %s %s %.1f ms",
        handler.get_status(),
        request.method,
        request.path,
        1000 * request.request_time(),
    )


def is_shared(settings: Settings, options: argparse.Namespace) -> bool:
    """Whether callers have names, from the file of tokens or from a Hub."""
    return settings.tokens.exists() or bool(vars(options).get("hub"))


def refusal(settings: Settings, *, allow_anyone: bool) -> str:
    """Why these settings must not be served, or nothing."""
    if is_loopback(settings.host) or settings.token or allow_anyone or settings.tokens.exists():
        return ""
    return (
        f"{settings.host} can be reached from other machines: give those who may call a token with "
        "`ollama-nb token add NAME`, set OLLAMA_NB_TOKEN to a secret that every request must "
        "carry, or say --allow-anyone"
    )


class NotServed(Exception):
    """The command line and the environment do not go together; the text says why."""


def _place(settings: Settings, options: argparse.Namespace, environ: Any) -> HubPlace | None:
    """What the Hub has told this process, if it is a Hub's; then nobody else lets callers in."""
    if not options.hub:
        return None
    others = {
        "OLLAMA_NB_TOKEN": settings.token,
        "--allow-anyone": options.allow_anyone,
        "--tokens": options.tokens != settings.tokens or settings.tokens_file,
    }
    if said := [name for name, value in others.items() if value]:
        raise NotServed(f"with --hub the Hub says who may call: leave out {', '.join(said)}")
    try:
        from ollama_nb_server.handlers.hub_access import HubPlace, NoHub
    except ImportError as error:
        raise NotServed(f"{error}: pip install 'ollama-nb[server,hub]'") from error
    try:
        return HubPlace.from_environ(environ)
    except NoHub as error:
        raise NotServed(str(error)) from error


def _listen_as_told(settings: Settings, options: argparse.Namespace, hub: HubPlace) -> None:
    """Take address and path from the Hub, where the command line names no other."""
    options.base_url = options.base_url or hub.prefix
    as_usual = (options.host, options.port) == (settings.host, settings.port)
    if hub.listens_on is not None and as_usual:
        options.host, options.port = hub.listens_on


def serve(argv: Sequence[str], environ: Any = os.environ) -> int:
    """Run the server; the exit status."""
    try:
        settings = Settings.from_environ(environ)
        options = arguments(settings).parse_args(argv)
        sharing = Sharing.from_file(options.config) if options.config else settings.sharing
        hub = _place(settings, options, environ)
        if hub is None:
            TokenFile(options.tokens).all()
        else:
            _listen_as_told(settings, options, hub)
    except (BadSharing, BadTokens, NotServed) as error:
        sys.stderr.write(f"ollama-nb serve: {error}\n")
        return 1
    logging.basicConfig(
        level=options.log_level, format="%(asctime)s %(levelname).1s %(name)s: %(message)s"
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    settings = replace(
        settings,
        host=options.host,
        port=options.port,
        models=options.models,
        tokens_file=options.tokens,
        sharing=sharing,
        reload_on_request=options.reload_on_request,
    )
    shared = is_shared(settings, options)
    if sharing.quotas and not shared:
        sys.stderr.write(f"ollama-nb serve: {NO_NAMES}\n")
        return 1
    try:
        rules = Rules(sharing, OverridesFile(settings.models) if shared else None)
    except BadSharing as error:
        sys.stderr.write(f"ollama-nb serve: {error}\n")
        return 1
    reason = "" if hub else refusal(settings, allow_anyone=options.allow_anyone)
    if reason:
        sys.stderr.write(f"ollama-nb serve: {reason}\n")
        return 1

    async def main() -> None:
        await Standalone(settings, options, rules, hub).run()

    try:
        asyncio.run(main())
    except OSError as error:
        place = f"{settings.host}:{settings.port}"
        sys.stderr.write(f"ollama-nb serve: cannot listen on {place}: {error}\n")
        return 1
    return 0
