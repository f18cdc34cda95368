"""The parent's side: starts the child, passes its progress on, gives its failure a class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ollama_nb_server.library.convert.errors import CannotConvert, ConversionFailed, NoConfig
from ollama_nb_server.library.jobs import Cancellation, ChildFailed, steps

MODULE = "ollama_nb_server.library.convert"
TYPES = ("F16", "F32", "BF16")
# The child's exit codes: its last line says why the files are to blame, or the error number and
# text of the operating system.
REFUSED, SYSTEM = 2, 3


def convert(
    folder: Path, target: Path, kind: str = "F16", cancellation: Cancellation | None = None
) -> Iterator[tuple[int, int]]:
    """Write a model's folder to `target` as GGUF, telling bytes written and bytes in all.

    Closing the iterator ends the work, and so does the cancellation, from any thread; what lies in
    `target` is of no use then.

    Parameters
    ----------
    folder
        Holds config.json, the safetensors files and the tokenizer; links are followed.
    target
        The file to write.
    kind
        One of `TYPES`: what matrices are stored as. Vectors are F32 always.
    cancellation
        What may stop the child.

    Raises
    ------
    NoConfig
        Without a config.json.
    CannotConvert
        If the files are to blame.
    ConversionFailed, OSError
        If anything else went wrong.
    Cancelled
    """
    if not (folder / "config.json").is_file():
        raise NoConfig("config.json")
    yield from _steps([str(folder), str(target), "--type", kind], cancellation)


def convert_adapter(
    folder: Path, target: Path, base: Path, cancellation: Cancellation | None = None
) -> Iterator[tuple[int, int]]:
    """Write a LoRA adapter's folder to `target`; like `convert`.

    Parameters
    ----------
    folder
        Holds adapter_config.json and the safetensors file.
    target
        The file to write.
    base
        The GGUF file of the model that the adapter is for.
    cancellation
        What may stop the child.
    """
    if not (folder / "adapter_config.json").is_file():
        raise NoConfig("adapter_config.json")
    arguments = [str(folder), str(target), "--adapter", "--base", str(base)]
    yield from _steps(arguments, cancellation)


def _steps(
    arguments: Sequence[str], cancellation: Cancellation | None
) -> Iterator[tuple[int, int]]:
    try:
        yield from steps(MODULE, arguments, cancellation)
    except ChildFailed as error:
        if error.code == REFUSED:
            raise CannotConvert(error.said) from error
        number, _, text = error.said.partition(" ")
        if error.code == SYSTEM and number.isdecimal():
            raise OSError(int(number), text) from error
        raise ConversionFailed(f"the conversion failed: {error}") from error
