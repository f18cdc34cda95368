"""Real servers for the tests, stand-alone and inside Jupyter, in folders of their own; models."""

from __future__ import annotations

import gc
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from gguf import GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import dequantize
from hypothesis import settings
from ollama_nb_server.library.bundled import DEMO

sys.path.insert(0, str(Path(__file__).parent / "models"))  # the modules that write or fetch models

import published_models
import random_models
import special_models
import vision_models

HOLD = """
import os, sys, time
if "ollama_nb_server.engine.worker" in sys.orig_argv:
    from ollama_nb_server.engine.load_progress import LoadProgress
    place = LoadProgress._place
    def held(self, placed):
        place(self, placed)
        while placed > 0.3 and not os.path.exists({gate!r}):
            time.sleep(0.01)
    LoadProgress._place = held
"""
START_S, STOP_S = 40.0, 15.0
HUB, WITHOUT_HUB = "tests/hub/", ("test_configure.py", "test_serve_hub.py")
settings.register_profile("suite", deadline=None)  # a busy machine is no failure
settings.load_profile("suite")


def until(condition: Callable[[], object], what: str, seconds: float = START_S) -> object:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not after {seconds} s"
        time.sleep(0.02)
    return value


@dataclass
class Server:
    """A real server process that answers at `url`; `token` opens it if it has one."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    token: str = ""
    headers: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=60, trust_env=False)

    def workers(self) -> list[psutil.Process]:
        """The model workers of this server."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [p for p in children if _is_worker(p)]

    def stop(self) -> None:
        """End it as a person would, and see that nothing is left behind."""
        workers = self.workers() if self.process.poll() is None else []
        self.process.terminate()
        self.process.wait(STOP_S)
        _, left = psutil.wait_procs(workers, timeout=STOP_S)
        assert not left, f"workers outlived their server: {left}"


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "ollama_nb_server.engine.worker" in process.cmdline()
    except (psutil.ZombieProcess, psutil.NoSuchProcess):
        return False


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep every test out of the user's home, model store, caches and runtime files."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.delenv("XDG_CACHE_HOME", raising=False)
        patch.setenv("JUPYTER_RUNTIME_DIR", str(home / "runtime"))
        patch.setenv("IPYTHONDIR", str(home / "ipython"))
        for name in [name for name in os.environ if name.startswith(("OLLAMA_", "JUPYTER_OLLAMA"))]:
            patch.delenv(name)
        patch.setenv("OLLAMA_NB_CALIBRATE", "0")  # what nothing is asked about here takes seconds
        yield


@pytest.fixture(scope="module", autouse=True)
def _own_leaks() -> Iterator[None]:
    """Have what a file leaves open told there, not in whichever test the collector runs."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def demo_gguf() -> Path:
    return DEMO


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Have one worker run all that needs a JupyterHub: two would start one each."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class WithOneHub(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = str(super()._split_scope(nodeid))
            return HUB if file.startswith(HUB) and not file.endswith(WITHOUT_HUB) else file

    return WithOneHub(config, log)


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    published_models.mark(items)


@pytest.fixture(scope="session")
def models_dir(pytestconfig: pytest.Config) -> Path:
    """Where models that take a while to write or fetch stay between runs."""
    return pytestconfig.cache.mkdir("models")


@pytest.fixture(scope="session")
def q4_k_gguf(models_dir: Path) -> Path:
    """A model of random weights that the engine treats as a real one: see `random_models`."""
    return random_models.written_once(models_dir, random_models.write_q4_k)


@pytest.fixture(scope="session")
def mamba_gguf(models_dir: Path) -> Path:
    """A tiny recurrent model of random weights."""
    return random_models.written_once(models_dir, random_models.write_mamba)


@pytest.fixture(scope="session")
def talker_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model with user-defined tokens: see `special_models`."""
    path = tmp_path_factory.mktemp("talker") / "talker.gguf"
    special_models.write_talker(path)
    return path


@pytest.fixture(scope="session")
def pieces_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with a vocabulary of SentencePiece: see `special_models`."""
    path = tmp_path_factory.mktemp("pieces") / "pieces.gguf"
    special_models.write_pieces(path)
    return path


@pytest.fixture(scope="session", params=vision_models.FAMILIES)
def seeing(models_dir: Path, request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """A model and its projector, of each family in `vision_models`."""
    return vision_models.written(models_dir, request.param)


@pytest.fixture(scope="session")
def smollm2(models_dir: Path) -> Path:
    """SmolLM2-135M-Instruct in Q4_1; tests that use it are marked `real`."""
    return published_models.fetched("smollm2", models_dir)


@pytest.fixture(scope="session")
def qwen_coder(models_dir: Path) -> Path:
    """Qwen2.5-Coder-0.5B-Instruct in Q4_K_M; tests that use it are marked `real`."""
    return published_models.fetched("qwen_coder", models_dir)


@pytest.fixture
def store_dir(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start stand-alone servers: `start_server(OLLAMA_...="...")`; they end with the file.

    So no file meets the models that another one has left loaded, whichever ran before it.
    """
    started: list[Server] = []

    def start(*arguments: str, **environ: str) -> Server:
        folder = tmp_path_factory.mktemp("server")
        log, facts = folder / "log", folder / "server.json"
        store = {"OLLAMA_MODELS": str(folder / "models"), "OLLAMA_NO_CLOUD": "1"}
        command = [sys.executable, "-m", "ollama_nb_server", "serve", "--port", "0"]
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*command, "--runtime-file", str(facts), *arguments],
                env={**os.environ, **store, **environ},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        until(lambda: facts.exists() or process.poll() is not None, "the server's runtime file")
        assert process.poll() is None, log.read_text()
        said = json.loads(facts.read_text())
        started.append(Server(said["url"], process, log, said["token"]))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def ollama_server(start_server: Callable[..., Server]) -> Server:
    """A stand-alone server with an empty store (which brings the demo model)."""
    return start_server()


@pytest.fixture
def client(ollama_server: Server) -> Iterator[httpx.Client]:
    with ollama_server.client() as client:
        yield client


@pytest.fixture
def held_load(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A file, and the environment of a server whose loads stand still until it is there.

    It is llama.cpp that stands still, in the middle of the weights, where it tells how far it is.
    """
    folder, gate = tmp_path / "held", tmp_path / "gate"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HOLD.format(gate=str(gate)))
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return gate, {"PYTHONPATH": path}


@pytest.fixture(scope="module")
def start_jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start Jupyter servers with the extension; `url` is the API's, `token` Jupyter's."""
    started: list[Server] = []

    def start(*arguments: str, root: Path | None = None, **environ: str) -> Server:
        folder = tmp_path_factory.mktemp("jupyter")
        token, log, runtime = secrets.token_hex(16), folder / "log", folder / "runtime"
        places = {"JUPYTER_RUNTIME_DIR": str(runtime), "OLLAMA_MODELS": str(folder / "models")}
        command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"]
        settings = ["--port=0", "--ServerApp.base_url=/base", f"--IdentityProvider.token={token}"]
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*command, *settings, f"--ServerApp.root_dir={root or folder}", *arguments],
                env={**os.environ, **places, "OLLAMA_NO_CLOUD": "1", **environ},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        info = runtime / f"jpserver-{process.pid}.json"
        until(lambda: _is_written(info) or process.poll() is not None, "the Jupyter server's file")
        assert process.poll() is None, log.read_text()
        server = Server(json.loads(info.read_text())["url"] + "ollama", process, log, token)
        started.append(server)
        until(lambda: _answers(server), "the extension")
        return server

    yield start
    for server in started:
        server.stop()


def _is_written(file: Path) -> bool:
    """Whether a file is there with something in it, not just about to be written."""
    return file.exists() and file.stat().st_size > 0


def _answers(server: Server) -> bool:
    try:
        with server.client() as client:
            return client.get("/api/version").is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def jupyter_server(start_jupyter: Callable[..., Server]) -> Server:
    """A Jupyter server with the extension, below the prefix /base."""
    return start_jupyter()


@pytest.fixture(scope="session")
def eventually() -> Callable[..., object]:
    """Wait for a condition: `eventually(condition, what, seconds)`."""
    return until


FILE_TYPE = {np.float32: 0, np.float16: 1}


def write_full(
    source: Path,
    target: Path,
    kind: type,
    num_parts: int = 1,
    *more: str,
    tokens: Callable[[list[str]], list[str]] = list,
) -> None:
    """Write a GGUF file's weights as `kind`, its metadata as they are; `more` are extra tensors.

    `tokens` makes another vocabulary of its own.
    """
    reader = GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    split = -(-(len(reader.tensors) + len(more)) // num_parts) if num_parts > 1 else 0
    writer = GGUFWriter(target, architecture, split_max_tensors=split)
    for key, value in reader.fields.items():
        if key.startswith("GGUF.") or key in ("general.architecture", "general.file_type"):
            continue
        outer, *inner = value.types
        element = inner[0] if outer == GGUFValueType.ARRAY else None
        contents = value.contents()
        if key == "tokenizer.ggml.tokens":
            contents = tokens(contents)
        writer.add_key_value(key, contents, outer, element)
    writer.add_file_type(FILE_TYPE[kind])
    for tensor in reader.tensors:
        whole = dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, whole.astype(kind if whole.ndim > 1 else np.float32))
    for name in more:
        writer.add_tensor(name, np.ones((4, 32), kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="session")
def full(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[type], Path]:
    """The bundled model as one file of float16 or float32."""
    folder = tmp_path_factory.mktemp("full")

    def written(kind: type) -> Path:
        path = folder / f"{kind.__name__}.gguf"
        if not path.exists():
            write_full(demo_gguf, path, kind)
        return path

    return written


@pytest.fixture(scope="session")
def stranger_gguf(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model with some of its tokens in other places."""
    path = tmp_path_factory.mktemp("stranger") / "stranger.gguf"
    write_full(demo_gguf, path, np.float16, tokens=lambda all: all[:-200] + all[:-201:-1])
    return path


@pytest.fixture(scope="session")
def parts(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same in float16, in three files."""
    folder = tmp_path_factory.mktemp("parts")
    write_full(demo_gguf, folder / "demo.gguf", np.float16, num_parts=3)
    return sorted(folder.iterdir())


@pytest.fixture(scope="session")
def seeing_parts(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same with a tensor that belongs to a vision encoder."""
    folder = tmp_path_factory.mktemp("seeing")
    write_full(demo_gguf, folder / "demo.gguf", np.float16, 3, "v.patch_embd.weight")
    return sorted(folder.iterdir())


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's registry; its host and port."""
    program = shutil.which("docker-registry")
    if program is None:
        assert os.environ.get("CI") != "true", "docker-registry is missing"
        pytest.skip("docker-registry is not installed: apt-get install docker-registry")
    folder = tmp_path_factory.mktemp("docker-registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
    }
    (folder / "config.yml").write_text(json.dumps(settings))  # JSON is YAML
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", str(folder / "config.yml")], stdout=log, stderr=log
        )
    try:
        _until_it_answers(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(15)


def _until_it_answers(address: str, process: subprocess.Popen[bytes]) -> None:
    with httpx.Client(transport=httpx.HTTPTransport(retries=8), trust_env=False) as client:
        answer = client.get(f"http://{address}/v2/")
    assert answer.is_success, answer.text
    assert process.poll() is None


def in_a_namespace(command: str) -> list[str]:
    """The command as one that may mount: root does it at once, others in a user namespace."""
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *own, "--mount", "sh", "-c", command]


def can_mount(folder: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    command = in_a_namespace(f"mount -t tmpfs none '{folder}'")
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def start_on_a_disk(
    tmp_path: Path, eventually: Callable[..., object]
) -> Iterator[Callable[[str], tuple[httpx.Client, Path]]]:
    """Start a server whose store is a file system of its own: `start_on_a_disk("size=5M")`.

    Returns a client, and the store's folder as the server sees it. The argument is what tmpfs is
    mounted with; `ro` makes it read-only. `kept` leaves what is in the folder, and mounts that so.
    The server's log is beside the folder.
    """
    started: list[tuple[subprocess.Popen[bytes], httpx.Client]] = []
    models, facts = tmp_path / "models", tmp_path / "facts.json"
    models.mkdir()
    if not can_mount(models):
        assert os.environ.get("CI") != "true", "unshare cannot mount a file system"
        pytest.skip("this machine lets nobody mount a file system of their own")

    def start(options: str, *, kept: bool = False) -> tuple[httpx.Client, Path]:
        mount = f"mount -t tmpfs -o {options} none '{models}'"
        if kept:
            again = f"mount -o remount,bind,{options} '{models}'"
            mount = f"mount --bind '{models}' '{models}' && {again}"
        serve = f"'{sys.executable}' -m ollama_nb_server serve --port 0 --runtime-file '{facts}'"
        places = {"OLLAMA_MODELS": str(models), "OLLAMA_NB_CACHE": str(tmp_path / "cache")}
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                in_a_namespace(f"{mount} && exec {serve}"),
                env={**os.environ, **places},
                stderr=log,
            )
        eventually(facts.exists, "the server")
        url = json.loads(facts.read_text())["url"]
        client = httpx.Client(base_url=url, timeout=60, trust_env=False)
        started.append((process, client))
        return client, Path(f"/proc/{process.pid}/root{models}")

    yield start
    for process, client in started:
        client.close()
        process.terminate()
        process.wait(STOP_S)
