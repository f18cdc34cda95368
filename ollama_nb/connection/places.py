"""Where a model server may be: each function lists the candidates of one kind of place.

Nothing is asked over the network here; `connection` probes what these functions name.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_PORT = 11434
RUNTIME_FILE = "ollama-nb-server.json"
BY_HUB = "hub"  # OLLAMA_NB_SET_HOST, where a Hub has set the address
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """An address that may answer Ollama's API."""

    url: str
    token: str | None = field(default=None, repr=False)
    socket: str | None = None  # path of a unix socket, for a Jupyter server that listens on one
    self_signed: bool = False
    comes_back: bool = False  # whoever named it starts it again when it has ended, as a Hub does

    @property
    def is_local(self) -> bool:
        """Whether proxies of the environment must be ignored."""
        return self.socket is not None or urlsplit(self.url).hostname in LOOPBACK


def runtime_dir() -> Path:
    """Return Jupyter's runtime directory of this user."""
    from jupyter_core.paths import jupyter_runtime_dir

    return Path(jupyter_runtime_dir())


def normal_url(text: str) -> str:
    """Complete an address as Ollama does: scheme http, port 11434, no slash at the end.

    >>> normal_url("gpu-box"), normal_url("https://hub.example/user/ann/ollama/")
    ('http://gpu-box:11434', 'https://hub.example/user/ann/ollama')
    """
    has_scheme = "://" in text
    parts = urlsplit(text if has_scheme else f"http://{text}")
    host = parts.netloc
    if parts.hostname == "0.0.0.0":  # an address to listen on, not one to call
        host = host.replace("0.0.0.0", "127.0.0.1")
    if parts.port is None and not has_scheme:
        host = f"{host.rstrip(':')}:{DEFAULT_PORT}"
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def explicit(url: str, token: str | None) -> Iterator[Candidate]:
    """Name the address a user gave; a Jupyter server's address is understood too."""
    in_query = parse_qs(urlsplit(url).query).get("token", [None])[0]
    base = normal_url(url)
    yield Candidate(base, token or in_query)
    if not base.endswith("/ollama"):
        yield Candidate(
            f"{base.removesuffix('/lab').removesuffix('/tree')}/ollama", token or in_query
        )


def named_by_jupyter(environ: Mapping[str, str], _: Path) -> Iterator[Candidate]:
    """Name what the Hub or the Jupyter server's extension put into the environment."""
    if url := environ.get("JUPYTER_OLLAMA_URL"):
        token = environ.get("JUPYTER_OLLAMA_TOKEN") or environ.get("JUPYTERHUB_API_TOKEN")
        yield Candidate(normal_url(url), token, comes_back=is_set_by_hub(environ))


def named_by_ollama_host(environ: Mapping[str, str], _: Path) -> Iterator[Candidate]:
    """Name the user's ordinary Ollama; an address that Jupyter has set was named before."""
    if (host := environ.get("OLLAMA_HOST")) and not is_set_by_jupyter(environ):
        yield Candidate(normal_url(host), environ.get("OLLAMA_API_KEY"))


def is_set_by_jupyter(environ: Mapping[str, str]) -> bool:
    """Tell whether OLLAMA_HOST was set by the extension, or by a Hub, for others' clients."""
    marked = environ.get("OLLAMA_NB_SET_HOST") in ("1", BY_HUB)
    return marked and environ.get("OLLAMA_HOST") == environ.get("JUPYTER_OLLAMA_URL")


def is_set_by_hub(environ: Mapping[str, str]) -> bool:
    """Tell whether a Hub has named its one server for all users: then no other is meant."""
    return bool(environ.get("JUPYTER_OLLAMA_URL")) and environ.get("OLLAMA_NB_SET_HOST") == BY_HUB


def of_this_jupyter(environ: Mapping[str, str], runtime: Path) -> Iterator[Candidate]:
    """Name the Jupyter server that started this kernel: its parent or a process above it."""
    parent = environ.get("JPY_PARENT_PID", "")
    pids = [int(parent)] if parent.isdigit() else []
    for pid in dict.fromkeys([*pids, *_ancestors()]):
        yield from _of_jupyter_file(runtime / f"jpserver-{pid}.json")


def on_this_machine(_: Mapping[str, str], runtime: Path) -> Iterator[Candidate]:
    """Name the server that another kernel of this user started, then Ollama's usual port."""
    yield from of_runtime_file(runtime / RUNTIME_FILE)
    yield Candidate(f"http://127.0.0.1:{DEFAULT_PORT}")


def of_other_jupyters(_: Mapping[str, str], runtime: Path) -> Iterator[Candidate]:
    """Name the other Jupyter servers of this user, the youngest first."""
    files = sorted(runtime.glob("jpserver-*.json"), key=_modified_at, reverse=True)
    for file in files:
        yield from _of_jupyter_file(file)


def of_runtime_file(file: Path) -> Iterator[Candidate]:
    """Name the server that wrote this file of ours."""
    if facts := _read_json(file):
        yield Candidate(str(facts["url"]).rstrip("/"), facts.get("token"))


def _of_jupyter_file(file: Path) -> Iterator[Candidate]:
    if facts := _read_json(file):
        url = str(facts["url"])
        parts = urlsplit(url)
        token = facts.get("token") or None
        if parts.scheme == "http+unix":
            path = f"http://localhost{parts.path.rstrip('/')}/ollama"
            yield Candidate(path, token, socket=unquote(parts.netloc))
        else:
            local = parts.hostname in LOOPBACK
            secure = parts.scheme == "https" and local
            yield Candidate(f"{url.rstrip('/')}/ollama", token, self_signed=secure)


def _read_json(file: Path) -> dict[str, Any] | None:
    """Read a runtime file; one that is gone or half-written names nothing."""
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) and facts.get("url") else None


def _modified_at(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:  # its server has just ended
        return 0.0


def _ancestors() -> Iterator[int]:
    """Yield the pids above this process; beyond the parent only where /proc tells."""
    pid = os.getppid()
    while pid > 1:
        yield pid
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return
        pid = int(stat.rpartition(")")[2].split()[1])
