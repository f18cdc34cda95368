"""Where a Jupyter server's API is, told to its kernels and terminals by their environment.

Ours alone read JUPYTER_OLLAMA_URL; every other client of Ollama reads OLLAMA_HOST. Decisions on a
mapping only; `app` hands it the process's own.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

URL, TOKEN = "JUPYTER_OLLAMA_URL", "JUPYTER_OLLAMA_TOKEN"
HOST, KEY = "OLLAMA_HOST", "OLLAMA_API_KEY"
MARK = "OLLAMA_NB_SET_HOST"
BY_EXTENSION, BY_HUB = "1", "hub"  # who has set these variables
ON_A_HUB = "JUPYTERHUB_USER"  # what a Hub tells every user's server
CALLABLE = ("http://", "https://")  # not a unix socket, which Ollama's clients cannot call


def is_announced(environ: Mapping[str, str]) -> bool:
    """Whether OLLAMA_HOST was set by a Jupyter server or a Hub, and by nobody anew since."""
    marked = environ.get(MARK) in (BY_EXTENSION, BY_HUB)
    return marked and environ.get(HOST) == environ.get(URL)


def service(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The address of a Hub's model server and this user's token, if the Hub has named one."""
    url, token = environ.get(URL), environ.get(TOKEN) or environ.get("JUPYTERHUB_API_TOKEN")
    if not url or ON_A_HUB not in environ or environ.get(MARK) == BY_EXTENSION:
        return None
    return url.rstrip("/"), token or ""


def announce(environ: MutableMapping[str, str], url: str, secret: str) -> None:
    """Tell where the API is, unless a Hub or a user has named a server.

    OLLAMA_HOST and OLLAMA_API_KEY are set both or neither: one of them alone would send a user's
    key to this server, or this server's secret to another.
    """
    withdraw(environ)
    if environ.get(HOST) or environ.get(URL):
        return
    environ[URL], environ[TOKEN] = url, secret
    if not environ.get(KEY) and url.startswith(CALLABLE):
        environ[HOST], environ[KEY], environ[MARK] = url, secret, BY_EXTENSION


def withdraw(environ: MutableMapping[str, str]) -> None:
    """Remove what a Jupyter server has set from which this one was started."""
    if environ.get(MARK) != BY_EXTENSION:
        return
    del environ[MARK]
    url, secret = environ.pop(URL, None), environ.pop(TOKEN, None)
    for name, set_by_it in ((HOST, url), (KEY, secret)):
        if set_by_it is not None and environ.get(name) == set_by_it:
            del environ[name]
