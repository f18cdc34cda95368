"""Access inside Jupyter: every request is authenticated and authorised by the Jupyter server.

Kernels of this server carry a secret of their own, which opens this API and nothing else.
"""

from __future__ import annotations

import hmac
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.auth.identity import User
from jupyter_server.base.handlers import APIHandler
from tornado import web

from ollama_nb_server.scheduling.context import Caller

RESOURCE = "ollama"
SAFE = ("GET", "HEAD", "OPTIONS")


class Jupyter(APIHandler):
    """The Jupyter half of a handler; the kernels' secret is the setting `ollama_nb_secret`."""

    auth_resource = RESOURCE

    def initialize(self, prefix: str = "", **more: Any) -> None:
        """Remember the prefix; have no log told the query, in which somebody may send a token."""
        self.prefix, self.request.uri = prefix, self.request.path
        super().initialize(**more)

    async def prepare(self, **more: Any) -> None:
        """Let the kernels' secret in, then do as Jupyter does: all before the body is read."""
        if self._is_kernel():
            self._jupyter_current_user = self._jupyterhub_user = User("kernel")
            self._token_authenticated = True
        await super().prepare(**more)
        if self._finished or self.request.method == "OPTIONS":
            return
        if self.current_user is None:
            raise web.HTTPError(403, "unauthorized: no valid token")
        action = "read" if self.request.method in SAFE else "write"
        allowed = self.authorizer.is_authorized(self, self.current_user, action, RESOURCE)
        if not (allowed if isinstance(allowed, bool) else await allowed):
            raise web.HTTPError(403, "this user of the Jupyter server may not use the models")
        self.caller = Caller(
            self.current_user.username, is_alone=True
        )  # a server is its user's own

    def _is_kernel(self) -> bool:
        secret: str = self.settings["ollama_nb_secret"]
        _, _, given = self.request.headers.get("Authorization", "").partition(" ")
        return hmac.compare_digest(given.strip().encode(), secret.encode())

    def check_xsrf_cookie(self) -> None:
        """Say what is missing is the token, where there is no login at all."""
        known = hasattr(self, "_jupyter_current_user")
        if known and not self.current_user and self.request.method not in SAFE:
            raise web.HTTPError(403, "unauthorized: no valid token")
        super().check_xsrf_cookie()

    @web.authenticated
    @authorized
    async def get(self, *_: str) -> None:
        """Reading is the route's affair."""
        await self.serve()  # type: ignore[attr-defined]

    head = get

    @web.authenticated
    @authorized
    async def post(self, *_: str) -> None:
        """Writing is the route's affair."""
        await self.serve()  # type: ignore[attr-defined]

    put = patch = post

    @web.authenticated
    @authorized
    async def delete(self, *_: str) -> None:
        """Deleting is the route's affair."""
        await self.serve()  # type: ignore[attr-defined]
