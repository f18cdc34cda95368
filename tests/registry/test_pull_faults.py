"""Pulling from registries that fail, lie or attack: clear errors, bounded work, a whole store."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace

import pytest
from far import (
    CONFIG,
    CONFIG_TYPE,
    QUICK,
    TOKEN,
    Far,
    corrupt,
    cut,
    digest_of,
    endless_body,
    endless_head,
    redirect,
    stall,
    status,
)
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.registry.errors import (
    ManifestUnavailable,
    MaxRetriesExceeded,
    RegistryError,
    SizeDiffers,
    StoreFull,
    TooManyRedirects,
    WrongDigest,
)

PART = 64 * 1024


def blob(data: bytes) -> str:
    return f"/blobs/{digest_of(data)}"


def file_of(data: bytes) -> str:
    return f"sha256-{digest_of(data)[7:]}"


# --- what is worth another try --------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, 1000, PART - 1])
async def test_a_connection_cut_at_any_byte_costs_nothing_that_had_come(
    far: Far, here, after: int
) -> None:
    weights = bytes(range(256)) * 256
    name = far.publish(weights)
    far.misbehave("GET", blob(weights), cut(after), times=2)

    news = await here.pulled(name)

    assert news[-1].status == "success"
    starts = [seen.first_byte for seen in far.asked("GET", blob(weights))]
    assert starts == [0, 0, after, min(2 * after, PART - 1)][: len(starts)]


async def test_a_stalled_part_is_asked_for_again_and_does_not_count(far, make_here) -> None:
    here, weights = make_here(limits=replace(QUICK, tries=1)), b"w" * PART
    name = far.publish(weights)
    far.misbehave("GET", blob(weights), stall(100), times=3)

    news = await here.pulled(name)

    assert news[-1].status == "success"


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503])
async def test_what_a_registry_cannot_do_just_now_is_asked_again(far, here, code: int) -> None:
    weights = b"w" * 1000
    name = far.publish(weights)
    far.misbehave("GET", "/manifests/", status(code), times=2)
    far.misbehave("HEAD", blob(weights), status(code), times=2)
    far.misbehave("GET", blob(weights), status(code), times=2)

    news = await here.pulled(name)

    assert news[-1].status == "success"


@pytest.mark.parametrize("code", [400, 403, 405, 451])
async def test_what_a_registry_refuses_is_asked_once(far: Far, here, code: int) -> None:
    name = far.publish(b"w")
    far.misbehave("GET", "/manifests/", status(code), times=9)

    with pytest.raises(ManifestUnavailable, match=f"^pull model manifest: {code}: so it is$"):
        await here.pulled(name)

    assert len(far.asked("GET")) == 1


async def test_after_six_tries_it_gives_up_and_keeps_what_it_has(far, here, weights) -> None:
    name = far.publish(weights)
    far.misbehave("GET", blob(weights), status(500), times=999)

    with pytest.raises(MaxRetriesExceeded, match=r"^max retries exceeded: 500: so it is$"):
        await here.pulled(name)

    assert f"{file_of(weights)}-partial-0" in here.blobs()


async def test_pauses_double_and_are_not_taken_for_what_is_refused(far, make_here) -> None:
    here = make_here(limits=replace(QUICK, first_pause_s=0.02))
    weights = b"w" * 1000
    name = far.publish(weights)
    far.misbehave("GET", blob(weights), status(500), times=999)
    began = time.monotonic()

    with pytest.raises(MaxRetriesExceeded):
        await here.pulled(name)

    assert time.monotonic() - began >= 0.02 * (1 + 2 + 4 + 8 + 16)
    assert len(far.asked("GET", blob(weights))) == 6 + 1


async def test_an_address_that_has_run_out_is_asked_for_again(far: Far, here, weights) -> None:
    far.elsewhere = "localhost"
    name = far.publish(weights)
    far.misbehave("GET", "/direct/", status(403), times=1)

    news = await here.pulled(name)

    assert news[-1].status == "success"


async def test_a_registry_that_comes_back_is_gone_on_with(far: Far, make_here, weights) -> None:
    """A part that nobody answers is tried again, unlike a manifest that nobody answers."""
    here, name = make_here(), far.publish(weights)
    far.misbehave("GET", blob(weights), redirect("http://localhost:1/gone"), 99, locating=True)
    with pytest.raises(MaxRetriesExceeded, match="connection refused"):
        await here.pulled(name)
    far.faults.clear()
    far.misbehave("GET", blob(weights), redirect("http://localhost:1/gone"), 3, locating=True)

    assert (await here.pulled(name))[-1].status == "success"


# --- lies -----------------------------------------------------------------------------------------


async def test_wrong_bytes_are_thrown_away_and_the_rest_is_kept(far: Far, here, weights) -> None:
    name = far.publish(b"good", system=weights)
    far.misbehave("GET", blob(weights), corrupt, times=1)

    with pytest.raises(WrongDigest) as caught:
        await here.pulled(name)

    want = digest_of(weights)
    pattern = (
        f"digest mismatch, file must be downloaded again: want {want}, got sha256:[0-9a-f]{{64}}"
    )
    assert re.fullmatch(pattern, str(caught.value))
    assert here.blobs() == sorted([file_of(b"good"), file_of(CONFIG)])
    assert here.store.names() == []
    assert (await here.pulled(name))[-1].status == "success"


def manifest(**changes: object) -> bytes:
    config = {"mediaType": CONFIG_TYPE, "digest": digest_of(CONFIG), "size": len(CONFIG)}
    return json.dumps({"schemaVersion": 2, "config": config, "layers": [], **changes}).encode()


def layer(digest: str, size: object = 4) -> dict[str, object]:
    kind = "application/vnd.ollama.image.model"
    return {"mediaType": kind, "digest": digest, "size": size}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"manifests":[]}',
        manifest(config=None),
        manifest(layers={"a": 1}),
        manifest(layers=[layer("sha256:../../../../etc/passwd")]),
        manifest(layers=[layer("../../id_ed25519")]),
        manifest(layers=[layer(f"sha512:{64 * 'a'}")]),
        manifest(layers=[layer(f"sha256:{64 * 'a'}/../x")]),
        manifest(layers=[layer(digest_of(b"w"), -1)]),
        manifest(layers=[layer(digest_of(b"w"), "many")]),
        b"[" * 100_000,
    ],
)
async def test_what_is_no_manifest_is_refused_and_writes_nothing(far, here, data: bytes) -> None:
    name = far.publish(b"w")
    far.manifests["u/m:latest"] = data

    with pytest.raises(ManifestUnavailable, match="is not the manifest of a model"):
        await here.pulled(name)

    assert here.blobs() == []
    assert here.store.names() == []


async def test_a_manifest_of_100_mb_is_not_read_to_its_end(far: Far, here) -> None:
    name = far.publish(b"w")
    far.manifests["u/m:latest"] = b" " * 100_000_000

    with pytest.raises(ManifestUnavailable, match="answers with more than 4194304 bytes"):
        await here.pulled(name)


async def test_an_answer_without_end_is_not_read_for_ever(far: Far, here) -> None:
    name = far.publish(b"w")
    far.misbehave("GET", "/manifests/", endless_body)

    with pytest.raises(ManifestUnavailable, match="answers with more than"):
        await here.pulled(name)


@pytest.mark.parametrize("size", [3, 5, 10**18])
async def test_a_layer_that_lies_about_its_size_is_found_out(far, here, size: int) -> None:
    name = far.publish(b"four")
    far.manifests["u/m:latest"] = manifest(layers=[layer(digest_of(b"four"), size)])

    with pytest.raises(SizeDiffers, match=f"has {size} bytes by the manifest, 4 by its host"):
        await here.pulled(name)

    assert here.blobs() == []


async def test_a_blob_for_which_there_is_no_room_is_not_begun(far: Far, here) -> None:
    size = 10**18
    name = far.publish(b"four")
    far.manifests["u/m:latest"] = manifest(layers=[layer(digest_of(b"four"), size)])
    far.misbehave("HEAD", blob(b"four"), lambda handler: no_length(handler))

    with pytest.raises(StoreFull, match="MB more are needed"):
        await here.pulled(name)

    assert here.blobs() == []


def no_length(handler) -> None:
    handler.send_response(200)
    handler.end_headers()


def longer(handler) -> None:
    """More bytes than were asked for."""
    handler.send_response(206)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    handler.wfile.write(b"four" + b"x" * 999_996)


async def test_a_body_longer_than_asked_for_is_cut(far: Far, here) -> None:
    name = far.publish(b"four")
    far.misbehave("GET", blob(b"four"), longer)

    await here.pulled(name)

    assert (here.store.blobs.folder / file_of(b"four")).read_bytes() == b"four"


def other_range(handler) -> None:
    handler.answer(206, b"four", {"Content-Range": "bytes 4-7/8"})


async def test_another_piece_than_was_asked_for_is_refused(far: Far, here) -> None:
    name = far.publish(b"four")
    far.misbehave("GET", blob(b"four"), other_range, times=99)

    with pytest.raises(RegistryError, match="asked for bytes from 0 on, got them from 4 on"):
        await here.pulled(name)


def chunked(handler) -> None:
    """A body without a length."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"2\r\nfo\r\n2\r\nur\r\n0\r\n\r\n")


async def test_a_body_whose_length_is_not_announced_is_read_all_the_same(far, here) -> None:
    name = far.publish(b"four")
    far.misbehave("GET", blob(b"four"), chunked)

    await here.pulled(name)

    assert file_of(b"four") in here.blobs()


@pytest.mark.parametrize("path", ["/manifests/", "/blobs/"])
async def test_a_head_without_end_is_an_error(far: Far, make_here, path: str) -> None:
    here = make_here(limits=replace(QUICK, tries=1, quick_tries=1))
    name = far.publish(b"w")
    far.misbehave("GET", path, endless_head, times=99)

    with pytest.raises(RegistryError):
        await here.pulled(name)


# --- redirects and tokens -------------------------------------------------------------------------


async def test_redirects_within_the_registry_are_followed(far: Far, here) -> None:
    name = far.publish(b"w")
    far.misbehave("GET", blob(b"w"), redirect(f"/v2/u/m{blob(b'w')}"), times=3, locating=True)
    far.misbehave("GET", "/manifests/", redirect("/v2/u/m/manifests/latest"), times=3)

    assert (await here.pulled(name))[-1].status == "success"


async def test_redirects_in_circles_end(far: Far, here) -> None:
    name = far.publish(b"w")
    far.misbehave("GET", "/manifests/", redirect("/v2/u/m/manifests/latest"), times=999)

    with pytest.raises(ManifestUnavailable, match=r"maximum redirects exceeded \(10\)"):
        await here.pulled(name)


async def test_redirects_of_a_blob_in_circles_end(far: Far, here) -> None:
    name = far.publish(b"w")
    far.misbehave("GET", blob(b"w"), redirect(f"/v2/u/m{blob(b'w')}"), 999, locating=True)

    with pytest.raises(TooManyRedirects):
        await here.pulled(name)


@pytest.mark.parametrize("location", ["ftp://h/x", "http://[::1", "file:///etc/passwd", "http:///"])
async def test_redirects_to_nowhere_are_errors(far: Far, here, location: str) -> None:
    name = far.publish(b"w")
    far.misbehave("GET", "/manifests/", redirect(location), times=9)

    with pytest.raises(ManifestUnavailable):
        await here.pulled(name)


async def test_a_token_is_not_shown_to_the_host_of_a_redirect(far: Far, here) -> None:
    far.demands_token = True
    name = far.publish(b"w")
    place = f"http://localhost:{far.port}/stolen"
    far.misbehave("HEAD", blob(b"w"), status(401), times=0)
    await here.pulled(name)
    far.publish(b"another")
    far.misbehave("HEAD", blob(b"another"), redirect(place), times=1)

    with pytest.raises(RegistryError):
        await here.pulled(name)

    (stolen,) = far.asked("HEAD", "/stolen")
    assert "authorization" not in stolen.headers


async def test_a_realm_on_another_host_gets_nothing(far: Far, here) -> None:
    far.demands_token, far.realm = True, f"http://localhost:{far.port}/token"
    name = far.publish(b"w")

    with pytest.raises(ManifestUnavailable) as caught:
        await here.pulled(name)

    assert str(caught.value) == (
        f'pull model manifest: realm host "localhost:{far.port}" does not match original host '
        f'"{far.host}"'
    )
    assert not far.asked("GET", "/token")


@pytest.mark.parametrize(
    "lines", [["bearer  {}"], ["Basic realm=x", "Bearer {}"], ["Basic, bearer {}"]]
)
async def test_a_demand_may_be_spelled_otherwise_and_among_others(far, here, lines) -> None:
    far.demands_token = True
    far.challenge = [
        line.format(
            f'realm = "http://{far.host}/token" , service=here, scope="repository:u/m:pull"'
        )
        for line in lines
    ]

    assert (await here.pulled(far.publish(b"w")))[-1].status == "success"


async def test_a_registry_that_wants_no_token_but_a_password_lets_nobody_in(far, here) -> None:
    far.demands_token, far.challenge = True, ['Basic realm="x"']

    with pytest.raises(ManifestUnavailable, match="unauthorized: access denied"):
        await here.pulled(far.publish(b"w"))


async def test_a_registry_that_takes_no_token_is_asked_twice(far: Far, here) -> None:
    far.demands_token = True
    name = far.publish(b"w")
    far.misbehave("GET", "/token", lambda handler: handler.answer(200, b'{"token":"no"}'), times=99)

    with pytest.raises(ManifestUnavailable, match="unauthorized: access denied"):
        await here.pulled(name)

    assert len(far.asked("GET", "/manifests/")) == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "without a token"),
        (b"[]", "without a token"),
        (b'{"token":5}', "without a token"),
        (b'{"token":"a\\r\\nX-Evil: 1"}', "without a token"),
        (b" " * 100_000, "answers with more than 65536 bytes"),
    ],
)
async def test_an_answer_without_a_token_is_an_error(far, here, answer: bytes, reason: str) -> None:
    far.demands_token = True
    name = far.publish(b"w")
    far.misbehave("GET", "/token", lambda handler: handler.answer(200, answer))

    with pytest.raises(ManifestUnavailable, match=reason):
        await here.pulled(name)


async def test_a_refused_token_is_said_as_the_registry_says_it(far: Far, here) -> None:
    far.demands_token = True
    name = far.publish(b"w")
    far.misbehave("GET", "/token", status(403))

    with pytest.raises(ManifestUnavailable, match=r"^pull model manifest: 403: so it is$"):
        await here.pulled(name)


async def test_secrets_and_queries_are_in_no_log(far: Far, here, weights, caplog) -> None:
    far.demands_token, far.elsewhere = True, "localhost"
    caplog.set_level("DEBUG")

    await here.pulled(far.publish(weights))

    assert "/token" in caplog.text
    assert TOKEN not in caplog.text
    assert "signed=" not in caplog.text
    assert "nonce=" not in caplog.text


async def test_a_host_that_is_not_there_is_named_with_its_reason(here) -> None:
    with pytest.raises(ManifestUnavailable) as caught:
        await here.pulled("127.0.0.1:1/u/m")

    assert str(caught.value) == (
        'pull model manifest: Get "http://127.0.0.1:1/v2/u/m/manifests/latest": connection refused'
    )


async def test_proxies_of_the_environment_do_not_stand_before_this_machine(
    far: Far, here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    assert (await here.pulled(far.publish(b"w")))[-1].status == "success"


async def test_other_hosts_are_asked_through_the_proxy(far: Far, here, monkeypatch) -> None:
    """The far registry plays the proxy too."""
    monkeypatch.setenv("HTTP_PROXY", f"http://{far.host}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    far.publish(b"w")

    news = await here.pulled("registry.example/u/m")

    assert news[-1].status == "success"
    assert {seen.headers["host"] for seen in far.seen} == {"registry.example"}


async def test_a_failed_pull_leaves_the_old_version_whole(far: Far, here, weights) -> None:
    name = far.publish(b"old")
    await here.pulled(name)
    before = here.store.manifests.read(ModelName.parse(name))[0]
    far.publish(weights)
    far.misbehave("GET", blob(weights), status(500), times=999)

    with pytest.raises(MaxRetriesExceeded):
        await here.pulled(name)

    assert here.store.manifests.read(ModelName.parse(name))[0] == before
    assert file_of(b"old") in here.blobs()
