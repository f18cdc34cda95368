"""One worker as the policy sees it: its phase, who uses it, and whom it can serve as it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

from ollama_nb_server.engine.messages import Loaded
from ollama_nb_server.scheduling.events import WorkerRequest

# Options that need a load and change no answer: a busy worker serves them as it was loaded.
# (`num_thread` is none of them: an engine changes its threads between two steps.)
LOAD_OPTIONS = frozenset({"num_batch", "num_gpu", "main_gpu", "use_mmap", "use_mlock", "numa"})
# What changes the answers: no request is served by a worker that has them otherwise.
IDENTITY = ("adapters", "projector", "draft", "rope_frequency_base", "rope_frequency_scale")
ANY_NUM_GPU = -1  # as many layers on the GPU as fit: what is loaded is what fitted


class Phase(Enum):
    """Where a runner is in its life."""

    LOADING = "loading"
    READY = "ready"
    STOPPING = "stopping"


@dataclass(slots=True)
class Runner:
    """A worker and its users."""

    id: int
    wanted: WorkerRequest
    keep_alive: float
    phase: Phase = Phase.LOADING
    info: Loaded | None = None
    users: set[int] = field(default_factory=set)
    expires: float = math.inf
    size_bytes: int = 0
    used: float = 0.0  # when a request last came to it or left it

    @property
    def key(self) -> str:
        """The weights it serves."""
        return self.wanted.key

    @property
    def idle(self) -> bool:
        """Ready, and nobody uses it."""
        return self.phase is Phase.READY and not self.users

    @property
    def host_bytes(self) -> int:
        """What it takes of the host's memory."""
        return self.size_bytes - self.info.vram_bytes if self.info is not None else 0

    def can_serve(self, wanted: WorkerRequest) -> bool:
        """Whether it gives the answers that the request is to have."""
        if self.phase is not Phase.READY or self.key != wanted.key or self.info is None:
            return False
        if wanted.spec == self.wanted.spec:
            return True  # also where the engine gave less than was asked: a reload gives no more
        if any(self._differs(wanted, name) for name in IDENTITY):
            return False
        least = wanted.least_ctx or wanted.spec.num_ctx
        return min(least, wanted.spec.num_ctx, self.info.num_ctx_train) <= self.info.num_ctx

    def unlike(self, wanted: WorkerRequest) -> tuple[str, ...]:
        """The load options that somebody set for the request, and that it has otherwise."""
        names = LOAD_OPTIONS & wanted.explicit
        if wanted.spec.num_gpu == ANY_NUM_GPU:
            names -= {"num_gpu"}
        return tuple(sorted(name for name in names if self._differs(wanted, name)))

    def _differs(self, wanted: WorkerRequest, name: str) -> bool:
        return bool(getattr(wanted.spec, name) != getattr(self.wanted.spec, name))
