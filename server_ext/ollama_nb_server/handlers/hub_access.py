"""Access to the service of a JupyterHub: every request carries a token, and the Hub says whose.

The only module that imports jupyterhub. There are no cookies here, so a page that makes a browser
call us calls for nobody.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.services.auth import HubAuth
from tornado import web

from ollama_nb_server.handlers.access import Open, Policy
from ollama_nb_server.scheduling.context import Caller
from ollama_nb_server.sharing import Sharing

RETRY_AFTER_S = 5
NO_TOKEN = (
    "unauthorized: send a token of the Hub as `Authorization: Bearer TOKEN`; a user's own server "
    "has it in OLLAMA_API_KEY"
)
NEEDED = ("JUPYTERHUB_API_TOKEN", "JUPYTERHUB_API_URL", "JUPYTERHUB_SERVICE_NAME")


class NoHub(Exception):
    """The environment is not that of a service of a Hub; the text says what is missing."""


class HubUnreachable(Exception):
    """The Hub did not say whose token this is."""


class NoAccess(Exception):
    """The Hub knows the token, which does not open this service."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


@dataclass(frozen=True, slots=True)
class HubPlace:
    """What a Hub tells a service by its environment, or an administrator one that runs elsewhere.

    `url` is where the Hub wants the service to listen, if it says so.
    """

    name: str
    prefix: str
    api_url: str
    api_token: str = field(repr=False)
    url: str = ""
    client_id: str = ""  # of OAuth

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> HubPlace:
        """Read the variables.

        Raises
        ------
        NoHub
            If one is missing.
        """
        if missing := [name for name in NEEDED if not environ.get(name)]:
            raise NoHub(
                f"--hub is for a service of a JupyterHub, which sets {', '.join(missing)}; a "
                "service that the Hub does not start itself must be given them: docs/jupyterhub.md"
            )
        token, api_url, name = (environ[name] for name in NEEDED)
        prefix = environ.get("JUPYTERHUB_SERVICE_PREFIX") or f"/services/{name}"
        url = environ.get("JUPYTERHUB_SERVICE_URL", "")
        client_id = environ.get("JUPYTERHUB_CLIENT_ID") or f"service-{name}"
        return cls(name, f"/{prefix.strip('/')}", api_url, token, url, client_id)

    @property
    def hub_prefix(self) -> str:
        """The path of the Hub itself, which its proxy has beside ours."""
        return f"{self.prefix.removesuffix(f'/services/{self.name}')}/hub/"

    @property
    def listens_on(self) -> tuple[str, int] | None:
        """Host and port, if the Hub says where."""
        parts = urlsplit(self.url)
        if not parts.hostname:
            return None
        return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


class Hub:
    """Whom the Hub knows: asked once for each token, and again after `recheck_s` seconds."""

    def __init__(self, place: HubPlace, sharing: Sharing) -> None:
        self._place, self._sharing = place, sharing
        self.recheck_s = sharing.recheck_s
        self._auth = HubAuth(
            api_url=place.api_url,
            api_token=place.api_token,
            base_url=f"{place.prefix}/",
            cache_max_age=sharing.recheck_s,
        )
        self._asked: dict[str, asyncio.Task[Any]] = {}

    async def caller(self, token: str) -> Caller | None:
        """Who has this token; None: the Hub does not know it.

        Raises
        ------
        NoAccess
            If it does not open this service.
        HubUnreachable
            If the Hub does not answer.
        """
        model = await self._model(token)
        return None if model is None else self.caller_of(model)

    def caller_of(self, model: Mapping[str, Any]) -> Caller:
        """The caller that a Hub's model tells of.

        Raises
        ------
        NoAccess
            If its token does not open this service.
        """
        # No user of a Hub has a slash in their name: nobody is taken for a service.
        name = model["name"] if model["kind"] == "user" else f"{model['kind']}/{model['name']}"
        scopes = frozenset(model["scopes"])
        if not self._auth.check_scopes({f"access:services!service={self._place.name}"}, model):
            raise NoAccess(name)
        groups = frozenset(model.get("groups") or ())
        manages = f"custom:{self._place.name}:manage" in scopes or self._sharing.may_manage(
            groups, is_admin=bool(model.get("admin"))
        )
        return Caller(name, manages, groups)

    async def _model(self, token: str) -> dict[str, Any] | None:
        """What the Hub says of a token; requests that come together ask once."""
        asked = self._asked.get(token)
        if asked is None:
            asked = self._asked[token] = asyncio.ensure_future(self._ask(token))
            asked.add_done_callback(lambda _: self._asked.pop(token, None))
        return await asyncio.shield(asked)  # who leaves takes the answer from nobody else

    async def _ask(self, token: str) -> dict[str, Any] | None:
        try:
            model: dict[str, Any] | None = await self._auth.user_for_token(token, sync=False)
        except (web.HTTPError, json.JSONDecodeError) as error:
            raise HubUnreachable(str(error)) from error
        return model


class HubUser(Open):
    """The half of a handler that a Hub guards; it is the application's setting `hub`."""

    async def identify(self, policy: Policy) -> None:
        """Have the Hub say who calls, or refuse."""
        hub: Hub = self.settings["hub"]
        kind, _, token = self.request.headers.get("Authorization", "").strip().partition(" ")
        token = token.strip() if kind.casefold() in ("bearer", "token") else ""
        if not token:
            self._denied(401, NO_TOKEN)
            return
        contact = policy.sharing.contact
        try:
            caller = await hub.caller(token)
        except NoAccess as error:
            self._denied(403, f"{error.name} may not use the models of this Hub: ask {contact}")
        except HubUnreachable:
            self.set_header("Retry-After", str(RETRY_AFTER_S))
            self._denied(503, "the Hub, which knows who may call, does not answer; try again soon")
        else:
            if caller is None:
                self._denied(
                    403,
                    "the Hub does not know this token: it was revoked, or its server has ended; "
                    "start your server again, or make a token on the Hub's page /hub/token",
                )
                return
            self.caller = caller

    def _denied(self, status: int, sentence: str) -> None:
        if status == 401:
            self.set_header("WWW-Authenticate", "Bearer")
        self.refuse(status, sentence)  # type: ignore[attr-defined]
