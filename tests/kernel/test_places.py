from __future__ import annotations

import json
import os

import pytest

from ollama_nb.connection import places
from ollama_nb.connection.places import Candidate, normal_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("gpu-box", "http://gpu-box:11434"),
        ("gpu-box:8080", "http://gpu-box:8080"),
        ("http://gpu-box", "http://gpu-box"),
        ("https://hub.example/user/ann/ollama/", "https://hub.example/user/ann/ollama"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("http://0.0.0.0:9", "http://127.0.0.1:9"),
        ("localhost:1/base/ollama", "http://localhost:1/base/ollama"),
        ("[::1]:11434", "http://[::1]:11434"),
        ("gpu-box:", "http://gpu-box:11434"),
    ],
)
def test_addresses_are_completed_as_ollama_does(text, url):
    assert normal_url(text) == url


def test_the_extension_s_secret_goes_before_the_hub_s(tmp_path):
    environ = {
        "JUPYTER_OLLAMA_URL": "http://h:1/ollama",
        "JUPYTER_OLLAMA_TOKEN": "ours",
        "JUPYTERHUB_API_TOKEN": "hub",
    }

    with_both = list(places.named_by_jupyter(environ, tmp_path))
    del environ["JUPYTER_OLLAMA_TOKEN"]
    with_the_hub_s = list(places.named_by_jupyter(environ, tmp_path))

    assert [one.token for one in (*with_both, *with_the_hub_s)] == ["ours", "hub"]


def test_ollama_host_comes_with_its_key(tmp_path):
    environ = {"OLLAMA_HOST": "gpu-box", "OLLAMA_API_KEY": "k"}

    found = list(places.named_by_ollama_host(environ, tmp_path))

    assert found == [Candidate("http://gpu-box:11434", "k")]


def test_an_address_that_jupyter_set_is_not_a_user_s(tmp_path):
    set_by_jupyter = {"JUPYTER_OLLAMA_URL": "http://h:1/ollama", "OLLAMA_HOST": "http://h:1/ollama"}
    set_by_jupyter |= {"OLLAMA_API_KEY": "k", "OLLAMA_NB_SET_HOST": "1"}

    assert list(places.named_by_ollama_host(set_by_jupyter, tmp_path)) == []
    of_a_user = set_by_jupyter | {"OLLAMA_HOST": "http://gpu-box"}
    assert [found.url for found in places.named_by_ollama_host(of_a_user, tmp_path)] == [
        "http://gpu-box"
    ]


@pytest.mark.parametrize("step", [places.named_by_jupyter, places.named_by_ollama_host])
def test_an_empty_environment_names_nothing(step, tmp_path):
    assert list(step({}, tmp_path)) == []


def _jupyter_file(folder, pid, **facts):
    file = folder / f"jpserver-{pid}.json"
    file.write_text(json.dumps({"url": "http://localhost:8888/base/", "token": "t", **facts}))
    return file


def test_the_kernel_s_own_jupyter_server_is_found_by_its_pid(tmp_path):
    _jupyter_file(tmp_path, 4242)

    found = list(places.of_this_jupyter({"JPY_PARENT_PID": "4242"}, tmp_path))

    assert found == [Candidate("http://localhost:8888/base/ollama", "t")]


def test_a_jupyter_server_above_this_process_is_found(tmp_path):
    _jupyter_file(tmp_path, os.getppid())

    assert [found.token for found in places.of_this_jupyter({}, tmp_path)] == ["t"]


def test_a_jupyter_server_on_a_unix_socket(tmp_path):
    _jupyter_file(tmp_path, 4242, url="http+unix://%2Ftmp%2Fj.sock/base/")

    (found,) = places.of_this_jupyter({"JPY_PARENT_PID": "4242"}, tmp_path)

    assert (found.url, found.socket) == ("http://localhost/base/ollama", "/tmp/j.sock")
    assert found.is_local


def test_a_self_signed_certificate_is_accepted_on_this_machine_only(tmp_path):
    _jupyter_file(tmp_path, 1001, url="https://localhost:8888/")
    _jupyter_file(tmp_path, 1002, url="https://far.example:8888/")

    found = {one.url: one.self_signed for one in places.of_other_jupyters({}, tmp_path)}

    assert found == {
        "https://localhost:8888/ollama": True,
        "https://far.example:8888/ollama": False,
    }


def test_the_youngest_jupyter_server_comes_first(tmp_path):
    old = _jupyter_file(tmp_path, 1, token="old")
    _jupyter_file(tmp_path, 2, token="young")
    os.utime(old, (1, 1))

    assert [one.token for one in places.of_other_jupyters({}, tmp_path)] == ["young", "old"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": 3}'])
def test_a_half_written_file_names_nothing(tmp_path, content):
    (tmp_path / "jpserver-7.json").write_text(content)
    (tmp_path / places.RUNTIME_FILE).write_text(content)

    assert list(places.of_other_jupyters({}, tmp_path)) == []
    assert [one.url for one in places.on_this_machine({}, tmp_path)] == ["http://127.0.0.1:11434"]


def test_our_own_server_goes_before_ollama_s_usual_port(tmp_path):
    facts = {"url": "http://127.0.0.1:5/", "token": "s", "pid": 1, "version": "0"}
    (tmp_path / places.RUNTIME_FILE).write_text(json.dumps(facts))

    assert list(places.on_this_machine({}, tmp_path)) == [
        Candidate("http://127.0.0.1:5", "s"),
        Candidate("http://127.0.0.1:11434"),
    ]


def test_a_jupyter_address_pasted_from_the_browser_is_understood():
    found = list(places.explicit("http://127.0.0.1:8888/lab?token=abc", None))

    assert Candidate("http://127.0.0.1:8888/ollama", "abc") in found
