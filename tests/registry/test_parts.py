"""How a blob is cut, and the state files that Ollama and we can both go on with."""

from __future__ import annotations

from pathlib import Path

import pytest
from ollama_nb_server.registry import Limits
from ollama_nb_server.registry.parts import Part, PartFiles, plan

MB = 1_000_000


@pytest.mark.parametrize(
    ("total", "sizes"),
    [
        (0, []),
        (1, [1]),
        (50 * MB, [50 * MB]),
        (350 * MB, [100 * MB, 100 * MB, 100 * MB, 50 * MB]),
        (4800 * MB, [300 * MB] * 16),
        (17_500 * MB, [1000 * MB] * 17 + [500 * MB]),
    ],
)
def test_parts_are_a_sixteenth_between_100_and_1000_mb(total: int, sizes: list[int]) -> None:
    parts = plan(total, Limits())

    assert [part.size for part in parts] == sizes
    assert sum(part.size for part in parts) == total
    assert [part.offset for part in parts] == [sum(sizes[:i]) for i in range(len(sizes))]


def test_a_state_is_written_in_the_bytes_of_ollama() -> None:
    part = Part(0, 0, 104857600, 0)

    assert part.encode() == b'{"N":0,"Offset":0,"Size":104857600,"Completed":0}\n'
    assert Part.decode(part.encode()) == part


@pytest.fixture
def files(tmp_path: Path) -> PartFiles:
    return PartFiles(tmp_path / ("sha256-" + 64 * "a"))


def test_a_download_begins_with_a_sparse_file_of_full_size(files: PartFiles) -> None:
    files.begin([Part(0, 0, 40 * MB), Part(1, 40 * MB, 10 * MB)])

    facts = files.data.stat()
    assert facts.st_size == 50 * MB
    assert facts.st_blocks * 512 < MB
    assert facts.st_mode & 0o777 == 0o644
    assert [p.name[71:] for p in sorted(files.data.parent.iterdir())] == [
        "-partial",
        "-partial-0",
        "-partial-1",
    ]


def test_what_was_begun_is_found_again_however_many_parts(files: PartFiles) -> None:
    parts = [Part(i, 10 * i, 10, i % 10) for i in range(12)]
    files.begin(parts)

    found = files.load(120)

    assert [(p.number, p.completed) for p in found] == [(i, i % 10) for i in range(12)]


def with_states(files: PartFiles, *states: str, size: int | None = 20) -> None:
    for number, state in enumerate(states):
        files.data.with_name(f"{files.data.name}-{number}").write_text(state)
    if size is not None:
        files.data.write_bytes(bytes(size))


GOOD = (
    '{"N":0,"Offset":0,"Size":10,"Completed":10}',
    '{"N":1,"Offset":10,"Size":10,"Completed":3}',
)


@pytest.mark.parametrize(
    ("states", "size"),
    [
        (GOOD, None),
        (GOOD, 19),
        (GOOD[:1], 20),
        (GOOD[1:], 20),
        ((GOOD[0], ""), 20),
        ((GOOD[0], "{"), 20),
        ((GOOD[0], "[]"), 20),
        ((GOOD[0], '{"N":1,"Offset":10,"Size":10}'), 20),
        ((GOOD[0], '{"N":1,"Offset":10,"Size":10,"Completed":11}'), 20),
        ((GOOD[0], '{"N":1,"Offset":10,"Size":10,"Completed":-1}'), 20),
        ((GOOD[0], '{"N":1,"Offset":11,"Size":9,"Completed":0}'), 20),
        ((GOOD[0], '{"N":1,"Offset":10,"Size":true,"Completed":0}'), 20),
        ((GOOD[0], " " * 5000 + GOOD[1]), 20),
    ],
)
def test_states_that_do_not_fit_the_data_are_not_trusted(
    files: PartFiles, states: tuple[str, ...], size: int | None
) -> None:
    with_states(files, *states, size=size)

    assert files.load(20) is None


def test_states_that_fit_are_trusted(files: PartFiles) -> None:
    with_states(files, *GOOD)

    assert [part.completed for part in files.load(20)] == [10, 3]


def test_a_link_in_place_of_the_data_is_not_followed(files: PartFiles, tmp_path: Path) -> None:
    with_states(files, *GOOD, size=None)
    (tmp_path / "elsewhere").write_bytes(bytes(20))
    files.data.symlink_to(tmp_path / "elsewhere")

    assert files.load(20) is None
