"""The child process of a conversion; see the package for what it makes.

Writes `done total` lines (bytes) to stdout. When the files are to blame it says why in one line and
ends with `REFUSED`; when the operating system is, with `SYSTEM` and a line of its number and text.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from ollama_nb_server.library.convert.adapter import convert_adapter
from ollama_nb_server.library.convert.conversion import REFUSED, SYSTEM, TYPES
from ollama_nb_server.library.convert.errors import CannotConvert
from ollama_nb_server.library.convert.folder import Folder
from ollama_nb_server.library.convert.model import convert_model
from ollama_nb_server.library.errors import NotGGUF


def main() -> int:
    """Convert what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m ollama_nb_server.library.convert")
    parser.add_argument("folder", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument(
        "--type", choices=TYPES, default=TYPES[0], help="what matrices are stored as"
    )
    parser.add_argument("--adapter", action="store_true", help="the folder is a LoRA adapter")
    parser.add_argument("--base", type=Path, help="the GGUF file that the adapter is for")
    options = parser.parse_args()
    if options.adapter and options.base is None:
        parser.error("--adapter needs --base")
    logging.disable(logging.WARNING)  # of the package gguf: its lines are not the reason
    try:
        for done, total in _steps(options):
            sys.stdout.write(f"{done} {total}\n")
            sys.stdout.flush()
    except (CannotConvert, NotGGUF) as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return REFUSED
    except UnicodeEncodeError as error:  # JSON may hold half a pair of surrogates, GGUF may not
        sys.stderr.write(f"a text of the tokenizer is no UTF-8: {error}\n")
        return REFUSED
    except OSError as error:
        sys.stderr.write(f"{error.errno} {error.strerror}\n")
        return SYSTEM
    return 0


def _steps(options: argparse.Namespace) -> Iterator[tuple[int, int]]:
    folder = Folder(options.folder)
    if options.adapter:
        return convert_adapter(folder, options.target, options.base)
    return convert_model(folder, options.target, options.type)


if __name__ == "__main__":
    sys.exit(main())
