"""A real server that several people share: a token, and a client, for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store
from ollama_nb_server.sharing.tokens import TokenFile

ADMIN = None


@dataclass
class Shared:
    """A server, its store, and a client by name; `tokens` are what these send."""

    server: Any
    store: Store
    tokens: dict[str, str]
    clients: dict[str, httpx.Client] = field(default_factory=dict)

    def __getitem__(self, name: str) -> httpx.Client:
        return self.clients[name]


def copied(store: Store, *names: str) -> None:
    """Have the bundled model under these names too."""
    demo = ModelName.parse("demo")
    store.model(demo)
    for name in names:
        store.copy(demo, ModelName.parse(name), "demo")


class Sharing:
    """Starts such servers, and closes what it opened."""

    def __init__(self, start: Callable[..., Any], folder: Callable[[str], Path]) -> None:
        self._start, self._folder = start, folder
        self._open = ExitStack()

    def __call__(
        self,
        config: str = "",
        people: Mapping[str, tuple[str, ...] | None] | None = None,
        models: tuple[str, ...] = (),
        **environ: str,
    ) -> Shared:
        """Serve these people: a name and its groups, or ADMIN."""
        folder = self._folder("shared")
        store = Store(folder / "models")
        copied(store, *models)
        file = TokenFile(folder / "tokens.json")
        tokens = {
            name: file.add(name, is_admin=groups is ADMIN, groups=frozenset(groups or ()))
            for name, groups in (people or {}).items()
        }
        (folder / "hub.toml").write_text(f"[hub]\n{config}")
        server = self._start(
            "--tokens", str(file.path), "--config", str(folder / "hub.toml"),
            OLLAMA_MODELS=str(store.root), **environ,
        )  # fmt: skip
        shared = Shared(server, store, tokens)
        for name, token in tokens.items():
            headers = {"Authorization": f"Bearer {token}"}
            client = httpx.Client(base_url=server.url, headers=headers, timeout=60, trust_env=False)
            shared.clients[name] = self._open.enter_context(client)
        return shared

    def close(self) -> None:
        self._open.close()


def sharing(start: Callable[..., Any], folder: Callable[[str], Path]) -> Iterator[Sharing]:
    made = Sharing(start, folder)
    yield made
    made.close()
