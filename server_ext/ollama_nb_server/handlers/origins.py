"""Who may call a server without a login: Host and Origin, checked as Ollama does (1.5, 1.6).

Functions of texts; `access` answers with them.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from tornado.httputil import HTTPServerRequest

SCHEMES, PORTS = ("http", "https"), ("", ":*")
LOCAL_HOSTS = ("localhost", "127.0.0.1", "0.0.0.0")
BUILT_IN = (
    *(f"{scheme}://{host}{port}" for host in LOCAL_HOSTS for scheme in SCHEMES for port in PORTS),
    *("app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*"),
)
LOCAL_SUFFIXES = (".localhost", ".local", ".internal")


def scheme_outside(request: HTTPServerRequest) -> str:
    """Whether the caller's own connection, maybe one to a proxy, is `https` or `http`."""
    told = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
    return told if told in SCHEMES else str(request.protocol)


def is_cross_origin(origin: str | None, host: str) -> bool:
    """Whether a request comes from another page than the server's own."""
    return bool(origin) and origin not in (f"http://{host}", f"https://{host}")


def origin_allowed(origin: str, configured: Sequence[str]) -> bool:
    """Whether a page of this origin may call; patterns may have one `*`."""
    return any(_matches(origin, pattern) for pattern in (*BUILT_IN, *configured))


def _matches(origin: str, pattern: str) -> bool:
    head, star, tail = pattern.partition("*")
    if not star:
        return origin == pattern
    return (
        len(origin) >= len(head) + len(tail) and origin.startswith(head) and origin.endswith(tail)
    )


def host_allowed(host: str) -> bool:
    """Whether a loopback server answers to this Host header (a defence against DNS rebinding)."""
    name = bare_host(host).casefold()
    if name in ("", "localhost", socket.gethostname().casefold()) or name.endswith(LOCAL_SUFFIXES):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_private or address.is_unspecified


def bare_host(host: str) -> str:
    """A Host header without its port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]


def is_loopback(host: str) -> bool:
    """Whether a listening address is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
