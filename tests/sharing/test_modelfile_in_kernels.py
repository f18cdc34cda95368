"""`%%modelfile brief` by two users of one server, in a real kernel each."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "kernel"))

from cells import Cells, kernel_environ


def test_one_name_is_a_model_each(share, tmp_path) -> None:
    shared = share("", {"alice": (), "bob": (), "eve": None})
    kernels = {
        who: Cells(
            kernel_environ(shared.server.url, tmp_path / who, OLLAMA_API_KEY=shared.tokens[who])
        )
        for who in ("alice", "bob")
    }
    try:
        for who, cells in kernels.items():
            made = cells.run(
                f"%%modelfile brief\nFROM demo\nSYSTEM of {who}\nPARAMETER num_predict 2"
            )
            assert made.status == "ok", made.error
        for who, cells in kernels.items():
            listed = cells.run(
                "import ollama_nb\n[m for m in ollama_nb.models().index if 'brief' in m]"
            )
            system = cells.run("ollama_nb.show('brief').system")
            answered = cells.run("ollama_nb.generate('Once', model='brief')")
            removed = cells.run("%ollama rm brief")

            assert listed.status == "ok", listed.error
            assert listed.result in ("['brief']", "['brief:latest']")
            assert f"of {who}" in system.result
            assert answered.status == "ok"
            assert removed.status == "ok"
    finally:
        for cells in kernels.values():
            cells.close()
    names = {model["name"] for model in shared["eve"].get("/api/tags").json()["models"]}
    assert names == {"demo:latest"}
