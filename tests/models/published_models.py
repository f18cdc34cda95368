"""Published models for the tests marked `real`, by the script that lies beside the checkout.

Only a workplace has it (`../shared/models/real.py`); in a user's clone these tests are left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

SCRIPT = Path(__file__).resolve().parents[3] / "shared" / "models" / "real.py"
ABSENT = "published models come by ../shared/models/real.py, which is not beside this checkout"
FIXTURES = {"smollm2": "smollm2", "qwen_coder": "qwen-coder"}


def mark(items: list[pytest.Item]) -> None:
    """Mark the tests that use a published model as `real`; skip them where none can be had."""
    for item in items:
        if FIXTURES.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker("real")
        if item.get_closest_marker("real") and not SCRIPT.exists():
            item.add_marker(pytest.mark.skip(reason=ABSENT))


def fetched(fixture: str, folder: Path) -> Path:
    """The model's file; downloaded into the folder if it is not there. A failure in CI fails."""
    name = FIXTURES[fixture]
    command = [sys.executable, str(SCRIPT), str(folder), name]
    with FileLock(folder / "fetching.lock"):  # several processes run the tests
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = f"{name} could not be fetched: {done.stderr.strip()[-500:]}"
        assert os.environ.get("CI") != "true", reason
        pytest.skip(reason)
    return folder / f"{name}.gguf"
