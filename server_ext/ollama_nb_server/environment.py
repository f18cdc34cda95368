"""The environment, read in one place into one value (reference/ollama-http-api.md 14)."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from platformdirs import user_cache_dir

from ollama_nb_server.announcing import is_announced
from ollama_nb_server.sharing import Sharing, folder, tokens

log = logging.getLogger(__name__)

DEFAULT_PORT = 11434
KV_CACHE_TYPES = ("f16", "q8_0", "q4_0")  # the first is the default
REPRODUCIBLE = ("seeded", "always", "never")  # the first is the default
MAX_COUNT = 2**31 - 1
MAX_BYTES = 2**63 - 1
MAX_DURATION_S = (2**63 - 1) / 1e9  # a Go duration is nanoseconds in 64 bits
WHOLE = re.compile(r"[+-]?[0-9]+")
TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
UNITS_S = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What an administrator has set. Times in seconds, `inf` is without end, 0 is automatic.

    `reload_on_request`: a request with other load options waits until a busy model can be loaded
    anew for it. `reproducible` says whose answers must not
    depend on who else is served: those with a seed, also those of temperature 0 (always), nobody's.
    `num_thread` is for requests that do not say. `gpu_overhead` is bytes that a load leaves free of
    each GPU; `sched_spread`: a model is spread over all GPUs, also where one has room for it.
    `prefix_cache_mb`: megabytes a loaded model that copies of computed prompts may take (0: nothing
    that was computed is used again; None: by what is free).
    `flash_attention` None: whichever is faster on this machine, which `calibrate` lets a first load
    measure. `kv_cache_type` is the kind of numbers that contexts are kept in.
    `go_template` True: a model's Go template is always used; False: never; None:
    whichever of its templates supports more.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    origins: tuple[str, ...] = ()
    models: Path = field(default_factory=lambda: Path.home() / ".ollama" / "models")
    keep_alive_s: float = 300.0
    load_timeout_s: float = 300.0
    context_length: int = 0
    num_parallel: int = 0
    max_loaded_models: int = 0
    max_queue: int = 512
    num_thread: int = 0
    gpu_overhead: int = 0
    sched_spread: bool = False
    flash_attention: bool | None = None
    kv_cache_type: str = "f16"
    calibrate: bool = True
    debug: bool = False
    reload_on_request: bool = False
    heartbeat_s: float = 5.0
    send_timeout_s: float = 300.0
    no_cloud: bool = False
    no_prune: bool = False
    go_template: bool | None = None
    reproducible: str = "seeded"
    prefix_cache_mb: int | None = None
    unread_s: float = 60.0
    token: str = field(default="", repr=False)
    tokens_file: Path | None = None
    sharing: Sharing = field(default_factory=Sharing)
    cache: Path = field(default_factory=lambda: Path(user_cache_dir("ollama-nb", appauthor=False)))

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the variables; one that cannot be read keeps its default and is warned about."""
        read = _Reader(environ)
        # In a terminal of Jupyter it is that server's address, which is none to listen on.
        host, port = read_host("" if is_announced(environ) else read.text("OLLAMA_HOST"))
        models = read.path("OLLAMA_MODELS")
        return cls(
            host=host,
            port=port,
            origins=tuple(o.strip() for o in read.text("OLLAMA_ORIGINS").split(",") if o.strip()),
            models=models or Path.home() / ".ollama" / "models",
            keep_alive_s=read.duration("OLLAMA_KEEP_ALIVE", 300.0),
            load_timeout_s=read.duration("OLLAMA_LOAD_TIMEOUT", 300.0) or math.inf,
            context_length=read.count("OLLAMA_CONTEXT_LENGTH", 0),
            num_parallel=read.count("OLLAMA_NUM_PARALLEL", 0),
            max_loaded_models=read.count("OLLAMA_MAX_LOADED_MODELS", 0),
            max_queue=read.count("OLLAMA_MAX_QUEUE", 512),
            num_thread=read.count("OLLAMA_NUM_THREAD", 0),
            gpu_overhead=read.count("OLLAMA_GPU_OVERHEAD", 0, MAX_BYTES),
            sched_spread=read.flag("OLLAMA_SCHED_SPREAD"),
            flash_attention=read.choice("OLLAMA_FLASH_ATTENTION"),
            kv_cache_type=read.one_of("OLLAMA_KV_CACHE_TYPE", KV_CACHE_TYPES),
            calibrate=read.choice("OLLAMA_NB_CALIBRATE") is not False,
            debug=read.level("OLLAMA_DEBUG"),
            reload_on_request=read.flag("OLLAMA_NB_RELOAD_ON_REQUEST"),
            heartbeat_s=read.duration("OLLAMA_NB_HEARTBEAT", 5.0) or math.inf,
            send_timeout_s=read.duration("OLLAMA_NB_SEND_TIMEOUT", 300.0) or math.inf,
            no_cloud=read.flag("OLLAMA_NO_CLOUD"),
            no_prune=read.flag("OLLAMA_NOPRUNE"),
            go_template=read.choice("OLLAMA_GO_TEMPLATE"),
            reproducible=read.one_of("OLLAMA_NB_REPRODUCIBLE", REPRODUCIBLE),
            prefix_cache_mb=read.optional_count("OLLAMA_NB_PREFIX_CACHE_MB"),
            unread_s=read.duration("OLLAMA_NB_UNREAD", 60.0),
            token=read.text("OLLAMA_NB_TOKEN"),
            tokens_file=read.path("OLLAMA_NB_TOKENS"),
            sharing=Sharing.from_environ(environ),
            cache=read.cache(),
        )

    @property
    def tokens(self) -> Path:
        """The file of those who may call, which need not be there."""
        return self.tokens_file or self.models / folder.NAME / tokens.FILE

    @property
    def choices(self) -> Path:
        """The folder of what was found to be fastest for models on this machine."""
        return self.cache / "choices"


@dataclass(frozen=True, slots=True)
class _Reader:
    environ: Mapping[str, str]

    def text(self, name: str) -> str:
        return self.environ.get(name, "").strip().strip("\"'")

    def cache(self) -> Path:
        """Where what only saves time is kept: as XDG or the system has it, if not said."""
        if named := self.text("OLLAMA_NB_CACHE"):
            return Path(named).expanduser()
        if caches := self.text("XDG_CACHE_HOME"):
            return Path(caches) / "ollama-nb"
        return Path(user_cache_dir("ollama-nb", appauthor=False))

    def path(self, name: str) -> Path | None:
        """A path, if one is named."""
        return Path(text).expanduser() if (text := self.text(name)) else None

    def flag(self, name: str) -> bool:
        """Go's ParseBool words; any other text counts as true."""
        text = self.text(name)
        return bool(text) and text not in FALSE

    def choice(self, name: str) -> bool | None:
        """A flag that may also be left to the server: None."""
        return self.flag(name) if self.text(name) else None

    def one_of(self, name: str, words: tuple[str, ...]) -> str:
        """One of these words; the first if nothing, or nothing of these, is said."""
        text = self.text(name).lower()
        if text in words:
            return text
        if text:
            log.warning("%s=%r is none of %s: %s is used", name, text, ", ".join(words), words[0])
        return words[0]

    def level(self, name: str) -> bool:
        """A flag that may also be a level, a number; a word that is neither is no."""
        text = self.text(name)
        return text in TRUE or (WHOLE.fullmatch(text) is not None and int(text) != 0)

    def count(self, name: str, default: int, most: int = MAX_COUNT) -> int:
        text = self.text(name)
        if not text:
            return default
        if text.isascii() and text.isdigit() and len(text) <= len(str(most)):
            return min(int(text), most)
        used = default if default >= 0 else "the default"
        log.warning("%s=%r is no number up to %d: %s is used", name, text, most, used)
        return default

    def optional_count(self, name: str) -> int | None:
        """A count, or None if nothing (or nothing that is one) is said."""
        count = self.count(name, -1)
        return None if count < 0 else count

    def duration(self, name: str, default: float) -> float:
        """A Go duration or whole seconds; negative is `inf`."""
        text = self.text(name)
        if not text:
            return default
        try:
            seconds = float(text) if WHOLE.fullmatch(text) else parse_duration(text)
        except ValueError as error:
            log.warning("%s: %s: %g s is used", name, error, default)
            return default
        return seconds if 0 <= seconds <= MAX_DURATION_S else math.inf


def read_host(text: str) -> tuple[str, int]:
    """OLLAMA_HOST as host and port: `[scheme://]host[:port][/path]`, a bad port is the default."""
    scheme, sep, rest = text.rpartition("://")
    default = {"http": 80, "https": 443}.get(scheme if sep else "", DEFAULT_PORT)
    try:
        parts = urlsplit(f"//{rest}")
        host = parts.hostname or "127.0.0.1"
    except ValueError as error:
        log.warning("OLLAMA_HOST=%r: %s: 127.0.0.1:%d is used", text, error, default)
        return "127.0.0.1", default
    try:
        port = parts.port if parts.port is not None else default
    except ValueError:
        log.warning("OLLAMA_HOST=%r has no usable port: %d is used", text, default)
        port = default
    return host, port


def parse_duration(text: str) -> float:
    """Seconds of a Go duration such as `1h30m`, `1.5s`, `-1m`, `0`.

    Raises
    ------
    ValueError
        In Go's words.
    """
    sign, rest = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    total = 0.0
    while rest:
        digits = _leading(rest, "0123456789.")
        if not digits.strip(".") or digits.count(".") > 1:
            raise ValueError(f'time: invalid duration "{text}"')
        rest = rest[len(digits) :]
        unit = _leading_unit(rest)
        if not unit:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if unit not in UNITS_S:
            raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
        total, rest = total + float(digits) * UNITS_S[unit], rest[len(unit) :]
    if text in ("", "-", "+") or total > MAX_DURATION_S:
        raise ValueError(f'time: invalid duration "{text}"')
    return sign * total


def _leading(text: str, letters: str) -> str:
    return text[: len(text) - len(text.lstrip(letters))]


def _leading_unit(text: str) -> str:
    end = next((i for i, c in enumerate(text) if c in "0123456789."), len(text))
    return text[:end]
