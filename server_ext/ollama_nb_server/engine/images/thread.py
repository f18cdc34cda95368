"""The thread that encodes images, so that nobody's tokens wait for them.

Requests take turns image by image, the more urgent first. What an encoding makes is in
`encoding`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ollama_nb_server.engine.background import JobDone
from ollama_nb_server.engine.errors import EngineError, InternalError
from ollama_nb_server.engine.images.encoding import ImageEncoder, ImagePrompt
from ollama_nb_server.engine.messages import Generate, Score
from ollama_nb_server.engine.spans import EncodedPrompt


@dataclass(slots=True, eq=False)
class ImageJob:
    """A request whose images are to be encoded; `then` takes its prompt on the engine's thread."""

    request: Generate | Score
    then: Callable[[EncodedPrompt], None]
    prompt: ImagePrompt | None = None
    done: bool = False

    def step(self, encoder: ImageEncoder) -> EncodedPrompt | EngineError | None:
        """Go on by one image; an error is an outcome too: it is this request's alone."""
        try:
            if self.prompt is None:
                self.prompt = encoder.begin(self.request)
            return encoder.step(self.prompt)
        except EngineError as error:
            return error
        except Exception as error:
            return InternalError.of(error)


class ImageThread:
    """Encodes for those that wait; `report` gets what became of each.

    A cancelled request is forgotten at once; the image that is being encoded for it is encoded to
    its end (libmtmd cannot be stopped), and kept for the next who shows it.
    """

    def __init__(self, encoder: ImageEncoder, report: Callable[[JobDone], None]) -> None:
        self._encoder, self._report = encoder, report
        self._jobs: dict[int, ImageJob] = {}  # in the order of their turns
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, job: ImageJob) -> None:
        """Have a request's images encoded, in turn with those of others."""
        with self._changed:
            self._jobs[job.request.id] = job
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()

    def take(self, request: int) -> bool:
        """Whether the request still waits for its images; it no longer does then."""
        with self._changed:
            return self._jobs.pop(request, None) is not None

    @property
    def num_waiting(self) -> int:
        """Requests whose images are not encoded yet."""
        return len(self._jobs)

    def _work(self) -> None:
        while True:
            job = self._next()
            outcome = job.step(self._encoder)
            job.done = outcome is not None
            if job.done:
                self._report(JobDone(job.request.id, outcome, job.then))
            else:
                self._to_the_end(job)

    def _next(self) -> ImageJob:
        """The most urgent that is not done, when there is one; it stays where it is."""
        with self._changed:
            self._changed.wait_for(self._todo)
            return min(self._todo(), key=lambda job: job.request.priority)

    def _todo(self) -> list[ImageJob]:
        return [job for job in self._jobs.values() if not job.done]

    def _to_the_end(self, job: ImageJob) -> None:
        """Let the others have their turn first."""
        with self._changed:
            if self._jobs.pop(job.request.id, None) is not None:
                self._jobs[job.request.id] = job
