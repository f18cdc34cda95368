"""The verbs of frames on pandas 2, which is installed into a folder of its own for this."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from other_packages import folder_of, path_with

HERE = Path(__file__).parent
# pandas and the one package that it needs and pandas 3 does not; all else is the environment's.
PACKAGES = ["pandas>=2.2,<3", "pytz"]
FILES = ["test_frames.py", "test_neighbouring.py", "test_clustering.py", "test_plotting.py"]
LEFT_OUT = "real_model"  # slow, and no business of pandas


@pytest.fixture
def environ(pytestconfig):
    """An environment with pandas 2."""
    if pd.__version__.startswith("2."):
        pytest.skip("all tests run on pandas 2 here")
    folder = folder_of("2", PACKAGES, pytestconfig.cache.mkdir("pandas"))
    return {**os.environ, **path_with(folder)}


@pytest.mark.slow
@pytest.mark.timeout(400)  # it is many tests in one
def test_frames_do_on_pandas_2_what_they_do_on_pandas_3(environ):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["-k", f"not ({LEFT_OUT})", *(str(HERE / name) for name in FILES)]
    version = "import pandas; print(pandas.__version__)"

    told = subprocess.run(
        [sys.executable, "-c", version], env=environ, capture_output=True, text=True, check=True
    )
    run = subprocess.run(
        command,
        cwd=HERE.parents[1],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=360,
    )

    assert told.stdout.startswith("2.")
    assert run.returncode == 0, run.stdout + run.stderr
