"""The worker process: `python -m ollama_nb_server.engine.worker`, started by `process`.

Reads its orders' address and keys from the first line of stdin, and ends when stdin does: a worker
never outlives its parent.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from typing import Any

import orjson
import zmq

from ollama_nb_server.engine.channel import decode, encode
from ollama_nb_server.engine.core import ActiveRequests, EngineCore, failure
from ollama_nb_server.engine.errors import LoadFailed, NotEnoughMemory
from ollama_nb_server.engine.fallbacks import load
from ollama_nb_server.engine.load_progress import LoadProgress, told
from ollama_nb_server.engine.messages import Cancel, Loading, LoadSpec
from ollama_nb_server.engine.native import AbortSwitch, NativeLog


def connected(context: zmq.Context[Any], kind: int, order: dict[str, str], port: str) -> Any:
    """A socket to the parent, encrypted with the keys it handed over."""
    socket = context.socket(kind)
    socket.curve_serverkey = order["server_key"].encode()
    socket.curve_publickey = order["public_key"].encode()
    socket.curve_secretkey = order["secret_key"].encode()
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.connect(f"tcp://127.0.0.1:{order[port]}")
    return socket


def end_with_parent() -> None:
    """Leave when the parent's end of stdin closes, whatever the main thread computes."""
    while os.read(sys.stdin.fileno(), 4096):  # not by sys.stdin, whose lock an exit would want
        pass
    os._exit(0)


def die_of(failure: threading.ExceptHookArgs) -> None:
    """A worker whose reading thread has failed is of no use: end, the parent starts another."""
    sys.excepthook(failure.exc_type, failure.exc_value or SystemExit(), failure.exc_traceback)
    os._exit(1)


def read_orders(socket: Any, inbox: queue.SimpleQueue[Any], active: ActiveRequests) -> None:
    """Pass messages on; a cancellation stops the computation it concerns right here."""
    while True:
        for message in decode(socket.recv_multipart()):
            inbox.put(message)
            if isinstance(message, Cancel):
                active.cancelled(message.id)


def main() -> None:
    """Load, say so, and serve until the parent is gone."""
    order = orjson.loads(sys.stdin.buffer.readline())
    threading.excepthook = die_of
    threading.Thread(target=end_with_parent, daemon=True).start()
    context: zmq.Context[Any] = zmq.Context()
    answers = connected(context, zmq.PUSH, order, "answer_port")
    try:
        serve(order, context, answers)
    except (LoadFailed, NotEnoughMemory) as error:
        answers.send_multipart(encode(failure(0, error)))
    context.destroy(linger=5000)


def serve(order: dict[str, Any], context: zmq.Context[Any], answers: Any) -> None:
    """Load the model and do what comes; returns only by an error."""
    abort = AbortSwitch()
    spec = LoadSpec.received(order["spec"])
    progress = LoadProgress.of(spec)
    with told(progress, lambda fraction: answers.send_multipart(encode(Loading(fraction)))):
        engine = load(spec, NativeLog(), abort, progress=progress)
    with engine:
        inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        active = ActiveRequests(abort)
        orders = connected(context, zmq.PULL, order, "order_port")
        threading.Thread(target=read_orders, args=(orders, inbox, active), daemon=True).start()
        answers.send_multipart(encode(engine.loaded()))
        if engine.context is not None:
            engine.grammars.begin()  # after the news of the load: nobody waits for it yet

        def send(*told: Any) -> None:
            answers.send_multipart(encode(*told))

        EngineCore(engine, inbox, active, send, send).run()


if __name__ == "__main__":
    main()
