from __future__ import annotations

import json
import os
import stat
import sys
import textwrap

import httpx
import pytest
from other_ollama import OtherOllama

import ollama_nb
from ollama_nb.connection import places, searching, starting
from ollama_nb.connection.current import current
from ollama_nb.errors import NoServer, ServerRefused

NOBODY = "http://127.0.0.1:9"  # the discard port: nothing answers there


def searched(environ, runtime):
    """Search, and close what was found."""
    found = searching.search(environ, runtime)
    found.close()
    return found


@pytest.fixture
def no_usual_port(monkeypatch):
    """Keep an Ollama that may run on this machine out of the search."""
    monkeypatch.setattr(places, "DEFAULT_PORT", 9)


@pytest.fixture
def secret():
    server = OtherOllama(token="s3cret", prefix="/base/ollama")
    yield server
    server.stop()


def test_an_address_given_to_connect_is_used(other):
    found = ollama_nb.connect(other.url)

    assert (found.url, found.version, found.headers) == (other.url, "0.0-other", {})
    assert current() is found


def test_the_token_travels_as_a_bearer(secret):
    found = ollama_nb.connect(secret.url, token="s3cret")

    assert found.headers == {"Authorization": "Bearer s3cret"}
    assert found.client.list().models[0].model is None
    assert ollama_nb.generate("one two") == "one two "


def test_a_jupyter_server_s_address_is_enough(secret):
    base = secret.url.removesuffix("/ollama")

    assert ollama_nb.connect(f"{base}/lab?token=s3cret").url == secret.url


def test_a_wrong_token_is_said(secret):
    with pytest.raises(NoServer, match="refuses the token"):
        ollama_nb.connect(secret.url, token="wrong")


def test_an_address_where_nobody_answers_is_said():
    with pytest.raises(NoServer, match=r"127.0.0.1:9: .*refused"):
        ollama_nb.connect(NOBODY)


def test_the_search_keeps_its_order(monkeypatch, other, secret, tmp_path, no_usual_port):
    monkeypatch.setenv("JUPYTER_OLLAMA_URL", secret.url)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "s3cret")
    monkeypatch.setenv("OLLAMA_HOST", other.url)
    assert searched(os.environ, tmp_path).url == secret.url

    monkeypatch.delenv("JUPYTER_OLLAMA_URL")
    assert searched(os.environ, tmp_path).url == other.url


def test_a_place_that_does_not_answer_is_passed_over(other, tmp_path, no_usual_port):
    environ = {"JUPYTER_OLLAMA_URL": NOBODY, "OLLAMA_HOST": other.url}

    found = searched(environ, tmp_path)

    assert (found.url, found.how) == (other.url, "the variable OLLAMA_HOST")


def test_another_jupyter_server_of_the_user_is_found(secret, tmp_path, no_usual_port):
    facts = {"url": secret.url.removesuffix("ollama"), "token": "s3cret"}
    (tmp_path / "jpserver-99999999.json").write_text(json.dumps(facts))

    assert searched({}, tmp_path).how == "another Jupyter server of yours"


def test_proxies_are_ignored_on_this_machine(other, monkeypatch):
    monkeypatch.setenv("http_proxy", NOBODY)
    monkeypatch.setenv("HTTP_PROXY", NOBODY)

    assert ollama_nb.connect(other.url).client.list().models


def test_something_else_than_ollama_is_passed_over(tmp_path, no_usual_port, other):
    other.prefix = "/elsewhere"

    with pytest.raises(NoServer, match="no Ollama API there"):
        ollama_nb.connect(other.url)


def test_a_server_named_by_a_person_is_not_replaced_by_a_new_one(tmp_path, no_usual_port):
    with pytest.raises(NoServer) as caught:
        searching.search({"OLLAMA_HOST": NOBODY}, tmp_path)

    sentence = str(caught.value)
    assert "OLLAMA_HOST: http://127.0.0.1:9:" in sentence
    assert "not done, because OLLAMA_HOST names a server" in sentence
    assert len(caught.value.reasons) == 6


def test_a_stale_address_that_jupyter_set_does_not_keep_a_server_from_being_started(
    tmp_path, no_usual_port, monkeypatch
):
    from ollama_nb.connection import starting

    def refused(*_):
        raise starting.CouldNotStart("it was tried")

    monkeypatch.setattr(starting, "start", refused)
    stale = {"JUPYTER_OLLAMA_URL": NOBODY, "OLLAMA_HOST": NOBODY, "JUPYTER_OLLAMA_TOKEN": "s"}

    with pytest.raises(NoServer, match="it was tried"):
        searching.search({**stale, "OLLAMA_NB_SET_HOST": "1"}, tmp_path)
    with pytest.raises(NoServer, match="not done, because OLLAMA_HOST"):
        searching.search(stale, tmp_path)


def test_a_server_that_moved_is_found_again_by_the_next_call(monkeypatch):
    first = OtherOllama()
    monkeypatch.setenv("OLLAMA_HOST", first.url)
    ollama_nb.generate("one")
    current().close()  # as after a pause: no open connection is left
    first.stop()
    second = OtherOllama()
    monkeypatch.setenv("OLLAMA_HOST", second.url)

    assert ollama_nb.generate("two", model="other") == "two "
    current().close()
    assert len(ollama_nb.embed(["three"])) == 1
    second.stop()


def test_a_refusal_in_a_call_says_what_to_do(connected):
    connected.token = "changed meanwhile"

    with pytest.raises(ServerRefused, match="connect"):
        ollama_nb.generate("one", model="other")


def test_the_default_model_prefers_a_loaded_one_then_the_newest(connected, monkeypatch):
    connected.models = ["newest:latest", "loaded:latest"]
    connected.loaded = ["loaded:latest"]
    assert ollama_nb.generate("x").model == "loaded:latest"

    connected.loaded = []
    assert ollama_nb.generate("x").model == "newest:latest"


def test_no_default_is_a_model_that_may_not_be_used_now_unless_there_is_no_other(connected):
    connected.models = ["newest:latest", "loaded:latest", "open:latest"]
    connected.loaded, connected.closed = ["loaded:latest"], ["newest:latest", "loaded:latest"]
    assert ollama_nb.generate("x").model == "open:latest"

    connected.closed.append("open:latest")
    assert ollama_nb.generate("x").model == "loaded:latest"


def test_no_default_is_an_embedding_model_or_one_that_was_deleted(connected):
    connected.models = ["vectors:latest", "words:latest"]
    connected.capabilities = {"vectors:latest": ["embedding"], "words:latest": ["completion"]}
    connected.loaded = ["gone:latest", "vectors:latest"]

    assert ollama_nb.generate("x").model == "words:latest"
    ollama_nb.chat("x")
    assert connected.requests[-1]["model"] == "words:latest"


def test_embed_prefers_an_embedding_model_and_says_once_which_it_took(connected, capsys):
    connected.models = ["words:latest", "embeds-well:latest"]
    connected.capabilities = {"words:latest": ["completion"], "embeds-well:latest": ["embedding"]}
    connected.loaded = ["words:latest"]

    assert ollama_nb.embed("x").attrs["model"] == "embeds-well:latest"
    assert capsys.readouterr().err == "embed() uses embeds-well:latest; model= takes another.\n"
    ollama_nb.embed("x")
    ollama_nb.embed("x", model="words:latest")
    assert capsys.readouterr().err == ""
    connected.models = ["words:latest"]
    assert ollama_nb.embed("x").attrs["model"] == "words:latest"


def test_stop_means_what_is_loaded_whatever_it_can(connected):
    connected.models = ["words:latest", "vectors:latest"]
    connected.capabilities = {"vectors:latest": ["embedding"], "words:latest": ["completion"]}
    connected.loaded = ["vectors:latest"]

    assert ollama_nb.managing.catalogue.stop() == "vectors:latest"


def test_the_default_model_can_be_set(connected, monkeypatch):
    connected.models = ["one", "two", "three"]
    monkeypatch.setenv("OLLAMA_NB_MODEL", "two")
    assert ollama_nb.generate("x").model == "two"

    ollama_nb.settings.model = "three"
    assert ollama_nb.generate("x").model == "three"
    assert ollama_nb.generate("x", model="one").model == "one"


def test_without_any_model_the_bundled_one_is_meant(connected):
    connected.models = ["demo"]
    connected.models.clear()

    with pytest.raises(ollama_nb.OllamaNbError, match=r"no model 'demo'. It has no model yet"):
        ollama_nb.generate("x")


# Starting a server: a program of ours in place of the server, with the same command line.

SMALL_SERVER = textwrap.dedent(
    """
    import json, os, pathlib, sys
    sys.path.insert(0, {here!r})
    from other_ollama import OtherOllama
    server = OtherOllama(token=os.environ["OLLAMA_NB_TOKEN"])
    file = pathlib.Path(sys.argv[sys.argv.index("--runtime-file") + 1])
    facts = {{"url": server.url, "token": server.token, "pid": os.getpid(), "version": "0"}}
    with open(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600), "w") as out:
        out.write(json.dumps(facts))
    import threading; threading.Event().wait(30)
    """
)


@pytest.fixture
def startable(tmp_path, monkeypatch, no_usual_port):
    """Put a small server where `python -m ollama_nb_server` finds it; end what was started."""
    import pathlib

    module = tmp_path / "site" / "ollama_nb_server"
    module.mkdir(parents=True)
    here = str(pathlib.Path(__file__).parent)
    (module / "__init__.py").touch()
    (module / "__main__.py").write_text(SMALL_SERVER.format(here=here))
    monkeypatch.setenv("PYTHONPATH", str(module.parent))
    yield module
    for child in starting._children:
        child.kill()
        child.wait()
    starting._children.clear()


def test_a_server_is_started_when_none_is_found(startable, tmp_path):
    runtime = tmp_path / "runtime"

    assert ollama_nb.generate("one two") == "one two "

    assert current().how == "started for this user's kernels"
    assert stat.S_IMODE((runtime / places.RUNTIME_FILE).stat().st_mode) == 0o600
    assert starting._children[0].args[1:3] == ["-m", "ollama_nb_server"]
    token = json.loads((runtime / places.RUNTIME_FILE).read_text())["token"]
    assert token not in " ".join(starting._children[0].args)


def test_many_kernels_start_one_server(startable, tmp_path):
    import subprocess

    code = "import ollama_nb.connection.current as c; print(c.current().url)"
    kernels = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    urls = {kernel.communicate(timeout=60)[0].strip() for kernel in kernels}

    facts = json.loads((tmp_path / "runtime" / places.RUNTIME_FILE).read_text())
    os.kill(facts["pid"], 9)
    assert urls == {facts["url"]}


def test_a_started_server_that_was_killed_is_replaced(startable):
    ollama_nb.generate("one")
    current().close()
    starting._children[0].kill()
    starting._children[0].wait()

    assert ollama_nb.generate("two") == "two "
    assert len(starting._children) == 2


def test_a_server_that_does_not_come_up_gives_its_last_words(startable):
    (startable / "__main__.py").write_text("raise SystemExit('install ollama-nb[server]')")

    with pytest.raises(NoServer, match=r"starting one: install ollama-nb\[server\]"):
        ollama_nb.generate("one")


def test_the_client_is_an_ordinary_ollama_client(other):
    import ollama

    client = ollama_nb.connect(other.url).client

    assert isinstance(client, ollama.Client)
    assert [part.response for part in client.generate("other", "a b", stream=True)][:2] == [
        "a ",
        "b ",
    ]


@pytest.mark.parametrize("name", ["http", "client"])
def test_a_client_is_closed_with_a_connection_that_nobody_holds(other, name):
    """As where a thread asks once more after the connection has been replaced by another one."""
    first = ollama_nb.connect(other.url)
    ollama_nb.connect(other.url)
    client = getattr(first, name)
    http = client if name == "http" else client._client
    http.get(f"{other.url}/api/version")

    assert not http.is_closed
    del first
    assert http.is_closed


def test_a_connection_says_where_it_leads(other):
    assert other.url in repr(ollama_nb.connect(other.url))


def test_the_plain_client_reaches_the_server_below_a_prefix(secret):
    found = ollama_nb.connect(secret.url, token="s3cret")

    assert isinstance(found.http, httpx.Client)
    assert found.http.get("/api/version").json() == {"version": "0.0-other"}


def test_where_a_hub_has_named_a_server_no_other_is_meant(other, tmp_path, monkeypatch):
    monkeypatch.setattr("ollama_nb.connection.patience.TOTAL_S", 1.0)
    environ = {
        "JUPYTER_OLLAMA_URL": NOBODY,
        "JUPYTER_OLLAMA_TOKEN": "own",
        "OLLAMA_NB_SET_HOST": "hub",
        "OLLAMA_HOST": other.url,
    }

    with pytest.raises(NoServer) as failure:
        searching.search(environ, tmp_path)

    assert len(failure.value.reasons) == 1
    assert "your Hub has set" in str(failure.value)
    assert "\n" not in str(failure.value)
