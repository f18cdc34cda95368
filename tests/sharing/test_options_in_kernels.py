"""What a user may not choose is told in the user's own notebook, in a real kernel."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "kernel"))

from cells import Cells, kernel_environ

CHOSEN = {"num_ctx": 8192, "num_batch": 64, "num_gpu": 0, "use_mmap": False, "num_thread": 1}
OF_ADMINISTRATORS = (
    "option '{}' has no effect here: administrators set it for all who share the model"
)
ASK = f"answer = ollama_nb.VERB('Once', model='demo', options={CHOSEN}, keep_alive=3)"


@pytest.fixture(scope="module")
def kernels(share, tmp_path_factory):
    shared = share("", {"alice": (), "eve": None})
    home = tmp_path_factory.mktemp("homes")
    opened = {
        who: Cells(kernel_environ(shared.server.url, home / who, OLLAMA_API_KEY=token))
        for who, token in shared.tokens.items()
    }
    for cells in opened.values():
        assert cells.run("import ollama_nb").status == "ok"
    yield opened
    for cells in opened.values():
        cells.close()


def warnings(cells: Cells, cell: str) -> list[str]:
    done = cells.run(f"{cell}\nlist(answer.warnings)")
    assert done.status == "ok", done.error
    return ast.literal_eval(done.result)


@pytest.mark.parametrize("verb", ["generate", "chat"])
def test_a_user_s_answer_says_what_had_no_effect(kernels, verb: str) -> None:
    told = warnings(kernels["alice"], ASK.replace("VERB", verb))

    for option in (*CHOSEN, "keep_alive"):
        assert OF_ADMINISTRATORS.format(option) in told
    assert len(told) == len(CHOSEN) + 1


def test_an_administrator_s_does_not(kernels) -> None:
    told = warnings(kernels["eve"], ASK.replace("VERB", "generate"))

    assert not any("administrator" in each for each in told)


def test_a_cell_shows_it(kernels) -> None:
    shown = kernels["alice"].run("%%generate -m demo -o num_ctx=8192 -o num_predict=2\nOnce")

    assert shown.status == "ok", shown.error
    assert "option 'num_ctx' has no effect here: administrators set it" in str(shown)
