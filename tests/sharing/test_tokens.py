"""Names and tokens in a file: made, found, revoked, and who may read it."""

from __future__ import annotations

import json
import stat

import pytest
from ollama_nb_server.environment import Settings
from ollama_nb_server.handlers.access import Policy
from ollama_nb_server.handlers.hub_access import HubPlace
from ollama_nb_server.sharing.tokens import RECHECK_S, BadTokens, TokenFile
from ollama_nb_server.token_command import token

from ollama_nb.connection.places import Candidate


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def file(tmp_path, clock):
    return TokenFile(tmp_path / "deep" / "tokens.json", clock)


def test_a_token_finds_its_name(file):
    token = file.add("ana", is_admin=False, groups=frozenset({"class"}))

    found = file.find(token)

    assert (found.name, found.is_admin, found.groups) == ("ana", False, {"class"})
    assert file.find(token[:-1]) is None
    assert file.find("") is None


def test_the_file_holds_no_token_and_is_its_owners(file):
    token = file.add("ana", is_admin=True)

    assert token not in file.path.read_text()
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.path.parent.iterdir() if path.suffix == ".json"] == [
        "tokens.json"
    ]


SECRET = "a-secret"


@pytest.mark.parametrize(
    "holder",
    [
        Settings(token=SECRET),
        Policy(token=SECRET),
        HubPlace("ollama", "/services/ollama", "http://hub", SECRET),
        Candidate("http://there", SECRET),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_what_is_shown_of_its_holder_is_no_token(holder):
    assert SECRET not in f"{holder!r}{holder}"


def test_a_file_that_others_may_read_by_now_knows_nobody(file, clock):
    token = file.add("ana", is_admin=False)
    assert file.find(token)

    file.path.chmod(0o640)
    clock.now_s = RECHECK_S

    with pytest.raises(BadTokens, match="chmod 600"):
        file.find(token)
    assert file.find(token) is None


def test_a_change_by_another_process_is_seen_within_a_second(file, clock):
    ana = file.add("ana", is_admin=False)
    assert file.find(ana)
    other = TokenFile(file.path)
    other.remove("ana")
    ben = other.add("ben", is_admin=False)

    clock.now_s = RECHECK_S

    assert file.find(ana) is None
    assert file.find(ben).name == "ben"


def test_a_file_that_is_gone_lets_nobody_in(file, clock):
    ana = file.add("ana", is_admin=False)
    assert file.find(ana)
    file.path.unlink()
    clock.now_s = RECHECK_S

    assert file.find(ana) is None


def test_a_file_that_is_broken_lets_nobody_in_until_it_is_mended(file, clock):
    ana = file.add("ana", is_admin=False)
    whole = file.path.read_text()
    assert file.find(ana)
    file.path.write_text(whole[:-9])
    clock.now_s = RECHECK_S

    with pytest.raises(BadTokens):
        file.find(ana)
    clock.now_s = 1.5 * RECHECK_S
    assert file.find(ana) is None
    file.path.write_text(whole)
    clock.now_s = 3 * RECHECK_S
    assert file.find(ana)


def test_a_file_that_others_can_read_is_refused(file):
    file.add("ana", is_admin=False)
    file.path.chmod(0o640)

    with pytest.raises(BadTokens, match="chmod 600"):
        file.all()


@pytest.mark.parametrize("name", ["", "a b", "a/b", "-a", "x" * 65, "ä", "a\n"])
def test_what_is_no_name_gets_none(file, name):
    with pytest.raises(BadTokens, match="no name"):
        file.add(name, is_admin=False)


def test_a_name_has_one_token(file):
    file.add("ana", is_admin=False)

    with pytest.raises(BadTokens, match="token remove ana"):
        file.add("ana", is_admin=True)
    with pytest.raises(BadTokens, match="no token"):
        file.remove("ben")


@pytest.mark.parametrize(
    "text", ["", "[]", '{"tokens": 1}', '{"tokens": [{"name": "a"}]}', '{"token": []}']
)
def test_what_is_no_such_file_is_named(file, text):
    file.path.parent.mkdir()
    file.path.touch(0o600)
    file.path.write_text(text)

    with pytest.raises(BadTokens, match=str(file.path)):
        file.all()


def test_the_command(tmp_path, capsys):
    path = str(tmp_path / "tokens.json")
    environ = {"OLLAMA_NB_TOKENS": path}

    assert token(["add", "ana", "--group", "class"], environ) == 0
    made = capsys.readouterr().out.strip()
    assert token(["--file", path, "add", "eve", "--admin"], {}) == 0
    capsys.readouterr()
    assert token(["list"], environ) == 0
    assert [line.split("\t")[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["ana", "user"],
        ["eve", "admin"],
    ]
    assert TokenFile(tmp_path / "tokens.json").find(made).name == "ana"
    assert token(["remove", "ana"], environ) == 0
    assert token(["remove", "ana"], environ) == 1
    assert "ana has no token" in capsys.readouterr().err
    assert len(json.loads((tmp_path / "tokens.json").read_text())["tokens"]) == 1
