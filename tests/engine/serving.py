"""The engine's core in the test's own thread, interrupted at exact places.

Model, engine and core are the real ones. What brings messages in and takes them out is the test's,
so that a run is the same every time: it is over when nothing is left to do, and a cancellation
comes at a given token, or in the middle of a computation, at a given node of its graph.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import llama_cpp as ll
import numpy as np
from ollama_nb_server.engine.core import ActiveRequests, EngineCore
from ollama_nb_server.engine.engine import Engine
from ollama_nb_server.engine.grammars.grammar import Compiled
from ollama_nb_server.engine.messages import (
    Cancel,
    Cancelled,
    Delta,
    Embed,
    Embedded,
    Failed,
    Finished,
    Generate,
    Grammar,
    LoadSpec,
    Logprob,
    SamplingParams,
    Score,
    Scored,
    Segment,
    TextSegment,
    TokenSegment,
)
from ollama_nb_server.engine.native import AbortSwitch, NativeLog

GREEDY = SamplingParams(seed=1, temperature=0)
Action = Callable[[], object]


def segments(prompt: str | tuple[int | Segment, ...]) -> tuple[Segment, ...]:
    """A prompt that is a text, token ids, or segments."""
    if isinstance(prompt, str):
        return (TextSegment(prompt),)
    ids = tuple(part for part in prompt if isinstance(part, int))
    return (TokenSegment(ids),) if ids else tuple(p for p in prompt if not isinstance(p, int))


class NothingLeft(BaseException):
    """There is nothing to do, and no message will come."""


class Inbox(queue.SimpleQueue):
    expects: Callable[[], object] = bool  # whether a thread is still to report

    def get(self, *args: object, **kwargs: object) -> Any:
        if self.empty() and not self.expects():
            raise NothingLeft
        return super().get(timeout=60)


class CountingSwitch(AbortSwitch):
    """Counts how often llama.cpp asks it: once a node of a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes, self.at_node = 0, dict[int, Action]()
        self.function = ll.ggml_abort_callback(self._asked)

    def _asked(self, _: object) -> bool:
        self.nodes += 1
        self.at_node.pop(self.nodes, bool)()
        return self.is_set


@dataclass
class Answer:
    """What has come of a request; `places` are the nodes that were computed at each piece."""

    pieces: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    logprobs: list[Logprob] = field(default_factory=list)
    end: Finished | Embedded | Scored | Failed | None = None
    cancelled: bool = field(default=False, compare=False)
    end_place: int = 0

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def steps(self) -> list[int]:
        """Nodes that were computed between its pieces."""
        return [later - sooner for sooner, later in zip(self.places, self.places[1:], strict=False)]


def by_choice(scored: Scored) -> list[list[list[float]]]:
    """The log-probabilities of a request: by prompt, by choice, by token."""
    ends = list(accumulate(map(len, scored.tokens)))
    rows = (np.frombuffer(row, "<f8").tolist() for row in scored.logprobs)
    return [[row[a:b] for a, b in pairwise([0, *ends])] for row in rows]


class Serving:
    """A loaded model at work. Requests and cancellations go in, `run` lets it serve them."""

    def __init__(self, path: Path, **wishes: Any) -> None:
        self._switch = CountingSwitch()
        spec = LoadSpec(str(path), **{"num_ctx": 512, "num_parallel": 4, **wishes})
        self.engine = Engine(spec, NativeLog(), self._switch)
        self._inbox, self._active = Inbox(), ActiveRequests(self._switch)
        self._core = EngineCore(self.engine, self._inbox, self._active, self._sent)
        if self._core.images:
            self._inbox.expects = lambda: self._core.images.num_waiting
        self.answers: list[Answer] = []
        self._at_piece: dict[tuple[int, int], Action] = {}
        self._at_end: dict[int, Action] = {}
        self._compiles = False

    def close(self) -> None:
        self.engine.__exit__()

    @property
    def nodes(self) -> int:
        """Nodes of graphs computed so far."""
        return self._switch.nodes

    def ask(self, prompt: str | tuple[int | Segment, ...], **wishes: Any) -> int:
        """Put a request in; its id, which is its place in `answers`. Its grammar is compiled."""
        if "grammar" in wishes:
            self._compile(wishes["grammar"])
        request = len(self.answers)
        self.answers.append(Answer())
        wishes = {"sampling": GREEDY, "num_predict": 24, **wishes}
        self._inbox.put(Generate(request, segments(prompt), **wishes))
        return request

    def _compile(self, grammar: Grammar) -> None:
        """Have it kept, so that it is there at once when it is asked for: nothing waits here."""
        if not self._compiles:
            self.engine.grammars.begin()
            self._compiles = True
        done = queue.SimpleQueue[Any]()
        self.engine.grammars.compile(grammar, done.put)
        compiled = done.get(timeout=60)
        assert isinstance(compiled, Compiled), compiled

    def answer(self, prompt: str, **wishes: Any) -> Answer:
        """What comes of one request, beside whatever else waits."""
        request = self.ask(prompt, **wishes)
        self.run()
        return self.answers[request]

    def embed(self, *texts: str, **wishes: Any) -> int:
        """Put a request for vectors in; its id."""
        request = len(self.answers)
        self.answers.append(Answer())
        self._inbox.put(Embed(request, texts, **wishes))
        return request

    def vectors(self, *texts: str) -> tuple[bytes, ...]:
        """The vectors of texts, computed beside whatever else waits."""
        request = self.embed(*texts)
        self.run()
        return self.answers[request].end.vectors

    def score(self, prompts: Iterable[Any], choices: Iterable[str], **wishes: Any) -> int:
        """Put a request for scores in; its id. Choices are texts without special tokens."""
        request = len(self.answers)
        self.answers.append(Answer())
        texts = tuple((TextSegment(choice, parse_special=False),) for choice in choices)
        self._inbox.put(Score(request, tuple(map(segments, prompts)), texts, **wishes))
        return request

    def scores(
        self, prompts: Iterable[Any], choices: Iterable[str], **wishes: Any
    ) -> list[list[list[float]]]:
        """By prompt and choice, the log-probabilities of the choice's tokens."""
        request = self.score(prompts, choices, **wishes)
        self.run()
        return by_choice(self.answers[request].end)

    def leave(self, request: int) -> None:
        """Cancel between two computations: there is nothing to stop."""
        self._inbox.put(Cancel(request))

    def cancel(self, request: int) -> None:
        """Cancel as the worker's reading thread does, whatever is being computed."""
        self._inbox.put(Cancel(request))
        self._active.cancelled(request)

    def engine_abort(self) -> None:
        """Stop what is computed, for nobody's sake."""
        self._switch.set()

    def at_piece(self, request: int, count: int, action: Action) -> None:
        """Have something done when so many pieces of an answer have come."""
        self._at_piece[request, count] = action

    def at_end(self, request: int, action: Action) -> None:
        """Have something done when an answer is over."""
        self._at_end[request] = action

    def in_nodes(self, count: int, action: Action) -> None:
        """Have something done in the middle of a computation, so many nodes from now."""
        self._switch.at_node[self.nodes + count] = action

    def run(self) -> None:
        """Serve until nothing is left to do."""
        try:
            self._core.run()
        except NothingLeft:
            assert not self._switch.at_node, "the computation was over before"

    def _sent(self, *told: Any) -> None:
        for event in told:
            answer = self.answers[event.id]
            if isinstance(event, Cancelled):
                answer.cancelled = True
            elif isinstance(event, Delta):
                answer.pieces.append(event.text)
                answer.logprobs += event.logprobs
                answer.places.append(self.nodes)
                self._at_piece.pop((event.id, len(answer.pieces)), bool)()
            elif isinstance(event, Finished | Embedded | Scored | Failed):
                answer.end, answer.end_place = event, self.nodes
                self._at_end.pop(event.id, bool)()
