"""What an administrator says of a shared server: read from a file or a variable, or refused."""

from __future__ import annotations

import pytest
from ollama_nb_server.sharing import BadSharing, Sharing


def test_the_table_of_a_file_is_read(tmp_path):
    path = tmp_path / "hub.toml"
    path.write_text('[hub]\nmanagers = ["teachers"]\ncontact = "Ms Ada"\n')

    sharing = Sharing.from_file(path)

    assert sharing.contact == "Ms Ada"
    assert sharing.may_manage(frozenset({"teachers"}), is_admin=False)
    assert sharing.may_manage(frozenset(), is_admin=True)
    assert not sharing.may_manage(frozenset({"students"}), is_admin=False)


def test_the_variable_is_read():
    assert Sharing.from_environ({"OLLAMA_NB_SHARING": '{"contact": "Ms Ada"}'}).contact == "Ms Ada"
    assert Sharing.from_environ({}) == Sharing.from_environ({"OLLAMA_NB_SHARING": ""}) == Sharing()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[hub]\nmanager = []", "manager: Extra inputs"),
        ('[hub]\nmanagers = "teachers"', "managers: Input should be"),
        ("[server]\n", "has no table"),
        ("hub = 1", "has no table"),
        ("[hub", "hub.toml"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, text, said):
    path = tmp_path / "hub.toml"
    path.write_text(text)

    with pytest.raises(BadSharing, match=r"hub\.toml") as failure:
        Sharing.from_file(path)

    assert said in str(failure.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadSharing, match=r"nowhere\.toml"):
        Sharing.from_file(tmp_path / "nowhere.toml")


def test_a_variable_that_is_no_json_is_named():
    with pytest.raises(BadSharing, match="OLLAMA_NB_SHARING"):
        Sharing.from_environ({"OLLAMA_NB_SHARING": "{"})


def test_public_models_are_patterns_of_names(tmp_path):
    sharing = Sharing.of({"public": ["llama3.2*", "Brief"]}, "here")

    names = ("llama3.2:1b", "brief:latest", "brief:v2", "ana/brief:latest")
    assert [sharing.is_public(name) for name in names] == [True, True, True, False]
    with pytest.raises(BadSharing, match=r"public_documents.0: Path does not point to a file"):
        Sharing.of({"public_documents": [str(tmp_path / "gone.md")]}, "here")
