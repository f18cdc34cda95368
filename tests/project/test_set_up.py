"""The set-up script: what it finds missing, the compiler's bug, the header against it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROBE = """
#include <immintrin.h>
#include <cstdint>
struct alignas(64) Config { uint8_t palette = 1, start = 0; uint8_t zero[14] = {}; uint16_t columns[16]; uint8_t rows[16]; };
void configure() { Config c; for (int i = 0; i < 8; i++) { c.columns[i] = 64; c.rows[i] = 16; } _tile_loadconfig(&c); }
"""


def module():
    spec = importlib.util.spec_from_file_location("make_env", ROOT / "tools" / "make_env.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def compiled(source: str, *flags: str) -> str:
    """The assembly that g++ makes, with optimisation."""
    command = ["g++", "-O2", "-mamx-tile", "-S", "-x", "c++", "-", "-o", "-", *flags]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def gcc() -> str:
    if shutil.which("g++") is None:
        assert os.environ.get("CI") != "true", "g++ is missing"
        pytest.skip("g++ is not installed")
    return "g++"


def test_the_header_compiles_without_amx_too(gcc, tmp_path: Path) -> None:
    header = ROOT / "tools" / "amx_tile_config.h"
    plain = ["g++", "-fsyntax-only", "-x", "c++", "-include", str(header), "-"]

    assert subprocess.run(plain, input="int x;", text=True, check=False).returncode == 0


def test_with_the_header_the_whole_configuration_is_written(gcc) -> None:
    """GCC 12.2 keeps 8 of the 64 bytes without it: the stores of columns and rows are gone."""
    if os.uname().machine != "x86_64":
        pytest.skip("AMX is of x86-64")
    fixed = compiled(PROBE, "-include", str(ROOT / "tools" / "amx_tile_config.h"))
    plain = compiled(PROBE)

    assert "ldtilecfg" in fixed
    assert (len(fixed) > len(plain)) is module().has_tile_bug("g++")


def test_what_is_missing_is_named_with_the_packages(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    assert "g++" in module().missing_programs()


def test_a_python_without_a_compiler_is_told_the_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "make_env.py"), str(tmp_path / "env")]
    environ = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "apt-get install g++" in done.stderr


def test_make_alone_lists_the_commands() -> None:
    done = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True, check=True)

    for name in ("install", "demo", "lab", "test", "check", "bench"):
        assert f"make {name}" in done.stdout
