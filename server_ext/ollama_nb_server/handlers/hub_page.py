"""The page of a Hub's service: who looks is whoever is logged in at the Hub."""

from __future__ import annotations

import json
from typing import Any

from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler, HubOAuthenticated
from tornado import routing, web

from ollama_nb_server.handlers.hub_access import Hub, HubPlace, HubUnreachable, NoAccess
from ollama_nb_server.handlers.page import Behind, PageHandler, page_rule
from ollama_nb_server.scheduling.context import Caller

HOW = (
    "In your server on the Hub both are set, so there is nothing to do; elsewhere a token is made "
    "on the Hub's page /hub/token."
)


class Login(HubOAuth):  # type: ignore[misc]  # jupyterhub is untyped
    """The Hub's login, which whoever has a browser may begin any number of times."""

    def generate_state(self, next_url: str | None = None, **more: Any) -> str:
        """Come back to the page; an address of the stranger's would be kept, of any length."""
        state: str = super().generate_state(self.base_url, **more)
        return state


class HubDoor:
    """Sends strangers to the Hub's login, which sends them back."""

    how, may_leave = HOW, False

    def __init__(self, hub: Hub, contact: str) -> None:
        self._hub, self._contact = hub, contact

    async def caller(self, handler: web.RequestHandler) -> Caller | None:
        """Who is logged in; a stranger is on the way to the login by then."""
        assert isinstance(handler, HubOAuthenticated)
        try:
            model = await handler.hub_auth.get_user(handler, sync=False)
            if model is not None:
                return self._hub.caller_of(model)
        except NoAccess as error:
            _say(
                handler,
                403,
                f"{error.name} may not use the models of this Hub: ask {self._contact}",
            )
        except (web.HTTPError, json.JSONDecodeError, HubUnreachable):
            _say(handler, 503, "the Hub, which knows who may look, does not answer; try again soon")
        else:
            handler.redirect(handler.get_login_url())
        return None

    def xsrf(self, handler: web.RequestHandler) -> str:
        """What the Hub wants to find in every form."""
        return handler.xsrf_token.decode()

    def enter(self, handler: web.RequestHandler, token: str) -> str:
        """Nobody comes in by a token here."""
        return "Log in at the Hub."

    def leave(self, handler: web.RequestHandler) -> None:
        """Who leaves, leaves the Hub."""


def _say(handler: web.RequestHandler, status: int, sentence: str) -> None:
    handler.set_status(status)
    handler.set_header("Content-Type", "text/plain; charset=utf-8")
    handler.finish(sentence)


def hub_page_rules(place: HubPlace, hub: Hub, contact: str, behind: Behind) -> list[routing.Rule]:
    """The rules before those of the API: the page, and where the Hub sends people back to."""
    auth = Login(
        api_url=place.api_url,
        api_token=place.api_token,
        base_url=f"{behind.prefix}/",
        hub_prefix=place.hub_prefix,
        oauth_client_id=place.client_id,
        cache_max_age=hub.recheck_s,
    )
    page = type("HubPage", (HubOAuthenticated, PageHandler), {"hub_auth": auth})
    back = type("Back", (HubOAuthCallbackHandler,), {"hub_auth": auth})
    return [
        page_rule(HubDoor(hub, contact), behind, page),
        routing.Rule(routing.PathMatches(f"{behind.prefix}/oauth_callback"), back),
    ]
