"""A real server that several people share: a token, and a client, for each of them."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store
from ollama_nb_server.sharing.tokens import TokenFile

ADMIN = None
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@dataclass
class Shared:
    """A server, its store, and a client by name; `tokens` are what these send."""

    store: Store
    tokens: dict[str, str]
    start: Callable[[], Any]
    server: Any = None
    clients: dict[str, httpx.Client] = field(default_factory=dict)
    _browsers: list[httpx.Client] = field(default_factory=list)

    def __getitem__(self, name: str) -> httpx.Client:
        return self.clients[name]

    def restart(self) -> None:
        """End the server, if there is one, and serve the same store."""
        if self.server is not None:
            self.server.stop()
        self.close()
        self.server = self.start()
        for name, token in self.tokens.items():
            headers = {"Authorization": f"Bearer {token}"}
            self.clients[name] = self._client(headers=headers)

    def page(self, name: str) -> Page:
        """The page as somebody sees it who has signed in."""
        client = self._client(headers=HTML, follow_redirects=True)
        self._browsers.append(client)
        client.post("/", data={"action": "enter", "token": self.tokens[name]})
        return Page(client)

    def close(self) -> None:
        for client in (*self.clients.values(), *self._browsers):
            client.close()
        self.clients.clear()
        self._browsers.clear()

    def _client(self, **more: Any) -> httpx.Client:
        return httpx.Client(base_url=self.server.url, timeout=60, trust_env=False, **more)


@dataclass
class Page:
    """The page in the hands of one person."""

    client: httpx.Client

    def text(self, address: str = "/") -> str:
        """What it shows."""
        return self.client.get(address).text

    def section(self, name: str) -> str:
        """The text of one of its parts, without marks."""
        part = re.search(f'<(section|div) id="{name}".*?</\\1>', self.text(), re.S)
        assert part is not None
        return " ".join(html.unescape(re.sub("<[^>]*>", " ", part[0])).split())

    def press(self, action: str, value: str = "", **fields: str) -> httpx.Response:
        """Press a button of the page as it is now."""
        own = re.search('name="pass" value="([0-9a-f]+)"', self.text())
        assert own is not None
        said = {"action": action, "value": value, "pass": own[1]}
        return self.client.post("/", data=said | fields)


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
        start = partial(
            self._start, "--tokens", str(file.path), "--config", str(folder / "hub.toml"),
            **{"OLLAMA_MODELS": str(store.root), **environ},
        )  # fmt: skip
        shared = Shared(store, tokens, start)
        self._open.callback(shared.close)
        shared.restart()
        return shared

    def close(self) -> None:
        self._open.close()


def sharing(start: Callable[..., Any], folder: Callable[[str], Path]) -> Iterator[Sharing]:
    made = Sharing(start, folder)
    yield made
    made.close()
