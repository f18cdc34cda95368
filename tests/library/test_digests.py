from __future__ import annotations

from pathlib import Path

import pytest
from ollama_nb_server.library import gojson
from ollama_nb_server.library.blobs import Blobs
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.errors import DigestMismatch, InvalidDigest
from ollama_nb_server.library.gosyntax import go_syntax
from ollama_nb_server.library.manifest import Config

HEX = "b507b9c2f6ca642bffcd06665ea7c91f235fd32daeefdf875a0f938db05fb315"

# What Ollama itself makes of the same contents (reference/ollama-models.md 14).
GOLDEN = {
    b"{{ .Prompt }}": HEX,
    b"Say hi!": "f29e82a8284dbdf5910b1555580ff60b04238b8da9d5e51159ada67a4d0d5851",
    gojson.encode(
        {"temperature": 1.0, "top_k": 10, "stop": ["USER:", "ASSISTANT:"]}, sort_keys=True
    ): "1d0ad71299d48c2fb7ae2b98e683643e771f8a5b72be34942af90d97a91c1e37",
    gojson.encode(
        {"stop": ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]}
    ): "0d79f567714c62c048378f2107fb332dabee0135d080c302d884317da9433cc5",
    Config(
        model_format="gguf",
        model_family="test",
        model_families=("test",),
        model_type="0",
        file_type="unknown",
    ).encode(): "99759ad5b91e723db0393d698ffbb448b1b7df5ff6377a108c49254583b1bc8c",
}


@pytest.mark.parametrize("text", [f"sha256:{HEX}", f"sha256-{HEX}", f"sha256:{HEX.upper()}"])
def test_good_digests(text: str) -> None:
    assert Digest.parse(text).hex.lower() == HEX


@pytest.mark.parametrize(
    "text",
    ["", HEX, "sha256:", f"sha256:{HEX[:-1]}", f"sha256:{HEX}0", f"SHA256:{HEX}", f"sha256:{'g' * 64}", "sha256:../x"],
)  # fmt: skip
def test_bad_digests_are_refused(text: str) -> None:
    with pytest.raises(InvalidDigest):
        Digest.parse(text)


@pytest.mark.parametrize(("data", "digest"), GOLDEN.items())
def test_blobs_have_ollamas_digests(data: bytes, digest: str, tmp_path) -> None:
    assert Blobs(tmp_path).add(data)[0].hex == digest


def test_a_blob_is_invisible_before_it_is_whole(tmp_path) -> None:
    blobs = Blobs(tmp_path)
    with blobs.writer() as writer:
        writer.write(b"{{ .Prompt }}")
        assert not blobs.has(Digest(HEX))
        writer.commit()

    assert blobs.has(Digest(HEX))


def test_a_blob_that_is_not_committed_leaves_nothing(tmp_path) -> None:
    with Blobs(tmp_path).writer() as writer:
        writer.write(b"half")

    assert list(tmp_path.iterdir()) == []


def test_other_bytes_than_announced_leave_nothing(tmp_path) -> None:
    blobs = Blobs(tmp_path)
    with blobs.writer() as writer:
        writer.write(b"{{ .Prompt }}")
        with pytest.raises(DigestMismatch):
            writer.commit(f"sha256:{'0' * 64}")

    assert list(tmp_path.iterdir()) == []


def test_a_blob_that_cannot_be_renamed_leaves_no_other_file(tmp_path, monkeypatch) -> None:
    """As on a disk whose permissions change while it is written."""
    monkeypatch.setattr(Path, "chmod", lambda *_: refuse())
    with Blobs(tmp_path).writer() as writer:
        writer.write(b"whole")
        with pytest.raises(PermissionError):
            writer.commit()

    assert list(tmp_path.iterdir()) == []


def refuse() -> None:
    raise PermissionError


@pytest.mark.parametrize(
    ("value", "json", "syntax"),
    [
        (0, "0", "0"),
        (1.0, "1", "1"),
        (-0.25, "-0.25", "-0.25"),
        (4096, "4096", "4096"),
        (1048576, "1048576", "1.048576e+06"),
        (0.0001, "0.0001", "0.0001"),
        (0.00001, "0.00001", "1e-05"),
        (1e-7, "1e-7", "1e-07"),
        (-2.5e-9, "-2.5e-9", "-2.5e-09"),
        (1e20, "100000000000000000000", "1e+20"),
        (1.5e21, "1.5e+21", "1.5e+21"),
        (2**53 + 1, "9007199254740992", "9.007199254740992e+15"),
    ],
)
def test_numbers_are_written_as_go_writes_them(value: float, json: str, syntax: str) -> None:
    assert (gojson.number(value), go_syntax(value)) == (json, syntax)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_has_no_number_for_is_an_error(value: float) -> None:
    with pytest.raises(ValueError, match="has no form in JSON"):
        gojson.encode({"x": value})


def test_half_a_surrogate_pair_becomes_a_replacement() -> None:
    assert gojson.encode(["\ud800x"]) == '["\ufffdx"]\n'.encode()
