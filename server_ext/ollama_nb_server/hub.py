"""`configure(c)` in a `jupyterhub_config.py`: one model server for everybody on a JupyterHub.

Runs in the Hub's process, which needs no engine; the service itself is `ollama-nb serve --hub`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from traitlets.config import Config
from traitlets.config.loader import LazyConfigValue

from ollama_nb_server.announcing import BY_HUB, HOST, KEY, MARK, TOKEN, URL
from ollama_nb_server.sharing import Sharing
from ollama_nb_server.sharing.settings import VARIABLE

COMMAND = (sys.executable, "-m", "ollama_nb_server", "serve", "--hub")
ADDRESS = "http://127.0.0.1:11435"
NAME = re.compile(r"[a-z][a-z0-9_-]*[a-z0-9]")
SELF = "self"  # what the Hub's role `user` is without us
OF_SERVERS = ("users:activity!user", "access:servers!server")  # likewise its role `server`
EVERYWHERE = ("", "*", "0.0.0.0", "::")
# What the service takes over from the Hub's environment, which the Hub itself would keep from it.
KEPT = re.compile(
    r"(OLLAMA|CUDA|NVIDIA|GGML|GOMP|OMP)_\w+|HOME|XDG_CACHE_HOME|LD_LIBRARY_PATH"
    r"|(https?|no|all)_proxy|(HTTPS?|NO|ALL)_PROXY|SSL_CERT_(FILE|DIR)"
)
NOT_KEPT = frozenset({HOST, KEY, MARK, "OLLAMA_NB_TOKEN", "OLLAMA_NB_TOKENS", VARIABLE})


class BadHub(Exception):
    """What `configure` was told does not go with the Hub's configuration; the text says why."""


def configure(
    c: Config,
    *,
    name: str = "ollama",
    url: str = ADDRESS,
    public_url: str | None = None,
    command: Sequence[str] | None = COMMAND,
    api_token: str | None = None,
    allowed_groups: Collection[str] = (),
    store: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    config: str | Path | None = None,
    **sharing: Any,
) -> None:
    """Give every user of a JupyterHub the models of one server.

    Adds a service, roles, the scopes of the users' server tokens and what their kernels find in the
    environment. What the configuration has by then stays; so this is its last line.

    Parameters
    ----------
    c
        The configuration that is being written.
    name
        Of the service: its path is `/services/NAME/`, its scopes are
        `access:services!service=NAME` and `custom:NAME:manage`.
    url
        Where the service listens, and the Hub's proxy finds it.
    public_url
        Where kernels call the service; without it, at the Hub's proxy on this machine, or at `url`
        where that proxy speaks TLS or the service is not the Hub's own.
    command
        What the Hub runs as the service. None: it runs elsewhere, with `api_token` as its
        JUPYTERHUB_API_TOKEN.
    api_token
        The service's own token; the Hub makes one for a service that it runs itself.
    allowed_groups
        Only their members, and administrators, may use the models; without it everybody may.
    store
        The folder of the models: OLLAMA_MODELS of the service.
    environment
        Further variables of the service.
    config
        A TOML file whose table `[hub]` has what could also be said in `sharing`.
    **sharing
        The fields of `Sharing`: what holds for all users.

    Raises
    ------
    BadHub
        If something contradicts something else.
    BadSharing
        If a field of `Sharing` is unknown or has no such value.
    """
    if not NAME.fullmatch(name):
        raise BadHub(f"{name!r} is no name for a service: small letters, digits, - and _")
    settings = _sharing(config, sharing)
    if command is None:
        _check_elsewhere(store, environment, sharing)
    elif _said(c.JupyterHub, "internal_ssl", False):
        raise BadHub("a service that the Hub runs cannot have internal_ssl: run it elsewhere")
    prefix = f"{_base_url(c.JupyterHub)}services/{name}"
    service: dict[str, Any] = {"name": name, "url": url}
    service |= {"oauth_no_confirm": True, "oauth_client_allowed_scopes": [manage_scope(name)]}
    if command is not None:
        variables = _variables(store, environment or {}, settings if config or sharing else None)
        service |= {"command": list(command), "environment": variables}
    if api_token is not None:
        service["api_token"] = api_token
    url = _add_service(c.JupyterHub, service)["url"]
    _add_roles(c.JupyterHub, name, sorted(allowed_groups), sorted(settings.managers))
    if public_url is None:
        own = None if command is None else _proxy(c.JupyterHub)
        public_url = f"{own or url.rstrip('/')}{prefix}"
    scopes = (access_scope(name), manage_scope(name))
    for spawner in _spawners(c):
        _add_environment(spawner, public_url.rstrip("/"))
        _add_token_scopes(c.JupyterHub, spawner, scopes)


def access_scope(name: str) -> str:
    """What a token must have to use the models."""
    return f"access:services!service={name}"


def manage_scope(name: str) -> str:
    """What a token must have to change the models, unless its owner is an administrator."""
    return f"custom:{name}:manage"


def _sharing(config: str | Path | None, said: Mapping[str, Any]) -> Sharing:
    if config is None:
        return Sharing.of(said, "configure()")
    if said:
        raise BadHub(f"say {', '.join(said)} in {config}, or leave config= out")
    return Sharing.from_file(Path(config))


def _check_elsewhere(
    store: str | Path | None, environment: Mapping[str, str] | None, sharing: Mapping[str, Any]
) -> None:
    """Refuse what a service that the Hub does not start would never hear of."""
    given = {"store": store, "environment": environment}
    unheard = [name for name, value in given.items() if value]
    unheard += [name for name in sharing if name != "managers"]
    if unheard:
        raise BadHub(
            f"{', '.join(unheard)}: a service that the Hub does not run takes these from its own "
            "environment and from `ollama-nb serve --hub --config FILE`"
        )


def _variables(
    store: str | Path | None, more: Mapping[str, str], sharing: Sharing | None
) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if KEPT.fullmatch(name) and name not in NOT_KEPT
    }
    told = {} if store is None else {"OLLAMA_MODELS": str(store)}
    if sharing is not None:
        told[VARIABLE] = sharing.model_dump_json(exclude_unset=True, by_alias=True)
    return {**kept, **told, **more}


# --- the Hub's configuration ----------------------------------------------------------------------


def _said(section: Config, name: str, default: Any) -> Any:
    """What the configuration has there so far; lists and dicts as copies."""
    value = section.get(name, default)
    if isinstance(value, LazyConfigValue):  # of `c.JupyterHub.services.append(...)` and the like
        value = value.get_value(default)
    return value.copy() if isinstance(value, (list, dict)) else value


def _base_url(hub: Config) -> str:
    path = _said(hub, "base_url", "") or urlsplit(_said(hub, "bind_url", "")).path
    return f"/{path.strip('/')}/".replace("//", "/")


def _proxy(hub: Config) -> str | None:
    """Where processes on the Hub's machine reach its proxy; None where TLS or a domain forbids it.

    A container reaches it under the name under which it reaches the Hub.
    """
    bind = urlsplit(_said(hub, "bind_url", "") or "http://:8000")
    has_domains = _said(hub, "subdomain_host", "")
    if bind.scheme == "https" or _said(hub, "ssl_cert", "") or has_domains:
        return None
    host = _said(hub, "ip", "") or bind.hostname or ""
    if host in EVERYWHERE:
        host = _said(hub, "hub_connect_ip", "") or "127.0.0.1"
    port = _said(hub, "port", 0) or bind.port or 80
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _add_service(hub: Config, service: dict[str, Any]) -> dict[str, Any]:
    """Add a service, or what an entry of its name does not say; the entry."""
    services = _said(hub, "services", [])
    there = next((one for one in services if one.get("name") == service["name"]), None)
    entry = {**service, **(there or {})}
    if "command" not in entry and not entry.get("api_token"):
        raise BadHub("api_token: a service that the Hub does not run needs one, as the service has")
    hub.services = [*(one for one in services if one is not there), entry]
    return entry


def _add_roles(hub: Config, name: str, allowed: list[str], managers: list[str]) -> None:
    access, manage = access_scope(name), manage_scope(name)
    custom = _said(hub, "custom_scopes", {})
    custom.setdefault(manage, {"description": f"Change the models that all users of {name} share"})
    hub.custom_scopes = custom
    roles = _said(hub, "load_roles", [])
    if allowed:
        roles.append({"name": f"{name}-users", "scopes": [access], "groups": allowed})
    else:
        roles = _widened(roles, access)
    if managers:
        roles.append({"name": f"{name}-managers", "scopes": [access, manage], "groups": managers})
    hub.load_roles = roles


def _widened(roles: list[dict[str, Any]], scope: str) -> list[dict[str, Any]]:
    """The roles with a scope for every user."""
    user = next((role for role in roles if role["name"] == "user"), {"name": "user"})
    scopes = [*user.get("scopes", [SELF]), scope]
    return [*(role for role in roles if role is not user), {**user, "scopes": scopes}]


def _spawners(c: Config) -> Iterator[Config]:
    """What holds for all spawners, and for those kinds that have something of their own."""
    yield c.Spawner
    for name in list(c):
        if name.endswith("Spawner") and name != "Spawner":
            own = c[name]
            if "environment" in own or "server_token_scopes" in own:
                yield own


def own_token(spawner: Any) -> str:
    """The token of the server that is being started."""
    token: str = spawner.api_token
    return token


def _add_environment(spawner: Config, url: str) -> None:
    """Tell kernels, and with OLLAMA_HOST every other client, where the models are.

    An address or a key that is there already is not paired with one of ours.
    """
    variables = _said(spawner, "environment", {})
    told: dict[str, Any] = {URL: url, TOKEN: own_token, MARK: BY_HUB}
    if not {HOST, KEY} & variables.keys():
        told |= {HOST: url, KEY: own_token}
    spawner.environment = {**told, **variables}


def _add_token_scopes(hub: Config, spawner: Config, scopes: tuple[str, ...]) -> None:
    """Let the users' server tokens have these; a token has none that its owner lacks."""
    roles = _said(hub, "load_roles", [])
    usual = next((role["scopes"] for role in roles if role["name"] == "server"), OF_SERVERS)
    there = _said(spawner, "server_token_scopes", list(usual))
    if callable(there):
        spawner.server_token_scopes = _WithScopes(there, scopes)
    else:
        more = [scope for scope in scopes if scope not in there]
        spawner.server_token_scopes = [*there, *more]


class _WithScopes:
    """An administrator's function of a spawner, whose scopes we add to."""

    def __init__(self, scopes_of: Any, more: tuple[str, ...]) -> None:
        self._scopes_of, self._more = scopes_of, more

    async def __call__(self, spawner: Any) -> list[str]:
        """All scopes; the function may be a coroutine's."""
        scopes = self._scopes_of(spawner)
        if hasattr(scopes, "__await__"):
            scopes = await scopes
        return [*scopes, *self._more]
