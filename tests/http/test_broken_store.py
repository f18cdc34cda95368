"""Files of the store that are not what they should be: said in words that help, in every verb."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.library.store import Store

DEEP, DIGITS = b"[" * 100_000, b"1" * 6000
WHAT_TO_DO = "pull or create the model again"
PYTHON = re.compile(
    r"' object|like object|NoneType|subscript|indices|codec|recursion|decod|Traceback|validation error|char \d|"
    r"int\(\)|float|dict|iterable|literal|argument|Expecting|internal server error|: 'config'|\\ud8"
)
NO_OBJECTS = [b"", b"{", b"null", b"[]", b"1", b'"x"', b"\xff\xfe", b"NaN", b"\xef\xbb\xbf{}", DEEP, b'{"a":' + DIGITS + b"}"]  # fmt: skip

LAYERS: list[object] = [
    None, 5, "x", [], {}, {"digest": 5}, {"digest": None}, {"digest": "sha256:zz"}, {"size": "many"},
    {"size": -1}, {"size": 1e400}, {"size": 1.5}, {"size": None}, {"size": True}, {"size": [1]},
    {"size": 10**30}, {"mediaType": 5}, {"mediaType": None}, {"mediaType": {"a": 1}},
    {"from": 5}, {"from": {"a": 1}},
]  # fmt: skip


class Broken:
    """Puts broken models into a store; each has the bundled model's weights."""

    def __init__(self, store: Store) -> None:
        self._store, self.names = store, []
        store.model(ModelName.parse("demo"))
        self._good = json.loads(store.manifests.read(ModelName.parse("demo"))[0])

    def manifest(self, data: bytes) -> None:
        self.names.append(f"broken-{len(self.names)}")
        path = self._store.manifests.path(ModelName.parse(self.names[-1]))
        path.parent.mkdir(parents=True)
        path.write_bytes(data)

    def having(self, **fields: object) -> None:
        self.manifest(json.dumps({**self._good, **fields}).encode())

    def layer(self, change: object) -> None:
        """The same fault in the config's description and in a layer's."""
        for good, fields in (
            (self._good["config"], lambda layer: {"config": layer}),
            (self._good["layers"][0], lambda layer: {"layers": [layer]}),
        ):
            self.having(
                **fields({**good, **change} if isinstance(change, dict) and change else change)
            )

    def config(self, data: bytes) -> None:
        self.having(config=self._blob(data) | {"mediaType": self._good["config"]["mediaType"]})

    def part(self, kind: str, data: bytes) -> None:
        kind = f"application/vnd.ollama.image.{kind}"
        self.having(layers=[*self._good["layers"], self._blob(data) | {"mediaType": kind}])

    def _blob(self, data: bytes) -> dict[str, object]:
        return {"digest": self._store.blobs.add(data)[0].colon, "size": len(data)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("broken"))


@pytest.fixture(scope="module")
def manifests(store: Store) -> list[str]:
    """Models whose manifest is none."""
    broken = Broken(store)
    for data in (*NO_OBJECTS, b"{}", b'{"config":{"a":' + DEEP):
        broken.manifest(data)
    for layers in ({"a": 1}, "abc", 5, True, [1], [None], [[]]):
        broken.having(layers=layers)
    for change in LAYERS:
        broken.layer(change)
    return broken.names


CONFIGS: list[object] = [
    {"model_format": 5}, {"model_family": ["x"]}, {"model_families": "x"}, {"model_families": [1]},
    {"capabilities": "completion"}, {"capabilities": [[1]]}, {"context_length": -1},
    {"context_length": 1.5}, {"context_length": 10**30}, {"embedding_length": "x"}, {"draft": 5},
]  # fmt: skip
MESSAGES: list[object] = [1, None, "x", [], {"role": 5}, {"role": "user", "content": 5}]
# These are shown as they are; only who asks the model needs them.
UNUSABLE_MESSAGES: list[dict] = [
    {"images": 5}, {"images": [5]}, {"images": ["!"]}, {"tool_calls": 5}, {"tool_calls": [5]},
    {"tool_calls": [{"function": 5}]}, {"tool_calls": [{"function": {"name": 5}}]}, {"thinking": 5},
]  # fmt: skip


@pytest.fixture(scope="module")
def models(store: Store, manifests: list[str]) -> list[str]:
    """Models with a whole manifest, and a config, parameters or messages that are none."""
    broken = Broken(store)
    broken.names = [*manifests]
    for data in NO_OBJECTS:
        broken.config(data)
        broken.part("params", data)
        broken.part("messages", data if data != b"[]" else b"{}")
    for config in CONFIGS:
        broken.config(json.dumps(config).encode())
    for message in MESSAGES:
        broken.part("messages", json.dumps([message]).encode())
    return broken.names[len(manifests) :]


@pytest.fixture(scope="module")
def unusable(store: Store, models: list[str], manifests: list[str]) -> list[str]:
    broken = Broken(store)
    broken.names = [*manifests, *models]
    for message in UNUSABLE_MESSAGES:
        data = json.dumps([{"role": "user", "content": "x", **message}]).encode()
        broken.part("messages", data)
    return broken.names[len(manifests) + len(models) :]


@pytest.fixture(scope="module")
def server(start_server: Callable, store: Store, unusable: list[str]):
    return start_server(OLLAMA_MODELS=str(store.root))


@pytest.fixture(scope="module")
def client(server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


ASKING = {
    "generate": {"prompt": "Hi", "stream": False, "options": {"num_predict": 1}},
    "chat": {"messages": [{"role": "user", "content": "Hi"}], "stream": False},
    "embed": {"input": "Hi"},
    "show": {},
}
VERBS = {
    **{verb: lambda name, more=more: {"model": name, **more} for verb, more in ASKING.items()},
    "create": lambda name: {"model": "new", "from": name, "system": "Hi", "stream": False},
}
OF_MANIFESTS = {
    "copy": lambda name: {"source": name, "destination": "new"},
    "push": lambda name: {"model": name, "stream": False},
}


def failures(client: httpx.Client, names: list[str], verb: str, body: Callable) -> list[str]:
    """What is not said as it should be."""
    answers = {name: client.post(f"/api/{verb}", json=body(name)) for name in names}
    return [
        f"{name}: {answer.status_code} {answer.text}"
        for name, answer in answers.items()
        if answer.status_code != 500
        or WHAT_TO_DO not in answer.text
        or PYTHON.search(answer.json()["error"])
    ]


@pytest.mark.parametrize("verb", [*VERBS, *OF_MANIFESTS])
def test_a_manifest_that_is_none_is_said_so(client, manifests: list[str], verb: str) -> None:
    assert failures(client, manifests, verb, {**VERBS, **OF_MANIFESTS}[verb]) == []


@pytest.mark.parametrize("verb", ASKING)
def test_a_broken_part_is_said_so(client: httpx.Client, models: list[str], verb: str) -> None:
    assert failures(client, models, verb, VERBS[verb]) == []


@pytest.mark.parametrize("verb", ["chat", "generate"])
def test_a_message_that_the_model_begins_with_is_nobodys_request(client, unusable, verb) -> None:
    assert failures(client, unusable, verb, VERBS[verb]) == []


def test_broken_models_take_nothing_from_the_others(
    client: httpx.Client, models: list[str]
) -> None:
    listed = client.get("/api/tags")
    asked = client.post("/api/generate", json=VERBS["generate"]("demo"))

    assert (listed.status_code, asked.status_code) == (200, 200)
    assert {"demo:latest", f"{models[0]}:latest"} <= {m["name"] for m in listed.json()["models"]}
    assert client.get("/api/ps").status_code == 200


def test_the_log_has_no_traceback(server, client: httpx.Client) -> None:
    assert client.get("/api/tags").is_success
    assert "Traceback" not in server.log.read_text()


def test_every_broken_model_can_be_deleted(client, manifests, models, unusable) -> None:
    for name in (*manifests, *models, *unusable):
        assert client.request("DELETE", "/api/delete", json={"model": name}).status_code == 200

    assert [m["name"] for m in client.get("/api/tags").json()["models"]] == ["demo:latest"]


def test_a_blob_that_is_missing_is_named(
    client: httpx.Client, store: Store, tmp_path: Path
) -> None:
    broken = Broken(store)
    broken.part("params", b"{}")
    missing = store.manifests.of(ModelName.parse(broken.names[0])).of_kind("params")[0].digest
    store.blobs.remove(missing)

    answer = client.post("/api/show", json={"model": broken.names[0]})

    assert (answer.status_code, answer.json()["error"]) == (
        404,
        f'blob "{missing.colon}" not found',
    )
