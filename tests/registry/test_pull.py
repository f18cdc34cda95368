"""Pulling from registries that behave: what is asked, told and stored (ollama-models.md 15.3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from far import CONFIG, Far, digest_of, slow
from ollama_nb_server.library.names import ModelName
from ollama_nb_server.registry.errors import ManifestUnavailable, NeedsMLX

PART = 64 * 1024
PIECES = [(0, PART - 1), (PART, 2 * PART - 1), (2 * PART, 3 * PART - 1), (3 * PART, 4 * PART - 1)]


def statuses(news: list) -> list[str]:
    """Each status once, in order."""
    return list(dict.fromkeys(progress.status for progress in news))


def short(data: bytes) -> str:
    return digest_of(data)[7:19]


async def test_a_pull_tells_its_steps_and_stores_all(far: Far, here, weights: bytes) -> None:
    name = far.publish(weights, template=b"{{ .Prompt }}")

    news = await here.pulled(name)

    assert statuses(news) == [
        "pulling manifest",
        f"pulling {short(weights)}",
        f"pulling {short(b'{{ .Prompt }}')}",
        f"pulling {short(CONFIG)}",
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    files = {f"sha256-{digest_of(data)[7:]}": data for data in (weights, b"{{ .Prompt }}", CONFIG)}
    assert here.blobs() == sorted(files)
    for file, data in files.items():
        assert (here.store.blobs.folder / file).read_bytes() == data
    path = here.store.manifests.path(ModelName.parse(name))
    assert path.read_bytes() == far.manifests["u/m:latest"]


async def test_the_last_line_of_a_layer_says_that_all_of_it_is_there(far, here, weights) -> None:
    news = await here.pulled(far.publish(weights))

    lines = [p for p in news if p.digest == digest_of(weights)]
    assert (lines[-1].completed, lines[-1].total) == (len(weights), len(weights))
    assert [p.completed for p in lines] == sorted(p.completed for p in lines)


async def test_requests_have_ollamas_head(far: Far, here) -> None:
    await here.pulled(far.publish(b"w"))

    (manifest,) = far.asked("GET", "/manifests/")
    assert manifest.headers["accept"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert manifest.headers["user-agent"].startswith("ollama/")


async def test_large_blobs_are_asked_for_in_parts(far: Far, here, weights: bytes) -> None:
    await here.pulled(far.publish(weights))

    expected = [*PIECES, (4 * PART, len(weights) - 1), (0, len(CONFIG) - 1)]
    assert sorted(far.ranges()) == sorted(expected)


async def test_what_is_there_already_is_one_line_and_no_request(far, here, weights) -> None:
    name = far.publish(weights)
    await here.pulled(name)
    far.seen.clear()

    news = await here.pulled(name)

    assert far.count() == {("GET", "/v2/u/m/manifests/latest"): 1}
    assert [(p.completed, p.total) for p in news if p.digest == digest_of(weights)] == [
        (len(weights), len(weights))
    ]


async def test_a_blob_that_a_manifest_names_twice_is_fetched_once(far: Far, here) -> None:
    news = await here.pulled(far.publish(b"same", b"same", license=b"same"))

    assert news[-1].status == "success"
    assert len(far.asked("HEAD", digest_of(b"same"))) == 1


async def test_an_empty_layer_is_a_blob_too(far: Far, here) -> None:
    await here.pulled(far.publish(b"w", system=b""))

    assert f"sha256-{digest_of(b'')[7:]}" in here.blobs()


async def test_a_model_that_is_not_there_is_said_in_ollamas_words(far: Far, here) -> None:
    far.publish(b"w")

    with pytest.raises(ManifestUnavailable, match=r"^pull model manifest: file does not exist$"):
        await here.pulled(f"{far.host}/u/m:no-such-tag")


async def test_without_insecure_a_registry_must_speak_tls(far: Far, here) -> None:
    name = ModelName.parse(far.publish(b"w"))

    with pytest.raises(ManifestUnavailable, match="server gave HTTP response to HTTPS client"):
        [_ async for _ in here.transfers.pull(name)]

    assert here.blobs() == []


async def test_a_blob_on_another_host_is_fetched_there_without_a_token(far, here, weights) -> None:
    far.demands_token, far.elsewhere = True, "localhost"

    await here.pulled(far.publish(weights))

    direct = far.asked("GET", "/direct/")
    assert len(direct) == 6
    assert {seen.headers["host"] for seen in direct} == {f"localhost:{far.port}"}
    assert not any("authorization" in seen.headers for seen in direct)
    assert not any(seen.headers["user-agent"].startswith("ollama/") for seen in direct)
    assert all(seen.query == {"signed": ["secret"]} for seen in direct)


async def test_a_server_without_ranges_serves_all_the_same(far: Far, here, weights) -> None:
    far.ignores_ranges = True

    news = await here.pulled(far.publish(weights))

    assert news[-1].status == "success"


async def test_a_token_is_signed_for_once_and_shown_afterwards(far: Far, here, weights) -> None:
    far.demands_token = True

    await here.pulled(far.publish(weights))

    (token,) = far.asked("GET", "/token")
    assert token.query["scope"] == ["repository:u/m:pull"]
    assert token.query["service"] == [far.host]
    assert token.query["ts"][0].isdigit()
    assert far.asked("GET", "/blobs/")[0].headers["authorization"].startswith("Bearer a-token")


async def test_a_token_that_has_run_out_is_fetched_anew(far: Far, here, weights: bytes) -> None:
    far.demands_token = True
    name = far.publish(weights)
    news = here.pull(name)
    async for progress in news:
        if progress.status == f"pulling {short(CONFIG)}":
            break
        if progress.status == f"pulling {short(weights)}":
            far.tokens.clear()

    rest = [progress async for progress in news]

    assert rest[-1].status == "success"
    assert len(far.asked("GET", "/token")) >= 2


async def test_layers_that_a_new_version_no_longer_has_go(far: Far, here) -> None:
    name = far.publish(b"old weights")
    await here.pulled(name)
    far.publish(b"new weights")

    news = await here.pulled(name)

    assert statuses(news)[-3:] == ["writing manifest", "removing unused layers", "success"]
    assert f"sha256-{digest_of(b'old weights')[7:]}" not in here.blobs()


async def test_with_noprune_they_stay(far: Far, make_here) -> None:
    here = make_here(removes=False)
    name = far.publish(b"old weights")
    await here.pulled(name)
    far.publish(b"new weights")

    news = await here.pulled(name)

    assert "removing unused layers" not in statuses(news)
    assert f"sha256-{digest_of(b'old weights')[7:]}" in here.blobs()


async def test_a_model_in_tensors_is_refused_before_its_blobs(far: Far, here) -> None:
    name = far.publish(b"w", tensor=b"t")

    with pytest.raises(NeedsMLX, match="requires MLX support"):
        await here.pulled(name)

    assert not far.asked("HEAD")


# --- sharing, leaving, going on -------------------------------------------------------------------


def blob_slowly(far: Far, data: bytes, pause_s: float = 0.01) -> None:
    far.misbehave("GET", f"/blobs/{digest_of(data)}", slow(pause_s), times=100)


async def test_two_clients_share_one_download_and_hear_everything(far, here, weights) -> None:
    name = far.publish(weights)
    blob_slowly(far, weights)

    both = await asyncio.gather(here.pulled(name), here.pulled(name))

    assert sorted(far.ranges()).count(PIECES[1]) == 1
    for news in both:
        assert statuses(news)[0] == "pulling manifest"
        assert statuses(news)[-1] == "success"
        assert len([p for p in news if p.digest == digest_of(weights)]) > 2


async def test_a_failure_reaches_everyone_who_waits(far: Far, here, weights: bytes) -> None:
    name = far.publish(weights)
    far.misbehave("HEAD", "/blobs/", lambda handler: handler.answer(403, b"no"), times=2)

    both = await asyncio.gather(here.pulled(name), here.pulled(name), return_exceptions=True)

    assert [str(error) for error in both] == ["403", "403"]


async def some_of(news, wanted: str, least: int):
    """Read on until so many bytes of a blob are there."""
    async for progress in news:
        if progress.digest == wanted and progress.completed >= least:
            return


async def test_one_of_two_may_leave(far: Far, here, weights: bytes) -> None:
    name = far.publish(weights)
    blob_slowly(far, weights)
    leaving = here.pull(name)
    staying = asyncio.ensure_future(here.pulled(name))
    await some_of(leaving, digest_of(weights), 1)

    await leaving.aclose()

    assert (await staying)[-1].status == "success"


async def test_when_the_last_leaves_it_stops_and_says_on_disk_how_far_it_was(
    far: Far, here, weights: bytes
) -> None:
    blob_slowly(far, weights, 0.02)
    news = here.pull(far.publish(weights))
    await some_of(news, digest_of(weights), 30_000)

    await news.aclose()
    await here.transfers.close()

    data = f"sha256-{digest_of(weights)[7:]}-partial"
    assert here.blobs() == [data, *(f"{data}-{number}" for number in range(5))]
    states = [json.loads((here.store.blobs.folder / f"{data}-{n}").read_text()) for n in range(5)]
    assert sum(state["Completed"] for state in states) >= 30_000
    for state in states:
        start, end = state["Offset"], state["Offset"] + state["Completed"]
        assert (here.store.blobs.folder / data).read_bytes()[start:end] == weights[start:end]


async def test_a_pull_goes_on_where_the_last_one_stopped(
    far: Far, make_here: Callable, weights: bytes
) -> None:
    name = far.publish(weights)
    first = make_here()
    far.misbehave("GET", f"/blobs/{digest_of(weights)}", slow(0.02), times=3)
    news = first.pull(name)
    await some_of(news, digest_of(weights), 3 * PART // 2)
    await news.aclose()
    await first.transfers.close()
    states = {
        state["N"]: state
        for path in first.store.blobs.folder.glob("*-partial-*")
        for state in [json.loads(path.read_text())]
    }
    far.faults.clear()
    far.seen.clear()

    await make_here().pulled(name)

    missing = {
        (s["Offset"] + s["Completed"], s["Offset"] + s["Size"] - 1)
        for s in states.values()
        if s["Completed"] < s["Size"]
    }
    assert set(far.ranges()) == missing | {(0, len(CONFIG) - 1)}
    assert len(missing) < 5
    assert not far.asked("HEAD", digest_of(weights))


def begun_by_ollama(here, data: bytes, *completed: int) -> None:
    """What a real Ollama leaves behind; parts are those of a blob of this size."""
    folder = here.store.blobs.folder
    folder.mkdir(parents=True)
    partial = folder / f"sha256-{digest_of(data)[7:]}-partial"
    content = bytearray(len(data))
    for number, count in enumerate(completed):
        start, size = number * PART, min(PART, len(data) - number * PART)
        content[start : start + count] = data[start : start + count]
        state = f'{{"N":{number},"Offset":{start},"Size":{size},"Completed":{count}}}\n'
        partial.with_name(f"{partial.name}-{number}").write_text(state)
    partial.write_bytes(content)


async def test_a_download_that_ollama_began_is_gone_on_with(far, here, weights: bytes) -> None:
    name = far.publish(weights)
    begun_by_ollama(here, weights, PART, 1234, 0, PART, 1000)

    await here.pulled(name)

    wanted = {(PART + 1234, 2 * PART - 1), PIECES[2], (0, len(CONFIG) - 1)}
    assert set(far.ranges()) == wanted


async def test_states_without_their_data_are_not_trusted(far: Far, here, weights: bytes) -> None:
    name = far.publish(weights)
    begun_by_ollama(here, weights, PART, PART, PART, PART, 1000)
    (here.store.blobs.folder / f"sha256-{digest_of(weights)[7:]}-partial").unlink()

    news = await here.pulled(name)

    assert news[-1].status == "success"
    assert set(PIECES) < set(far.ranges())


async def test_a_download_that_ollama_is_busy_with_is_waited_for(far, here, weights) -> None:
    name = far.publish(weights)
    begun_by_ollama(here, weights, 0, 0, 0, 0, 0)
    folder, file = here.store.blobs.folder, f"sha256-{digest_of(weights)[7:]}"

    async def ollama() -> None:
        for _ in range(6):
            await asyncio.sleep(0.1)
            (folder / f"{file}-partial").touch()
        (folder / f"{file}-partial").unlink()
        (folder / file).write_bytes(weights)

    news, _ = await asyncio.gather(here.pulled(name), ollama())

    waiting = f"waiting for another program that is pulling {short(weights)}"
    assert waiting in statuses(news)
    assert news[-1].status == "success"
    assert not set(PIECES) & set(far.ranges())


async def test_another_server_with_the_same_store_waits_too(
    far: Far, make_here: Callable, weights: bytes
) -> None:
    name = far.publish(weights)
    blob_slowly(far, weights)

    first, second = await asyncio.gather(make_here().pulled(name), make_here().pulled(name))

    assert {first[-1].status, second[-1].status} == {"success"}
    assert sorted(far.ranges()).count(PIECES[0]) == 1


async def test_deleting_what_is_being_pulled_leaves_a_whole_model(far, here, weights) -> None:
    name = far.publish(b"old weights")
    await here.pulled(name)
    far.publish(weights)
    blob_slowly(far, weights)
    news = here.pull(name)
    await some_of(news, digest_of(weights), 1)

    await asyncio.to_thread(here.store.delete, ModelName.parse(name), name)
    rest = [progress async for progress in news]

    assert rest[-1].status == "success"
    assert here.store.manifests.of(ModelName.parse(name)) is not None
    assert f"sha256-{digest_of(CONFIG)[7:]}" in here.blobs()


async def test_a_shared_blob_that_goes_with_another_model_is_fetched_again(far, here) -> None:
    shared, weights = b"shared licence", b"w" * 5000
    other = far.publish(b"other", name="u/other", license=shared)
    await here.pulled(other)
    far.publish(b"other", name="u/other", license=shared)
    far.publish(weights, license=shared)
    news = here.pull(f"{far.host}/u/m")
    async for progress in news:
        if progress.status == "verifying sha256 digest":
            break

    await asyncio.to_thread(here.store.delete, ModelName.parse(other), other)
    rest = [progress async for progress in news]

    assert rest[-1].status == "success"
    assert f"sha256-{digest_of(shared)[7:]}" in here.blobs()


async def test_a_stock_registry_serves_us(
    stock: str, make_here: Callable, weights: bytes, far
) -> None:
    giver, taker = make_here("giver"), make_here("taker")
    await giver.pulled(far.publish(weights, system=b"Be kind."))
    giver.store.copy(ModelName.parse(f"{far.host}/u/m"), ModelName.parse(f"{stock}/u/stock"), "u/m")
    await giver.pushed(f"{stock}/u/stock")

    news = await taker.pulled(f"{stock}/u/stock")

    assert news[-1].status == "success"
    assert taker.blobs() == giver.blobs()
