"""`configure(c)`: what it adds to a Hub's configuration, what it leaves, what it refuses."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml
from configurations import ROOT, of_the_readme
from ollama_nb_server.hub import COMMAND, BadHub, configure, own_token
from ollama_nb_server.sharing import BadSharing
from traitlets.config import Config

ACCESS, MANAGE = "access:services!service=ollama", "custom:ollama:manage"
NO_ENGINE = """
import sys
for name in ("llama_cpp", "orjson", "zmq", "gguf", "jupyterhub", "tornado"):
    sys.modules[name] = None
import ollama_nb_server.hub"""


def configured(c: Config | None = None, **told) -> Config:
    c = c or Config()
    configure(c, **told)
    return c


def service_of(c: Config) -> dict:
    (service,) = (one for one in c.JupyterHub.services if one["name"] == "ollama")
    return service


def url_of(c: Config) -> str:
    return c.Spawner.environment["JUPYTER_OLLAMA_URL"]


def test_it_needs_no_engine() -> None:
    subprocess.run([sys.executable, "-c", NO_ENGINE], check=True)


def test_the_readme_s_configuration_is_short_and_whole() -> None:
    text, c = of_the_readme(), Config()
    exec(text, {"c": c})

    assert len([line for line in text.splitlines() if line]) <= 6
    assert service_of(c)["command"] == list(COMMAND)
    assert {"name": "user", "scopes": ["self", ACCESS]} in c.JupyterHub.load_roles
    assert MANAGE in c.JupyterHub.custom_scopes
    assert {ACCESS, MANAGE, "users:activity!user"} <= set(c.Spawner.server_token_scopes)


def test_each_server_hands_its_own_token_to_every_client() -> None:
    environment = configured().Spawner.environment

    spawner = SimpleNamespace(api_token="its own")
    assert own_token(spawner) == "its own"
    assert environment["JUPYTER_OLLAMA_TOKEN"] is environment["OLLAMA_API_KEY"] is own_token
    assert environment["OLLAMA_HOST"] == environment["JUPYTER_OLLAMA_URL"]
    assert environment["OLLAMA_NB_SET_HOST"] == "hub"


@pytest.mark.parametrize(
    ("hub", "url"),
    [
        ({}, "http://127.0.0.1:8000/services/ollama"),
        ({"bind_url": "http://:9000/base/"}, "http://127.0.0.1:9000/base/services/ollama"),
        ({"bind_url": "http://10.0.0.7"}, "http://10.0.0.7:80/services/ollama"),
        ({"port": 7, "base_url": "/b/"}, "http://127.0.0.1:7/b/services/ollama"),
        ({"ip": "0.0.0.0", "hub_connect_ip": "hub"}, "http://hub:8000/services/ollama"),
        ({"ip": "::1"}, "http://[::1]:8000/services/ollama"),
        ({"bind_url": "https://hub.example"}, "http://127.0.0.1:11435/services/ollama"),
        ({"ssl_cert": "a.pem"}, "http://127.0.0.1:11435/services/ollama"),
        ({"subdomain_host": "http://h.example"}, "http://127.0.0.1:11435/services/ollama"),
    ],
)
def test_kernels_call_the_hub_s_proxy_where_they_can(hub, url) -> None:
    c = Config()
    c.JupyterHub.update(hub)

    assert url_of(configured(c)) == url


def test_an_address_may_be_said() -> None:
    assert url_of(configured(public_url="http://models:80/services/ollama/")) == (
        "http://models:80/services/ollama"
    )


def test_what_is_there_stays() -> None:
    c = Config()
    c.JupyterHub.services = [{"name": "other"}]
    c.JupyterHub.load_roles = [{"name": "user", "scopes": ["self", "list:users"]}]
    c.Spawner.environment = {"OLLAMA_HOST": "mine", "X": "y"}
    c.Spawner.server_token_scopes = ["users:activity!user"]

    configured(c)

    assert [one["name"] for one in c.JupyterHub.services] == ["other", "ollama"]
    assert c.JupyterHub.load_roles == [{"name": "user", "scopes": ["self", "list:users", ACCESS]}]
    assert c.Spawner.environment["OLLAMA_HOST"] == "mine"
    assert "OLLAMA_API_KEY" not in c.Spawner.environment
    assert c.Spawner.environment["X"] == "y"
    assert c.Spawner.server_token_scopes == ["users:activity!user", ACCESS, MANAGE]


def test_what_was_appended_stays_too() -> None:
    c = Config()
    c.JupyterHub.services.append({"name": "other"})
    c.Spawner.environment.update({"X": "y"})

    configured(c)

    assert [one["name"] for one in c.JupyterHub.services] == ["other", "ollama"]
    assert c.Spawner.environment["X"] == "y"


def test_a_kind_of_spawner_with_an_environment_of_its_own_gets_ours_too() -> None:
    c = Config()
    c.KubeSpawner.environment = {}
    c.DockerSpawner.image = "x"

    configured(c)

    assert c.KubeSpawner.environment["JUPYTER_OLLAMA_URL"]
    assert ACCESS in c.KubeSpawner.server_token_scopes
    assert "environment" not in c.DockerSpawner


def test_scopes_of_a_role_and_of_a_function_are_kept() -> None:
    of_a_role, of_a_function = Config(), Config()
    of_a_role.JupyterHub.load_roles = [{"name": "server", "scopes": ["read:hub"]}]
    of_a_function.Spawner.server_token_scopes = lambda spawner: ["read:hub"]

    configured(of_a_role)
    configured(of_a_function)

    assert of_a_role.Spawner.server_token_scopes == ["read:hub", ACCESS, MANAGE]
    asked = of_a_function.Spawner.server_token_scopes(None)
    assert asyncio.run(asked) == ["read:hub", ACCESS, MANAGE]


def test_groups_may_use_and_manage() -> None:
    c = configured(allowed_groups=["llm"], managers=["teachers"])

    assert c.JupyterHub.load_roles == [
        {"name": "ollama-users", "scopes": [ACCESS], "groups": ["llm"]},
        {"name": "ollama-managers", "scopes": [ACCESS, MANAGE], "groups": ["teachers"]},
    ]
    said = json.loads(service_of(c)["environment"]["OLLAMA_NB_SHARING"])
    assert said == {"managers": ["teachers"]}


def test_the_service_s_environment(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("OLLAMA_KEEP_ALIVE", "1h")
    monkeypatch.setenv("OLLAMA_HOST", "elsewhere")
    monkeypatch.setenv("CONFIGPROXY_AUTH_TOKEN", "secret")
    file = tmp_path / "hub.toml"
    file.write_text('[hub]\ncontact = "Ms Ada"\n')

    c = configured(store="/models", environment={"OLLAMA_MAX_QUEUE": "9"}, config=file)

    environment = service_of(c)["environment"]
    assert (environment["OLLAMA_MODELS"], environment["OLLAMA_MAX_QUEUE"]) == ("/models", "9")
    assert environment["OLLAMA_KEEP_ALIVE"] == "1h"
    assert json.loads(environment["OLLAMA_NB_SHARING"]) == {"contact": "Ms Ada"}
    assert not {"OLLAMA_HOST", "CONFIGPROXY_AUTH_TOKEN"} & environment.keys()


def test_a_service_elsewhere() -> None:
    c = configured(command=None, url="http://models:11434", api_token="t", managers=["x"])

    assert "command" not in service_of(c)
    assert service_of(c)["api_token"] == "t"
    assert url_of(c) == "http://models:11434/services/ollama"


def test_an_entry_that_is_there_is_completed() -> None:
    c = Config()
    c.JupyterHub.services = [{"name": "ollama", "url": "http://models:1", "api_token": "t"}]

    configured(c, command=None)

    assert service_of(c)["api_token"] == "t"
    assert url_of(c) == "http://models:1/services/ollama"


@pytest.mark.parametrize(
    ("told", "error", "said"),
    [
        ({"name": "Ol/lama"}, BadHub, "no name"),
        ({"manager": ["x"]}, BadSharing, "manager"),
        ({"config": "hub.toml", "contact": "x"}, BadHub, "say contact in hub.toml"),
        ({"config": "nowhere.toml"}, BadSharing, "nowhere.toml"),
        ({"command": None}, BadHub, "api_token"),
        ({"command": None, "api_token": "t", "store": "/m"}, BadHub, "store"),
        ({"command": None, "api_token": "t", "contact": "x"}, BadHub, "contact"),
    ],
)
def test_what_contradicts_itself_is_refused(told, error, said) -> None:
    with pytest.raises(error, match=said):
        configured(**told)


def test_tls_within_the_hub_is_refused_in_words() -> None:
    c = Config()
    c.JupyterHub.internal_ssl = True

    with pytest.raises(BadHub, match="internal_ssl"):
        configured(c)


def fences(kind: str) -> list[str]:
    page = (ROOT / "docs/jupyterhub.md").read_text("utf-8")
    return re.findall(rf"```{kind}\n(.*?)```", page, re.S)


@pytest.mark.parametrize("text", fences("python"))
def test_the_configurations_of_the_page_can_be_read(text, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hub.toml").write_text("[hub]\n")
    c = Config()

    exec(text, {"c": c})

    assert service_of(c)["url"]


def test_the_values_for_kubernetes_can_be_read() -> None:
    hub = next(values["hub"] for values in map(yaml.safe_load, fences("yaml")) if "hub" in values)
    c = Config()
    c.KubeSpawner.environment = {}
    service = hub["services"]["ollama"]
    c.JupyterHub.services = [{"name": "ollama", "api_token": "of the chart", **service}]

    exec(hub["extraConfig"]["ollama"], {"c": c})

    assert service_of(c)["url"] == "http://ollama:11434"
    assert c.KubeSpawner.environment["OLLAMA_HOST"] == "http://ollama:11434/services/ollama"
