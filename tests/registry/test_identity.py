"""The key: Ollama's file, made once, whoever comes first."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_public_key,
)
from ollama_nb_server.registry.errors import UnusableKey
from ollama_nb_server.registry.identity import Identity

SIGN = """
import sys
from pathlib import Path
from ollama_nb_server.registry.identity import Identity
sys.stdin.readline()
sys.stdout.write(Identity(Path(sys.argv[1])).sign("text"))
"""


def openssh(key: Ed25519PrivateKey | EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def test_a_missing_key_is_made_as_ollama_makes_it(tmp_path: Path) -> None:
    folder = tmp_path / ".ollama"

    Identity(folder).sign("text")

    private, public = folder / "id_ed25519", folder / "id_ed25519.pub"
    assert sorted(folder.iterdir()) == [private, public]
    assert private.stat().st_mode & 0o777 == 0o600
    assert public.stat().st_mode & 0o777 == 0o644
    assert private.read_text().startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert public.read_text().startswith("ssh-ed25519 AAAA")
    assert public.read_text().endswith("\n")


def test_a_signature_holds_against_the_public_key_that_comes_with_it(tmp_path: Path) -> None:
    public, _, signature = Identity(tmp_path).sign("GET,url,hash").partition(":")

    key = load_ssh_public_key(f"ssh-ed25519 {public}".encode())
    key.verify(base64.b64decode(signature), b"GET,url,hash")
    assert (tmp_path / "id_ed25519.pub").read_text().split()[1] == public


def test_the_key_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    theirs = openssh(Ed25519PrivateKey.generate())
    (tmp_path / "id_ed25519").write_bytes(theirs)

    first, second = Identity(tmp_path).sign("a"), Identity(tmp_path).sign("a")

    assert first == second
    assert (tmp_path / "id_ed25519").read_bytes() == theirs
    assert [path.name for path in tmp_path.iterdir()] == ["id_ed25519"]


def test_processes_that_need_a_key_at_once_have_the_same_one(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SIGN, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]

    for process in processes:  # all are waiting for this line
        process.stdin.write(b"\n")
        process.stdin.flush()
    said = {process.communicate(timeout=30)[0] for process in processes}

    assert len(said) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["id_ed25519", "id_ed25519.pub"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no key", "cannot be used"),
        (openssh(generate_private_key(SECP256R1())), "its kind is not ed25519"),
    ],
    ids=["text", "another kind"],
)
def test_a_key_that_cannot_be_used_says_why_and_stays(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "id_ed25519"
    path.write_bytes(content)

    with pytest.raises(UnusableKey, match=reason) as caught:
        Identity(tmp_path).sign("text")

    assert str(path) in str(caught.value)
    assert path.read_bytes() == content
