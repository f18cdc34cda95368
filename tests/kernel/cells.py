"""A real kernel whose cells are run and watched, as a front end would."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from queue import Empty
from typing import TYPE_CHECKING, Any

from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import httpx

DEADLINE_S = 60.0
NAMES_A_SERVER = (
    "JUPYTER_OLLAMA_URL",
    "JUPYTER_OLLAMA_TOKEN",
    "JUPYTERHUB_API_TOKEN",
    "OLLAMA_NB_SET_HOST",
)
OURS = (*NAMES_A_SERVER, "OLLAMA_HOST", "OLLAMA_API_KEY", "OLLAMA_NB_MODEL", "JPY_PARENT_PID")


def kernel_environ(url: str, home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a kernel that finds the server at `url` and no home of a user."""
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    places = {"JUPYTER_RUNTIME_DIR": str(home / "runtime"), "IPYTHONDIR": str(home / "ipython")}
    return {**kept, **places, "OLLAMA_HOST": url, **more}


@dataclass
class Run:
    """What one cell did: its messages, read as a saved notebook would."""

    status: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    questions: list[str] = field(default_factory=list)
    identity: str = ""  # of the message that asked for the cell

    def contents(self, kind: str) -> list[dict[str, Any]]:
        return [message["content"] for message in self.messages if message["msg_type"] == kind]

    @property
    def first_displays(self) -> list[dict[str, Any]]:
        return [content["data"] for content in self.contents("display_data")]

    @property
    def updates(self) -> list[dict[str, Any]]:
        return [content["data"] for content in self.contents("update_display_data")]

    @property
    def saved(self) -> list[dict[str, Any]]:
        """The displayed outputs as they are saved: updates take the place of the first."""
        kept: dict[str, dict[str, Any]] = {}
        for place, message in enumerate(self.messages):
            if message["msg_type"] in ("display_data", "update_display_data", "execute_result"):
                content = message["content"]
                kept[content.get("transient", {}).get("display_id", str(place))] = content["data"]
        return list(kept.values())

    @property
    def text(self) -> str:
        """The plain text of the only output."""
        (data,) = self.saved
        return str(data["text/plain"])

    @property
    def result(self) -> str:
        (content,) = self.contents("execute_result")
        return str(content["data"]["text/plain"])

    @property
    def stdout(self) -> str:
        return "".join(
            content["text"] for content in self.contents("stream") if content["name"] == "stdout"
        )

    @property
    def error(self) -> dict[str, Any]:
        (content,) = self.contents("error")
        return content


class Cells:
    """A kernel with `ollama_nb` loaded, unless it is not to be, in the folder `cwd`."""

    def __init__(
        self, env: dict[str, str], *, cwd: Path | None = None, loaded: bool = True
    ) -> None:
        self.manager = KernelManager()
        self.manager.start_kernel(env=env, cwd=cwd)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=DEADLINE_S)
        self.outputs: dict[str, str] = {}  # by display_id: the cell it began in
        self.last_shown: dict[str, Any] = {}  # by cell
        if loaded:
            self.run("%load_ext ollama_nb")

    def run(
        self,
        code: str,
        *,
        watched: bool = False,
        on_message: Callable[[dict[str, Any]], object] | None = None,
        cell_id: str | None = None,
        typed: Sequence[str] = (),
    ) -> Run:
        """Run a cell; `watched` asks for it as JupyterLab does, else as nbclient does.

        `typed` are the answers to its questions.
        """
        run = Run()
        left = list(typed)
        begin = time.monotonic()
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
        content |= {"allow_stdin": watched, "stop_on_error": True}
        metadata = {"cellId": cell_id} if cell_id else {}
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        identity = run.identity = message["header"]["msg_id"]
        for seen in self._until_idle(identity, lambda: self._type(left, run)):
            run.messages.append(seen)
            if on_message is not None:
                on_message(seen)
        run.status = self._reply(identity)["content"]["status"]
        run.seconds = time.monotonic() - begin
        return run

    def _type(self, left: list[str], run: Run) -> bool:
        """Answer a question, if there is one; tell whether more is to be typed."""
        if left and self.client.stdin_channel.msg_ready():
            question = self.client.get_stdin_msg(timeout=DEADLINE_S)
            run.questions.append(question["content"]["prompt"])
            self.client.input(left.pop(0))
        return bool(left)

    def _until_idle(self, identity: str, type_more: Callable[[], bool]) -> Any:
        until = time.monotonic() + DEADLINE_S
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=0.05 if type_more() else DEADLINE_S)
            except Empty:
                assert time.monotonic() < until, "the kernel says nothing"
                continue
            self._check(message)
            if message["parent_header"].get("msg_id") != identity:
                continue
            yield message
            if message["content"].get("execution_state") == "idle":
                return

    def _check(self, message: dict[str, Any]) -> None:
        """Hold every output to what all front ends can show: one that is replaced, never cleared.

        Whichever thread replaces it, and whatever cell runs by then, it is its own cell's.
        """
        kind, content = message["msg_type"], message["content"]
        assert kind != "clear_output"
        display, cell = content.get("transient", {}).get("display_id"), message["parent_header"]
        if kind == "display_data" and display:
            assert display not in self.outputs, "an output was displayed twice"
            self.outputs[display] = cell["msg_id"]
        if kind == "update_display_data":
            assert self.outputs.get(display) == cell["msg_id"], "replaces no output of its cell"
        if kind in ("display_data", "update_display_data"):
            self.last_shown[cell["msg_id"]] = content["data"]

    def _reply(self, identity: str) -> dict[str, Any]:
        while True:
            reply = self.client.get_shell_msg(timeout=DEADLINE_S)
            if reply["parent_header"].get("msg_id") == identity:
                return dict(reply)

    def complete(self, code: str) -> list[str]:
        """The texts that a Tab at the end of the code proposes, put into the code."""
        answer = self._reply(self.client.complete(code, len(code)))["content"]
        begin, end = answer["cursor_start"], answer["cursor_end"]
        return [code[:begin] + match + code[end:] for match in answer["matches"]]

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


def eventually(condition: Callable[[], Any], what: str, deadline_s: float = 20.0) -> Any:
    """Poll until the condition holds and return its value."""
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {deadline_s} s: {what}")


def metric(client: httpx.Client, name: str) -> float:
    """Return a number that a server of ours tells of itself, over all models."""
    lines = client.get("/metrics").text.splitlines()
    return sum(float(x.split()[-1]) for x in lines if re.match(f"ollama_nb_{name}", x))


def assert_computes_nothing(client: httpx.Client) -> None:
    """Hold a server to what Stop promises: no request is running, and no step is made."""
    eventually(lambda: metric(client, "requests_(running|waiting)") == 0, "all requests to end")
    steps = metric(client, "engine_step_seconds_count")
    for _ in range(3):  # the worker has its turns meanwhile
        client.post("/api/tokenize", json={"model": "demo", "text": "Hi"}).raise_for_status()
    assert metric(client, "engine_step_seconds_count") == steps > 0
