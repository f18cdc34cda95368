"""A blob of 300 MB from a Docker registry on loopback: /api/pull beside curl, in turns.

`curl` only writes into the file cache. A pull also brings the blob to the disk (`curl && sync`)
and knows its digest (`curl && sync && sha256sum`). The registry is Debian's `docker-registry`.
Memory is what the server's process has more at its peak than before.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil
from ollama_nb_server.library.digests import Digest
from ollama_nb_server.library.manifest import (
    CONFIG_TYPE,
    LAYER_TYPE,
    MANIFEST_TYPE,
    Layer,
    Manifest,
)

from benchmarks.servers import free_port, process, wait_for

BLOB_BYTES, ROUNDS, CHUNK_BYTES = 300_000_000, 7, 1 << 20
MODEL = "bench/blob"


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """A registry; its address, without a scheme."""
    program = shutil.which("docker-registry") or sys.exit("missing: docker-registry")
    address, config = f"127.0.0.1:{free_port()}", folder / "registry.yml"
    settings = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "http": {"addr": address},
    }
    config.write_text(json.dumps(settings))  # JSON is YAML
    with process([program, "serve", str(config)], folder) as running:
        wait_for(f"http://{address}/v2/", {}, running)
        yield address


def published(client: httpx.Client, folder: Path) -> Digest:
    """Put a model of one random blob there; the blob's digest."""
    file, hasher = folder / "blob", hashlib.sha256()
    with file.open("wb") as out:
        for start in range(0, BLOB_BYTES, CHUNK_BYTES):
            data = os.urandom(min(CHUNK_BYTES, BLOB_BYTES - start))
            out.write(data)
            hasher.update(data)
    config = b'{"model_format":"gguf","architecture":"amd64","os":"linux"}\n'
    digest, config_digest = Digest(hasher.hexdigest()), Digest(hashlib.sha256(config).hexdigest())
    with file.open("rb") as blob:
        upload(client, digest, blob)
    upload(client, config_digest, config)
    manifest = Manifest(
        Layer(CONFIG_TYPE, config_digest, len(config)),
        (Layer(f"{LAYER_TYPE}model", digest, BLOB_BYTES),),
    )
    headers = {"Content-Type": MANIFEST_TYPE}
    client.put(
        f"/v2/{MODEL}/manifests/latest", content=manifest.encode(), headers=headers
    ).raise_for_status()
    file.unlink()
    return digest


def upload(client: httpx.Client, digest: Digest, content: object) -> None:
    begun = client.post(f"/v2/{MODEL}/blobs/uploads/").raise_for_status()
    address = httpx.URL(begun.headers["Location"]).copy_merge_params({"digest": digest.colon})
    client.put(address, content=content).raise_for_status()  # type: ignore[arg-type]


def timed_curl(url: str, folder: Path, *then: str) -> float:
    """Seconds of curl, alone or followed by programs that take the file."""
    out = folder / "out"
    steps = [f"curl -s -o '{out}' '{url}'", *(f"{program} '{out}' >/dev/null" for program in then)]
    began = time.perf_counter()
    subprocess.run(["sh", "-c", " && ".join(steps)], check=True)
    seconds = time.perf_counter() - began
    out.unlink()
    return seconds


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, int]]:
    """Our server with an empty store; its address and process id."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "ollama_nb_server", "serve", "--port", str(port)]
    settings = {"OLLAMA_MODELS": str(folder / "models"), "OLLAMA_NB_CACHE": str(folder / "cache")}
    with process([*command, "--log-level", "WARNING"], folder, **settings) as running:
        wait_for(url, {}, running)
        yield url, running.pid


class Peak(threading.Thread):
    """The most memory that a process has while this runs."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._process, self._over = psutil.Process(pid), threading.Event()
        self.before_bytes = self.peak_bytes = self._process.memory_info().rss

    def run(self) -> None:
        while not self._over.wait(0.01):
            self.peak_bytes = max(self.peak_bytes, self._process.memory_info().rss)

    def stop(self) -> float:
        """Megabytes more than at the beginning."""
        self._over.set()
        self.join()
        return (self.peak_bytes - self.before_bytes) / 1e6


def timed_pull(client: httpx.Client, name: str) -> float:
    """Seconds of a pull; the model is removed again."""
    began = time.perf_counter()
    request = {"model": name, "insecure": True, "stream": False}
    client.post("/api/pull", json=request).raise_for_status()
    seconds = time.perf_counter() - began
    client.request("DELETE", "/api/delete", json={"model": name}).raise_for_status()
    return seconds


def median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 3)


def main() -> None:
    with TemporaryDirectory() as text:
        folder = Path(text)
        with (
            registry(folder) as address,
            server(folder) as (ours, pid),
            httpx.Client(base_url=f"http://{address}", timeout=120, trust_env=False) as far,
            httpx.Client(base_url=ours, timeout=120, trust_env=False) as near,
        ):
            digest = published(far, folder)
            url, name = f"http://{address}/v2/{MODEL}/blobs/{digest.colon}", f"{address}/{MODEL}"
            near.get("/api/tags").raise_for_status()
            peak, rounds = Peak(pid), []
            peak.start()
            for _ in range(ROUNDS):
                rounds.append(
                    {
                        "curl": timed_curl(url, folder),
                        "pull": timed_pull(near, name),
                        "curl_sync": timed_curl(url, folder, "sync"),
                        "curl_sync_sha256sum": timed_curl(url, folder, "sync", "sha256sum"),
                    }
                )
            extra_mb = peak.stop()
    print(
        json.dumps(
            {
                "benchmark": "pull",
                "blob_mb": BLOB_BYTES // 1_000_000,
                "rounds": ROUNDS,
                "extra_rss_mb": round(extra_mb, 1),
                **{f"{way}_s": median(r[way] for r in rounds) for way in rounds[0]},
                **{
                    f"throughput_vs_{way}": median(r[way] / r["pull"] for r in rounds)
                    for way in rounds[0]
                    if way != "pull"
                },
            }
        )
    )


if __name__ == "__main__":
    main()
