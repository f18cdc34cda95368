"""The parent's side of a worker: start it, ask it, hear of its death, stop it.

One asyncio handle per process. What the worker does with a request is in `core`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, TypeVar

import orjson
import zmq
import zmq.asyncio
from tornado.ioloop import IOLoop
from zmq.utils.monitor import recv_monitor_message

from ollama_nb_server.engine.attendant import attended
from ollama_nb_server.engine.channel import decode, encode
from ollama_nb_server.engine.client import End, Ended, Ending, Segments, segments_of, unheard
from ollama_nb_server.engine.errors import (
    InternalError,
    LoadFailed,
    UnknownMessage,
    WorkerDied,
    revived,
)
from ollama_nb_server.engine.messages import (
    Cancel,
    Delta,
    Detokenize,
    Embed,
    Embedded,
    EngineStats,
    Failed,
    Finished,
    Generate,
    Loaded,
    Loading,
    LoadSpec,
    Progress,
    Score,
    Scored,
    Text,
    Tokenize,
    Tokens,
)
from ollama_nb_server.engine.response_stream import ResponseStream

log = logging.getLogger(__name__)

LOADING = 0  # the id in a message about the load itself
STOP_GRACE_S = 2.0
LAST_WORDS_S = 5.0
RETRY_SIGNALS = frozenset(getattr(signal, name, None) for name in ("SIGILL", "SIGSEGV", "SIGBUS"))
Answer = TypeVar("Answer")


def unwatched(_: float) -> None:
    """Nobody looks how far a load is."""


class Worker:
    """One worker process with a loaded model. Make it with `start`, end it with `stop`."""

    def __init__(self, spec: LoadSpec, progress: Callable[[float], None]) -> None:
        self.spec, self._progress = spec, progress
        self.info: Loaded
        self.stats = EngineStats()
        self._ids = itertools.count(1)
        self._streams: dict[int, ResponseStream] = {}
        self._loop = asyncio.get_running_loop()
        self._death: asyncio.Future[WorkerDied] = self._loop.create_future()
        self._ready: asyncio.Future[Loaded] = self._loop.create_future()
        self._ready.add_done_callback(lambda ready: ready.exception())  # nobody may be waiting
        self._stopping = self._connected = False
        self._open()
        self._events = IOLoop.current()
        self._events.add_handler(self._answers, self._read, IOLoop.READ)
        self._events.add_handler(self._monitor, self._connection_changed, IOLoop.READ)

    @classmethod
    async def start(
        cls,
        spec: LoadSpec,
        progress: Callable[[float], None] = unwatched,
        *,
        timeout_s: float | None = 300.0,
    ) -> Worker:
        """Start a process and load the model in it.

        A process that dies of an illegal instruction or a bad address is tried once more without
        the processor's extra buffer types (repacked and AMX matrices): some builds die in these.
        `progress` is called with the part of the weights that has been read, from 0 to 1.

        Raises
        ------
        LoadFailed
            If llama.cpp refuses the model, or the load takes longer than `timeout_s` seconds.
        WorkerDied
            If the process ends before it is ready.
        """
        try:
            return await cls._started(spec, progress, timeout_s)
        except WorkerDied as death:
            if death.signal not in RETRY_SIGNALS or not spec.use_extra_bufts:
                raise
            warning = f"{death.cause} while loading; loaded again without extra buffer types"
            log.warning("%s: %s", spec.model_path, warning)
            again = replace(spec, use_extra_bufts=False)
            worker = await cls._started(again, progress, timeout_s)
            worker.info = replace(worker.info, warnings=(*worker.info.warnings, warning))
            return worker

    @classmethod
    async def _started(
        cls, spec: LoadSpec, progress: Callable[[float], None], timeout_s: float | None
    ) -> Worker:
        worker = cls(spec, progress)
        try:
            worker.info = await asyncio.wait_for(asyncio.shield(worker._ready), timeout_s)
        except asyncio.TimeoutError:
            await worker.stop()
            raise LoadFailed(spec.model_path, f"it was not loaded after {timeout_s} s") from None
        except BaseException:  # also a cancelled load must not leave a process behind
            await asyncio.shield(worker.stop())
            raise
        return worker

    # --- what it can be asked ---------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return not self._death.done()

    def new_id(self) -> int:
        """A request id that this worker has not seen."""
        return next(self._ids)

    async def generate(
        self, request: Generate, ended: Ended = unheard
    ) -> AsyncGenerator[Delta | Progress | Finished, None]:
        """Run a request; closing the generator cancels it in the worker, and waits for its end.

        `ended` is called once with how it ended and what was computed of it.

        Raises
        ------
        PromptTooLong, CannotGenerate, GrammarRefused, GrammarDeadEnd, DecodeFailed, WorkerDied,
        InternalError
            As the engine's errors say.
        """
        stream = self._asked(request)
        try:
            while True:
                event = await stream.get()
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            await self._leave(request.id, stream, ended)

    async def embed(self, request: Embed, ended: Ended = unheard) -> Embedded:
        """Vectors of texts; cancelling the task cancels the request."""
        return await self._answered(request, Embedded, ended)

    async def score(self, request: Score, ended: Ended = unheard) -> Scored:
        """How likely texts are behind prompts; cancelling the task cancels the request.

        Raises
        ------
        ScoreTooLong, ChoiceWithoutTokens, ScoreNotFinite, PromptTooLong, CannotGenerate,
        DecodeFailed, WorkerDied, InternalError
            As the engine's errors say.
        """
        return await self._answered(request, Scored, ended)

    async def tokenize(self, prompt: Segments, *, add_special: bool = False) -> tuple[int, ...]:
        """Token ids of a prompt."""
        request = Tokenize(self.new_id(), segments_of(prompt), add_special)
        return (await self._answered(request, Tokens)).tokens

    async def ends(self, prompt: Segments, num: int) -> tuple[int, tuple[int, ...]]:
        """How many tokens a prompt has, BOS included, and the first and last `num` of them.

        All of them, if there are no more than these.
        """
        request = Tokenize(self.new_id(), segments_of(prompt), add_special=True, ends=num)
        answer = await self._answered(request, Tokens)
        return answer.count, answer.tokens

    async def count(self, prompt: Segments) -> int:
        """How many tokens a prompt has, BOS not included."""
        request = Tokenize(self.new_id(), segments_of(prompt), ends=1)
        return (await self._answered(request, Tokens)).count

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of token ids."""
        answer = await self._answered(Detokenize(self.new_id(), tuple(tokens)), Text)
        return answer.text

    async def wait_dead(self) -> WorkerDied:
        """Wait until the process has ended, whyever."""
        return await asyncio.shield(self._death)

    async def stop(self) -> None:
        """End the process and wait until it is gone. May be called again."""
        self._stopping = True
        if self.alive:
            self._child.terminate()
            try:
                await asyncio.wait_for(self.wait_dead(), STOP_GRACE_S)
            except asyncio.TimeoutError:
                self._child.kill()
                await self.wait_dead()
        self._end()

    async def _answered(self, request: Any, kind: type[Answer], ended: Ended = unheard) -> Answer:
        stream = self._asked(request)
        try:
            answer = await stream.get()
        finally:
            await self._leave(request.id, stream, ended)
        assert isinstance(answer, kind)
        return answer

    def _asked(self, request: Any) -> ResponseStream:
        if self._death.done():
            raise self._death.result()
        stream = self._streams[request.id] = ResponseStream()
        self._tell(request)
        return stream

    async def _leave(self, request: int, stream: ResponseStream, ended: Ended) -> None:
        """Cancel a request that is not over, and wait until the worker has let go of it."""
        try:
            if not stream.ended and self.alive:
                self._tell(Cancel(request))
                await stream.wait_ended()
        finally:
            del self._streams[request]
            ended(stream.ending())

    def _tell(self, message: Any) -> None:
        self._orders.send_multipart(encode(message))  # queues what cannot be sent yet

    # --- the process ------------------------------------------------------------------------------

    def _open(self) -> None:
        """Bind two sockets, start the process and hand it their ports and keys."""
        public, secret = zmq.curve_keypair()
        own_public, own_secret = zmq.curve_keypair()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._orders: zmq.asyncio.Socket = zmq.asyncio.Context(context).socket(zmq.PUSH)
        self._answers: zmq.Socket[bytes] = context.socket(zmq.PULL)  # read without futures: _read
        self._monitor = self._answers.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        )
        order_port, answer_port = _bound(self._orders, secret), _bound(self._answers, secret)
        order = {
            "spec": asdict(self.spec),
            "server_key": public.decode(),
            "public_key": own_public.decode(),
            "secret_key": own_secret.decode(),
            "order_port": order_port,
            "answer_port": answer_port,
        }
        self._child = attended(orjson.dumps(order), self._hear_of_death)
        self.pid = self._child.pid

    def _hear_of_death(self, code: int) -> None:
        with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._died, code)

    def _died(self, code: int) -> None:
        death = WorkerDied(
            "it was told to stop" if self._stopping else self._child.cause(code),
            loading=not self._ready.done(),
            signal=-code if code < 0 else None,
        )
        if not self._stopping:
            log.warning("%s: worker %d: %s", self.spec.model_path, self.pid, death.cause)
        self._death.set_result(death)
        self._orders.close()
        self._connection_changed()
        if self._connected and not self._stopping:  # what it has said is on its way
            self._loop.call_later(LAST_WORDS_S, self._end)
        else:
            self._end()

    def _connection_changed(self, *_: object) -> None:
        """Notice that the worker has connected, or that nothing more can come of it.

        The connection's end is told behind the last byte, and later than the process's end or
        sooner.
        """
        while not self._monitor.closed and self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._connected = True
            elif self._connected:
                self._connected = False
                if not self.alive:
                    self._end()

    def _end(self) -> None:
        """Read what the worker has said to its last moment; whoever waits for more is told."""
        if self._answers.closed:
            return
        self._read()
        death = self._death.result()
        for stream in self._streams.values():
            stream.fail(death)
        if not self._ready.done():
            self._ready.set_exception(death)
        self._events.remove_handler(self._answers)
        self._events.remove_handler(self._monitor)
        self._answers.disable_monitor()
        self._monitor.close()
        self._answers.close()

    def _read(self, *_: object) -> None:
        """Sort the worker's messages to those who wait for them, as many as have come.

        ZeroMQ's descriptor tells only that something has changed, so nothing may be left behind.
        """
        try:
            while not self._answers.closed and self._answers.poll(0):
                for message in decode(self._answers.recv_multipart()):
                    self._sort(message)
        except UnknownMessage:
            log.exception("%s: worker %d is not of this version", self.spec.model_path, self.pid)
            self._child.kill()

    def _sort(self, message: Any) -> None:
        if isinstance(message, Loading):
            self._progress(message.fraction)
        elif isinstance(message, Loaded):
            self._ready.set_result(message)
        elif isinstance(message, EngineStats):
            self.stats = message
        elif isinstance(message, Failed) and message.id == LOADING:
            self._ready.set_exception(revived(message.error, message.args))
        elif (stream := self._streams.get(message.id)) is None:
            return  # cancelled meanwhile
        elif isinstance(message, Failed):
            error = revived(message.error, message.args)
            if isinstance(error, InternalError):
                log.error("%s: a fault met a request:\n%s", self.spec.model_path, error.trace)
            stream.fail(error, Ending(End.FAILED, message.prompt_count, message.eval_count))
        else:
            stream.put(message)


def _bound(socket: zmq.Socket[Any], secret: bytes) -> int:
    """Bind a socket that only those can reach who know our public key; its port."""
    socket.curve_server, socket.curve_secretkey = True, secret
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.LINGER, 0)
    return socket.bind_to_random_port("tcp://127.0.0.1")
