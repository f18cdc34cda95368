"""What the other rooms use: pull and push for one store, and their life."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store
from ollama_nb_server.registry import pull as pulling
from ollama_nb_server.registry import push as pushing
from ollama_nb_server.registry.downloads import Downloads
from ollama_nb_server.registry.identity import Identity
from ollama_nb_server.registry.limits import Limits
from ollama_nb_server.registry.progress import Progress
from ollama_nb_server.registry.session import Session
from ollama_nb_server.registry.web import Web


class Transfers:
    """Pulls and pushes of one server.

    Parameters
    ----------
    home
        The folder of Ollama's key, which is made when a registry first asks for it.
    user_agent
        How registries know us.
    """

    def __init__(
        self, store: Store, home: Path, user_agent: str, limits: Limits | None = None
    ) -> None:
        self._store = store
        self._web = Web(limits or Limits(), user_agent)
        self._identity = Identity(home)
        self._downloads = Downloads(store)

    def pull(self, name: ModelName, *, insecure: bool = False) -> AsyncGenerator[Progress, None]:
        """Bring a model into the store; leaving the iterator early cancels what nobody shares.

        Parameters
        ----------
        insecure
            Speak http instead of https.
        """
        return pulling.pull(self._store, self._downloads, self._session(name, insecure))

    def push(self, name: ModelName, *, insecure: bool = False) -> AsyncGenerator[Progress, None]:
        """Bring a model from the store to its registry."""
        return pushing.push(self._store, self._session(name, insecure))

    def _session(self, name: ModelName, insecure: bool) -> Session:
        return Session(self._web, self._identity, name, insecure=insecure)

    async def close(self) -> None:
        """Stop what runs; it can be gone on with."""
        await self._downloads.close()
        await self._web.close()
