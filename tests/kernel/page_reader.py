"""Somebody who goes through a page from top to bottom and does what each of its blocks says.

Cells run in one kernel, commands in a shell, both in one folder and at one server; what a block
shows is compared with the output that is printed below it. Every block is read: one in a language
that nobody can run is a complaint.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from cells import Cells, Run
from ollama_nb_server.sharing import BadSharing, Sharing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from page_blocks import Block

SHELL_S = 60
# Numbers differ from run to run, and with them how many blanks stand before them in a table.
_NUMBERS = re.compile(r"\s*\d[\d,.]*")
_WARNING = re.compile(r"^.*\w+Warning: .*$", re.MULTILINE)


class Reader:
    """Reads the blocks of one page.

    `environ` is that of the kernel and of commands, `instead` holds what a reader puts in place of
    what a page cannot know: addresses and secrets.
    """

    def __init__(
        self, folder: Path, environ: Mapping[str, str], instead: Mapping[str, str]
    ) -> None:
        self.folder, self.environ, self.instead = folder, dict(environ), instead
        self.shown = ""  # by the block before
        self._cells: Cells | None = None

    @property
    def cells(self) -> Cells:
        if self._cells is None:
            self._cells = Cells(self.environ, cwd=self.folder, loaded=False)
        return self._cells

    def close(self) -> None:
        if self._cells is not None:
            self._cells.close()

    def complaint(self, block: Block) -> str:
        """Do what a block says, and tell what is wrong with it; nothing is an empty text."""
        read = {
            "python": self._cell,
            "ipython": self._cell,
            "sh": self._command,
            "json": self._json,
            "ini": self._ini,
            "toml": self._toml,
            "yaml": self._yaml,
            "text": self._output,
        }.get(block.language)
        return read(block.text) if read else f"nobody can run {block.language or 'no language'!r}"

    def _cell(self, text: str) -> str:
        if "import configure\n" in text:
            return self._hub(text)
        run = self.cells.run(text, watched=True, typed=["a"] * 3)  # all calls of tools may run
        self.shown = _shown(run)
        if run.status != "ok":
            return f"{run.error['ename']}: {run.error['evalue']}"
        return "; ".join(_WARNING.findall(self.shown))

    def _hub(self, text: str) -> str:
        """A configuration of a Hub, read as the Hub reads one."""
        done = subprocess.run(
            [sys.executable, "-c", f"from traitlets.config import Config\nc = Config()\n{text}"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=SHELL_S,
            check=False,
        )
        return done.stderr.strip().rpartition("\n")[2]

    def _ini(self, text: str) -> str:
        """A unit of systemd, which may say the same key again."""
        try:
            configparser.RawConfigParser(strict=False).read_string(text)
        except configparser.Error as error:
            return f"this is no unit: {error}"
        return ""

    def _meant(self, text: str) -> str:
        for told, meant in self.instead.items():
            text = text.replace(told, meant)
        return text

    def _command(self, text: str) -> str:
        text = self._meant(text)
        bin_folder = Path(sys.executable).parent
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.folder,
            env={**self.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=SHELL_S,
            check=False,
        )
        self.shown = done.stdout
        if done.returncode:
            return done.stderr.strip() or f"it ends with {done.returncode}"
        return next((line for line in done.stdout.splitlines() if '"error"' in line), "")

    def _json(self, text: str) -> str:
        """Read it; below a command it is what that answers, in kind."""
        try:
            told, was = json.loads(text), json.loads(self.shown)
        except json.JSONDecodeError as error:
            return f"this is no JSON, or stands below none: {error}"
        return "" if _kind(told) == _kind(was) else f"that is not what comes: {self.shown[:2000]}"

    def _toml(self, text: str) -> str:
        """A configuration of a shared server, which `--config` takes."""
        path = self.folder / "sharing.toml"
        path.write_text(self._meant(text))
        try:
            Sharing.from_file(path)
        except BadSharing as error:
            return str(error)
        return ""

    def _yaml(self, text: str) -> str:
        try:
            return "" if isinstance(yaml.safe_load(text), dict) else "this is no mapping"
        except yaml.YAMLError as error:
            return f"this is no YAML: {error}"

    def _output(self, text: str) -> str:
        """Find each line in what the block before has shown, whatever the numbers."""
        shown = {_masked(line) for line in self.shown.splitlines()}
        missing = [line for line in text.splitlines() if _masked(line) not in shown]
        return f"not shown: {missing} but {self.shown[:2000]}" if missing else ""


def _shown(run: Run) -> str:
    """All that a cell shows as plain text."""
    streams = "".join(content["text"] for content in run.contents("stream"))
    return "\n".join([streams, *(str(data.get("text/plain", "")) for data in run.saved)])


def _masked(line: str) -> str:
    return _NUMBERS.sub(" 0", line).strip()


def _kind(value: Any) -> Any:
    """What a value of JSON is made of: names of fields, types, what lists hold."""
    if isinstance(value, dict):
        return {name: _kind(held) for name, held in value.items()}
    if isinstance(value, list):
        return [_kind(value[0])] if value else []
    return "number" if isinstance(value, (int, float)) else type(value).__name__
