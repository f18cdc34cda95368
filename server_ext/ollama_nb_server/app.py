"""The Jupyter Server extension: the API under {base_url}ollama/, with Jupyter's login.

Wiring and life cycle only. The engine's packages are imported when the extension starts, and where
they are missing it says in one line what to install.
"""

from __future__ import annotations

import logging
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jupyter_server.extension.application import ExtensionApp
from prometheus_client import REGISTRY
from traitlets import Bool, Enum, Float, Int, Unicode

from ollama_nb_server import require_engine
from ollama_nb_server.announcing import announce, service

if TYPE_CHECKING:
    from ollama_nb_server.application import Application

MISSING = "ollama_nb: the server's packages are not installed (%s): pip install 'ollama-nb[server]'"


SAME = (  # traits that are as in Settings
    "num_thread",
    "gpu_overhead",
    "sched_spread",
    "flash_attention",
    "kv_cache_type",
    "calibrate",
    "debug",
)


class OllamaNb(ExtensionApp):
    """Serves Ollama's REST API from this Jupyter server."""

    name = "ollama_nb_server"
    extension_url = "/ollama"
    load_other_extensions = True

    models = Unicode(
        "", help="Folder of the model store; empty: OLLAMA_MODELS, else ~/.ollama/models."
    ).tag(config=True)

    reload_on_request = Bool(
        False,
        help="Let a request with another num_batch, num_gpu, ... wait until a model that is in use "
        "can be loaded anew for it, as Ollama does. Otherwise such a request is served by the "
        "model as it is loaded, with a warning; an idle model is always loaded anew.",
    ).tag(config=True)

    heartbeat = Float(
        None,
        allow_none=True,
        help="Seconds without news after which a stream sends an empty message; 0: never; empty: "
        "OLLAMA_NB_HEARTBEAT, else 5.",
    ).tag(config=True)

    send_timeout = Float(
        None,
        allow_none=True,
        help="Seconds after which a client that has read nothing of its answer is dropped; 0: "
        "never; empty: OLLAMA_NB_SEND_TIMEOUT, else 300.",
    ).tag(config=True)

    num_thread = Int(
        None,
        allow_none=True,
        help="Threads for requests that do not say how many; 0: as many as suit the model; empty: "
        "OLLAMA_NUM_THREAD, else 0.",
    ).tag(config=True)

    gpu_overhead = Int(
        None,
        allow_none=True,
        help="Bytes that a load leaves free of each GPU; empty: OLLAMA_GPU_OVERHEAD, else 0.",
    ).tag(config=True)

    sched_spread = Bool(
        None,
        allow_none=True,
        help="Spread a model over all GPUs, also where one has room for it; empty: "
        "OLLAMA_SCHED_SPREAD, else no.",
    ).tag(config=True)

    flash_attention = Bool(
        None,
        allow_none=True,
        help="Whether models take flash attention; empty: OLLAMA_FLASH_ATTENTION, else whichever "
        "was found to be faster.",
    ).tag(config=True)

    kv_cache_type = Enum(
        ("f16", "q8_0", "q4_0"),
        None,
        allow_none=True,
        help="The numbers that contexts are kept in: q8_0 takes half of f16's memory and q4_0 a "
        "quarter; both need flash attention; empty: OLLAMA_KV_CACHE_TYPE, else f16.",
    ).tag(config=True)

    calibrate = Bool(
        None,
        allow_none=True,
        help="Measure in a model's first load on a machine, for three seconds at most, how it is "
        "computed fastest; empty: OLLAMA_NB_CALIBRATE, else yes.",
    ).tag(config=True)

    debug = Bool(
        None,
        allow_none=True,
        help="Log every decision of the scheduler, and all that llama.cpp says; empty: "
        "OLLAMA_DEBUG, else as Jupyter logs.",
    ).tag(config=True)

    application: Application | None = None

    def initialize_settings(self) -> None:
        """Make the secret that this server's kernels use."""
        self.settings["ollama_nb_secret"] = secrets.token_urlsafe(32)

    def initialize_handlers(self) -> None:
        """Register the table of routes, or say what is missing; a Hub's server is passed on to."""
        if (named := service(os.environ)) is not None:
            self._pass_on(*named)
            return
        try:
            require_engine()
            from ollama_nb_server.application import Application
            from ollama_nb_server.handlers.extension import Jupyter
            from ollama_nb_server.handlers.hints import hints
            from ollama_nb_server.handlers.routes import ROUTES, handlers
        except ImportError as error:
            self.log.warning(MISSING, error)
            return
        settings = self._settings()
        self.application = Application(settings)
        assert self.serverapp is not None
        self._log_as(self.serverapp.log, debug=settings.debug)
        base = self.serverapp.web_app.settings["base_url"].rstrip("/")
        served = self.application.context, self.application.account
        # base_url is put in front by Jupyter; redirects need the whole prefix.
        self.handlers.extend(
            (path.removeprefix(base), kind, arguments)
            for path, kind, arguments in (
                *handlers(Jupyter, f"{base}/ollama", *served),
                *hints(Jupyter, base, ROUTES, self.application.context),
            )
        )

    def _pass_on(self, url: str, token: str) -> None:
        """Have every request answered by the Hub's model server: no engine starts here."""
        from ollama_nb_server.handlers.relay import Relay

        assert self.serverapp is not None
        base = self.serverapp.web_app.settings["base_url"].rstrip("/")
        arguments = {"prefix": f"{base}/ollama", "service": url, "token": token}
        self.handlers.append(("/ollama(?:/.*)?", Relay, arguments))
        self.log.info("ollama_nb: the models are those of %s", url)

    def _log_as(self, jupyters: Any, *, debug: bool) -> None:
        """Let what the server's rooms log stand in Jupyter's log, accounts of requests included."""
        own = logging.getLogger("ollama_nb_server")
        own.setLevel(logging.DEBUG if debug else jupyters.getEffectiveLevel())
        for handler in jupyters.handlers:
            own.addHandler(handler)

    def _settings(self) -> Any:
        from dataclasses import replace
        from math import inf
        from pathlib import Path

        from ollama_nb_server.environment import Settings

        settings = Settings.from_environ(os.environ)
        return replace(
            settings,
            heartbeat_s=settings.heartbeat_s if self.heartbeat is None else self.heartbeat or inf,
            models=Path(self.models).expanduser() if self.models else settings.models,
            send_timeout_s=settings.send_timeout_s
            if self.send_timeout is None
            else self.send_timeout or inf,
            reload_on_request=self.reload_on_request or settings.reload_on_request,
            **{name: value for name in SAME if (value := getattr(self, name)) is not None},
        )

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """Tell kernels and terminals where we are; what a Hub or a user has set stays."""
        if self.application is None:
            return
        REGISTRY.register(self.application.metrics.registry)  # what Jupyter's /metrics shows
        await self.application.check_store()
        url = serverapp.connection_url.rstrip("/") + "/ollama"
        announce(os.environ, url, self.settings["ollama_nb_secret"])

    async def stop_extension(self) -> None:
        """Stop every worker."""
        if self.application is None:
            return
        with suppress(KeyError):  # it was stopped before it had started
            REGISTRY.unregister(self.application.metrics.registry)
        await self.application.close()
