"""Records what llama.cpp's own converter makes of the tests' tiny models.

    python tools/record_conversions.py LLAMA_CPP            writes tests/library/convert/golden.json
    python tools/record_conversions.py LLAMA_CPP --only X   the records of one model anew

LLAMA_CPP is the folder that holds `convert_hf_to_gguf.py`: `vendor/llama.cpp` of the source package
of the llama-cpp-python that the project uses (`pip download --no-deps --no-binary :all:
llama-cpp-python==0.3.36`, unpacked). It runs in an environment of its own, as the converter needs
what the project does not: `pip install torch transformers sentencepiece protobuf safetensors gguf`.
The tests need none of it: they read the record.

Three things are changed for the converter:
- It tells a pre-tokenizer by how it cuts a test text into the vocabulary's tokens, which no tiny
  vocabulary can do: the name is given instead (`PRE`). How we tell it is tested by itself, with the
  expressions of published tokenizers.
- transformers 5 has a class of its own for Nomic's models, which does not know the names in their
  published config.json and fills in its defaults. The converter is made to read the file itself, as
  it does for models that transformers does not know.
- EmbeddingGemma's dense layers are kept (`--sentence-transformers-dense-modules`), as we do.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests" / "library" / "convert"
GOLDEN = TESTS / "golden.json"
sys.path.insert(0, str(TESTS))

import tiny  # noqa: E402  (the tests' folder is on the path from here on)
from described import described  # noqa: E402

PRE = {"llama": "llama-bpe", "qwen2": "qwen2", "qwen3": "qwen2", "phi4": "dbrx"}
RUN = """
import runpy, sys
sys.path.insert(0, sys.argv[1])
from conversion import base
base.TextModel.get_vocab_base_pre = lambda self, tokenizer, name=sys.argv[2]: name
known = base.AutoConfig.from_pretrained
def from_pretrained(folder, **options):
    if folder.name == "nomic-bert":
        raise ValueError("read config.json")
    return known(folder, **options)
base.AutoConfig.from_pretrained = from_pretrained
sys.argv = sys.argv[3:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(llama_cpp: Path, script: str, pre: str, arguments: list[str]) -> None:
    """One run of a converter, with the name of the pre-tokenizer given."""
    command = [sys.executable, "-c", RUN, str(llama_cpp), pre, str(llama_cpp / script), *arguments]
    done = subprocess.run(
        command,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{script} {' '.join(arguments)}:\n{done.stderr}")


def converted(llama_cpp: Path, folder: Path, name: str, kind: str) -> dict[str, Any]:
    """One model, as matrices of one type."""
    file = folder / f"{name}-{kind}.gguf"
    arguments = [str(folder / name), "--outtype", kind, "--outfile", str(file)]
    dense = ["--sentence-transformers-dense-modules"] if name == "gemma-embedding" else []
    run(llama_cpp, "convert_hf_to_gguf.py", PRE.get(name, "default"), arguments + dense)
    return described(file)


def record(llama_cpp: Path, folder: Path, only: str) -> dict[str, Any]:
    """All models and adapters, or one model and its adapters."""
    found: dict[str, Any] = {}
    wanted = [name for name in tiny.MODELS if only in ("", name)]
    for name in wanted:
        tiny.write(folder / name, name)
        found[name] = converted(llama_cpp, folder, name, "f16")
    for key, (name, kind) in tiny.OTHER_TYPES.items():
        if name in wanted:
            found[key] = converted(llama_cpp, folder, name, kind.lower())
    for name, base in tiny.ADAPTERS.items():
        if base not in wanted:
            continue
        adapter = tiny.write_adapter(folder / f"{name}-adapter", name)
        file = folder / f"{name}-adapter.gguf"
        arguments = ["--base", str(folder / base), "--outfile", str(file), str(adapter)]
        run(llama_cpp, "convert_lora_to_gguf.py", PRE.get(base, "default"), arguments)
        found[f"{name}-adapter"] = described(file)
    return found


def main() -> None:
    """Record what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("llama_cpp", type=Path)
    parser.add_argument("--only", default="", help="one of the tiny models")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = record(options.llama_cpp.resolve(), Path(folder), options.only)
    kept = json.loads(GOLDEN.read_text()) if options.only else {}
    made_with = {name: version(name) for name in ("torch", "transformers", "sentencepiece")}
    GOLDEN.write_text(
        json.dumps({**kept, "made with": made_with, **found}, indent=1, ensure_ascii=False) + "\n"
    )


if __name__ == "__main__":
    main()
