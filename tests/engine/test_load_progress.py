"""How far a load is: counted from what is mapped and what is placed, told by a real worker."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ollama_nb_server.engine.load_progress import LoadProgress
from ollama_nb_server.engine.messages import LoadSpec
from ollama_nb_server.engine.native import Model, NativeLog
from ollama_nb_server.engine.process import Worker


@pytest.fixture
def hundred(tmp_path: Path) -> str:
    """A file of a hundred bytes."""
    path = tmp_path / "hundred"
    path.write_bytes(b"x" * 100)
    return str(path)


def test_a_mapped_file_is_read_and_then_placed(hundred: str) -> None:
    mapped = [1000]
    progress = LoadProgress(100, lambda: mapped[0])
    seen = [progress.fraction]

    with progress.reading(hundred) as place:
        for mapped[0] in (1040, 1100):
            seen.append(progress.fraction)
        for placed in (0.0, 0.5, 1.0):
            place(placed)
            seen.append(progress.fraction)

    assert [*seen, progress.fraction] == [0, 0.2, 0.5, 0.5, 0.75, 1, 1]


def test_where_nothing_is_mapped_placing_is_all_of_it(hundred: str) -> None:
    progress = LoadProgress(100, lambda: 7)

    with progress.reading(hundred) as place:
        place(0.4)
        assert progress.fraction == 0.4


def test_files_count_by_their_size(hundred: str, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.write_bytes(b"x" * 25)
    progress = LoadProgress(125, lambda: 7)

    with progress.reading(hundred) as place:
        place(1.0)
        assert progress.fraction == 0.8
    with progress.reading(str(small)) as place:
        assert progress.fraction == 0.8
        place(0.5)
        assert progress.fraction == 0.9
    progress.restart()

    assert progress.fraction == 0


@pytest.mark.parametrize("use_mmap", [True, False])
def test_llama_cpp_tells_of_every_tensor(q4_k_gguf: Path, use_mmap: bool) -> None:
    spec = LoadSpec(str(q4_k_gguf), use_mmap=use_mmap, num_gpu=0)
    progress, seen = LoadProgress.of(spec), list[float]()
    place = progress._place

    def noted(placed: float) -> None:
        place(placed)
        seen.append(progress.fraction)

    progress._place = noted  # type: ignore[method-assign]
    Model(spec, NativeLog(), progress).close()

    assert seen == sorted(seen)
    assert len(set(seen)) > 5
    assert seen[-1] == 1
    if sys.platform == "linux":
        assert (seen[0] > 0.4) == use_mmap  # all has been read before the first is placed


async def test_a_worker_tells_it_while_it_loads(q4_k_gguf: Path) -> None:
    told: list[float] = []

    worker = await Worker.start(LoadSpec(str(q4_k_gguf), num_ctx=128, num_parallel=1), told.append)
    await worker.stop()

    assert told
    assert told == sorted(told)
    assert told[-1] == 1
