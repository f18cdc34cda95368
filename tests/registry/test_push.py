"""push: what a registry lacks goes there, in Ollama's steps, whatever goes wrong on the way."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from dataclasses import replace

import pytest
from far import (
    CONFIG,
    QUICK,
    Far,
    commit_in_silence,
    digest_of,
    hang_up,
    late,
    status,
    wait_for,
)
from ollama_nb_server.library.manifest import MANIFEST_TYPE
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.registry.errors import MaxRetriesExceeded, NoManifest, Refused

PART = 64 * 1024


@pytest.fixture
async def name(far: Far, here, weights: bytes) -> str:
    """A model of this store whose registry has nothing of it; what it was asked is forgotten."""
    name = far.publish(weights, system=b"Be kind.")
    await here.pulled(name)
    far.blobs.clear()
    far.manifests.clear()
    far.seen.clear()
    return name


async def test_a_push_tells_its_steps_and_sends_all(far: Far, here, name: str, weights) -> None:
    news = await here.pushed(name)

    told = list(dict.fromkeys(progress.status for progress in news))
    shorts = [f"pushing {digest_of(data)[7:19]}" for data in (weights, b"Be kind.", CONFIG)]
    assert told == ["retrieving manifest", *shorts, "pushing manifest", "success"]
    assert set(far.blobs.values()) == {weights, b"Be kind.", CONFIG}
    last = [p for p in news if p.digest == digest_of(weights)][-1]
    assert last.completed == last.total == len(weights)


async def test_the_manifest_is_compact_and_of_dockers_type(far: Far, here, name: str) -> None:
    await here.pushed(name)

    (put,) = far.asked("PUT", "/manifests/")
    assert put.headers["content-type"] == MANIFEST_TYPE
    assert not put.body.endswith(b"\n")
    assert b": " not in put.body
    assert [len(layer) for layer in json.loads(put.body)["layers"]] == [3, 3]


async def test_large_blobs_go_in_parts_that_follow_one_another(far, here, name, weights) -> None:
    await here.pushed(name)

    patches = [seen for seen in far.asked("PATCH") if len(seen.body) > 100]
    ranges = [seen.headers["content-range"] for seen in patches]
    assert ranges == [f"{i * PART}-{(i + 1) * PART - 1}" for i in range(4)] + [
        f"{4 * PART}-{len(weights) - 1}"
    ]
    assert {seen.headers["x-redirect-uploads"] for seen in patches} == {"1"}
    assert b"".join(seen.body for seen in patches) == weights


async def test_the_last_request_of_a_blob_has_its_digest_and_its_sums(far, here, name, weights):
    await here.pushed(name)

    put = next(
        s for s in far.asked("PUT", "/uploads/") if s.query["digest"] == [digest_of(weights)]
    )
    parts = [weights[i : i + PART] for i in range(0, len(weights), PART)]
    sums = b"".join(hashlib.md5(part).digest() for part in parts)
    assert put.query["etag"] == [f"{hashlib.md5(sums).hexdigest()}-{len(parts)}"]
    assert put.body == b""


async def test_what_the_registry_has_is_not_sent(far: Far, here, name: str, weights) -> None:
    far.blobs[digest_of(weights)] = weights

    news = await here.pushed(name)

    assert sum(len(seen.body) for seen in far.asked("PATCH")) < len(weights)
    assert len([p for p in news if p.digest == digest_of(weights)]) == 1


async def test_a_layer_of_another_model_is_mounted(far: Far, here, name: str, weights) -> None:
    far.mountable.add(digest_of(weights))
    manifest = here.store.manifests.read(ModelName.parse(name))[0]
    data = json.loads(manifest)
    data["layers"][0]["from"] = f"{far.host}/base/model:latest"
    path = here.store.manifests.path(ModelName.parse(name))
    path.write_text(json.dumps(data))

    await here.pushed(name)

    (asked,) = [s for s in far.asked("POST", "/uploads/") if "mount" in s.query]
    assert asked.query == {"from": ["base/model"], "mount": [digest_of(weights)]}
    assert not [seen for seen in far.asked("PATCH") if len(seen.body) > 100]


async def test_parts_may_be_sent_straight_to_another_host(far: Far, here, name, weights) -> None:
    far.redirects_uploads, far.demands_token = True, True

    await here.pushed(name)

    direct = far.asked("PUT", "/direct/")
    assert sum(len(seen.body) for seen in direct) >= len(weights)
    assert {seen.headers["host"] for seen in direct} == {f"localhost:{far.port}"}
    assert not any("authorization" in seen.headers for seen in direct)


async def test_an_address_without_a_host_is_this_registrys(far: Far, here, name: str) -> None:
    far.relative_uploads = True

    assert (await here.pushed(name))[-1].status == "success"


async def test_a_token_is_signed_for(far: Far, here, name: str) -> None:
    far.demands_token = True

    assert (await here.pushed(name))[-1].status == "success"
    assert all("push" in "".join(s.query["scope"]) or "pull" in "".join(s.query["scope"]) for s in far.asked("GET", "/token"))  # fmt: skip


async def test_what_breaks_for_a_while_is_tried_again(far: Far, here, name: str, weights) -> None:
    far.misbehave("PATCH", "/uploads/", status(503), times=2)
    far.misbehave("PUT", "/uploads/", status(500))
    far.misbehave("PUT", "/manifests/", status(502))

    assert (await here.pushed(name))[-1].status == "success"
    assert far.blobs[digest_of(weights)] == weights


async def test_a_cut_part_is_sent_again_from_its_beginning(far, here, name, weights) -> None:
    far.misbehave("PATCH", "/uploads/", hang_up, times=2)

    assert (await here.pushed(name))[-1].status == "success"
    assert far.blobs[digest_of(weights)] == weights


async def test_after_six_tries_it_gives_up(far: Far, here, name: str) -> None:
    far.misbehave("PATCH", "/uploads/", status(503), times=100)

    with pytest.raises(MaxRetriesExceeded, match="max retries exceeded"):
        await here.pushed(name)
    assert len(far.asked("PATCH")) == 6
    assert far.manifests == {}


async def test_a_registry_may_take_its_time_to_store_what_it_has(far, make_here, name) -> None:
    """It takes the hash of a whole blob before it answers; other silence ends after `stall_s`."""
    here, pause_s = make_here(), 3 * QUICK.stall_s
    far.misbehave("PUT", "/uploads/", late(pause_s + QUICK.head_s))
    far.misbehave("PUT", "/manifests/", late(pause_s))

    assert (await here.pushed(name))[-1].status == "success"
    assert len(far.asked("PUT", "/uploads/")) == 3
    assert len(far.asked("PUT", "/manifests/")) == 1


async def test_the_larger_a_part_the_longer_it_may_take(far: Far, make_here, name: str) -> None:
    here = make_here(limits=replace(QUICK, stored_bytes_per_s=PART // 60))
    far.misbehave("PATCH", "/uploads/", late(3 * QUICK.stall_s))

    assert (await here.pushed(name))[-1].status == "success"
    assert len([seen for seen in far.asked("PATCH") if len(seen.body) > 100]) == 5


async def test_direct_parts_may_take_longer_too(far: Far, make_here, name: str) -> None:
    here = make_here(limits=replace(QUICK, stored_bytes_per_s=PART // 60))
    far.redirects_uploads = True
    far.misbehave("PUT", "/direct/", late(3 * QUICK.stall_s))

    assert (await here.pushed(name))[-1].status == "success"
    assert len(far.asked("PUT", "/direct/")) == len(far.asked("PATCH"))


async def test_a_blob_that_arrived_though_nobody_said_so_is_not_committed_twice(far, here, name):
    far.misbehave("PUT", "/uploads/", commit_in_silence)

    assert (await here.pushed(name))[-1].status == "success"
    assert len(far.asked("PUT", "/uploads/")) == 3


async def test_a_commit_that_ends_while_it_is_tried_again_counts(far, make_here, name) -> None:
    here = make_here(limits=replace(QUICK, commit_s=0.1))
    tried_again, there = threading.Event(), threading.Event()

    def end_late(handler) -> None:
        tried_again.wait(10)
        handler.commit(handler.parts.path.rpartition("/")[2])
        there.set()
        hang_up(handler)

    def refuse_once_it_is_there(handler) -> None:
        tried_again.set()
        there.wait(10)
        handler.answer(404, b"blob upload unknown")

    far.misbehave("PUT", "/uploads/", end_late)
    far.misbehave("PUT", "/uploads/", refuse_once_it_is_there)

    assert (await here.pushed(name))[-1].status == "success"


async def test_what_is_refused_is_not_tried_again(far: Far, here, name: str) -> None:
    far.misbehave("PATCH", "/uploads/", status(400), times=100)

    with pytest.raises(Refused, match="400"):
        await here.pushed(name)
    assert len(far.asked("PATCH")) == 1


async def test_a_model_that_is_not_here_is_said_after_the_first_lines(far: Far, here) -> None:
    news = here.push(f"{far.host}/u/nothing")

    told = [(await anext(news)).status, (await anext(news)).status]
    with pytest.raises(NoManifest):
        await anext(news)

    assert told == ["retrieving manifest", "couldn't retrieve manifest"]
    assert far.seen == []


async def test_leaving_a_push_stops_it(far: Far, here, name: str) -> None:
    held = asyncio.Event()
    far.misbehave("PATCH", "/uploads/", lambda handler: far.stopped.wait(30), times=100)
    news = here.push(name)
    async for progress in news:
        if progress.status.startswith("pushing") and far.asked("PATCH"):
            held.set()
            break
    await asyncio.wait_for(news.aclose(), 5)

    assert held.is_set()
    assert far.manifests == {}


async def test_a_second_push_sends_only_the_manifest(far: Far, here, name: str) -> None:
    await here.pushed(name)
    far.seen.clear()

    await here.pushed(name)

    assert {seen.method for seen in far.seen} == {"HEAD", "PUT"}
    wait_for(lambda: len(far.asked("PUT")) == 1)
