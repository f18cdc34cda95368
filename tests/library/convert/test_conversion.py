"""The child process: its progress, its failures, its memory, and that a stop stops it."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import tiny
from ollama_nb_server.library import gguf
from ollama_nb_server.library.convert import CannotConvert, NoConfig, convert, convert_adapter
from ollama_nb_server.library.jobs import Cancellation, Cancelled

MODULE = "ollama_nb_server.library.convert"
WIDE = 32_000  # rows of a matrix


def wide(folder: Path, count: int) -> Path:
    """A model with so many matrices of 4 MB (2 MB as F16)."""
    hidden = tiny.HIDDEN
    shapes = {
        name: {(tiny.INNER, hidden): (WIDE, hidden), (hidden, tiny.INNER): (hidden, WIDE)}.get(
            shape, shape
        )
        for name, shape in tiny.decoder(tiny.SPM, blocks=count // 3).items()
    }
    tiny.write(folder, "llama-byte-fallback")
    (folder / "config.json").write_text(tiny.tokens.text(tiny.config(
        "LlamaForCausalLM", "llama", tiny.SPM, intermediate_size=WIDE, num_hidden_layers=count // 3)))  # fmt: skip
    ones = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    tiny.save(folder / "model.safetensors", ones)
    return folder


def converting() -> list[psutil.Process]:
    """Children of this process that convert."""
    children = psutil.Process().children(recursive=True)
    return [c for c in children if c.status() != psutil.STATUS_ZOMBIE and MODULE in c.cmdline()]


def test_progress_counts_the_bytes_of_the_tensors(tmp_path: Path) -> None:
    folder, target = tiny.write(tmp_path / "qwen2", "qwen2"), tmp_path / "out.gguf"

    steps = list(convert(folder, target))

    done = [step[0] for step in steps]
    metadata = gguf.read(target)
    assert done == sorted(set(done))
    assert (
        {total for _, total in steps} == {sum(t.num_bytes for t in metadata.tensors)} == {done[-1]}
    )
    assert metadata.architecture == "qwen2"
    assert metadata.file_type == "F16"


def test_an_adapter_is_converted_in_a_child_too(tmp_path: Path) -> None:
    list(convert(tiny.write(tmp_path / "base", "qwen2"), tmp_path / "base.gguf"))
    adapter = tiny.write_adapter(tmp_path / "adapter", "qwen2", use_rslora=True)

    list(convert_adapter(adapter, tmp_path / "out.gguf", tmp_path / "base.gguf"))

    metadata = gguf.read(tmp_path / "out.gguf")
    assert metadata.kind == "adapter"
    assert metadata.values["adapter.lora.alpha"] == 8 * tiny.RANK**0.5


def test_the_reason_comes_from_the_child(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "model", "mistral")
    (folder / "tokenizer.model").unlink()

    with pytest.raises(
        CannotConvert, match=r"^there is no tokenizer.json, tokenizer.model or vocab"
    ):
        list(convert(folder, tmp_path / "out.gguf"))


def test_texts_that_are_no_text_are_refused(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "model", "qwen2")
    file = (folder / "tokenizer.json").read_text().replace("<tool_call>", "\\ud800")
    (folder / "tokenizer.json").write_text(file)

    with pytest.raises(CannotConvert, match="no UTF-8"):
        list(convert(folder, tmp_path / "out.gguf"))


def test_a_folder_without_config_is_refused_in_ollamas_words(tmp_path: Path) -> None:
    with pytest.raises(NoConfig, match=r"^open config.json: no such file or directory$"):
        list(convert(tmp_path, tmp_path / "out.gguf"))
    with pytest.raises(NoConfig, match=r"^open adapter_config.json: no such file"):
        list(convert_adapter(tmp_path, tmp_path / "out.gguf", tmp_path / "base.gguf"))


def test_what_the_system_refuses_is_told_as_its_error(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "model", "mistral")

    with pytest.raises(FileNotFoundError):
        list(convert(folder, tmp_path / "nowhere" / "out.gguf"))


def test_closing_ends_the_child(tmp_path: Path) -> None:
    steps = convert(wide(tmp_path / "wide", 6), tmp_path / "out.gguf")
    next(steps)
    working = converting()

    steps.close()

    assert len(working) == 1
    assert not working[0].is_running()
    assert not converting()


def test_a_cancellation_ends_the_child_from_another_thread(tmp_path: Path) -> None:
    cancellation = Cancellation()
    steps = convert(wide(tmp_path / "wide", 24), tmp_path / "out.gguf", "F32", cancellation)
    next(steps)

    threading.Thread(target=cancellation.cancel).start()

    with pytest.raises(Cancelled):
        list(steps)
    assert not converting()


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_memory_stays_near_the_largest_tensor(tmp_path: Path) -> None:
    little, much = wide(tmp_path / "3", 3), wide(tmp_path / "24", 24)

    needed = peak_bytes(much, tmp_path) - peak_bytes(little, tmp_path)

    assert (much / "model.safetensors").stat().st_size > 90 << 20
    assert needed < 10 << 20


# (What wait4 says of a child counts the memory of the process that it was forked from.)
PEAK = """
import runpy, sys
try:
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end.code
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


def peak_bytes(folder: Path, place: Path) -> int:
    """The most memory that a conversion had."""
    command = [sys.executable, "-c", PEAK, MODULE, str(folder), str(place / "out.gguf")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1]) * 1024


def test_the_server_starts_without_the_packages_of_the_child() -> None:
    code = "import sys, ollama_nb_server.library.create; print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {"gguf", "safetensors"} & set(done.stdout.split())
