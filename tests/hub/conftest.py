from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the modules that the tests here share
sys.path.insert(0, str(Path(__file__).parents[1] / "http"))

import real_hub


@pytest.fixture(scope="session")
def hub(pytestconfig, tmp_path_factory, eventually):
    """One JupyterHub for all files here: boss is an admin, tina a teacher, others are users."""
    proxy = real_hub.installed_proxy(pytestconfig.cache.mkdir("chp"))
    folder = tmp_path_factory.mktemp("hub")
    told = ['managers=["teachers"]', 'contact="Ms Ada"', "recheck_s=2"]
    started = real_hub.start(folder, proxy, eventually, *told)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def servers(hub, eventually):
    """Users' own servers, started together: a start is mostly waiting."""
    return hub.start_servers(("alice", "bob", "boss"), eventually)


@pytest.fixture(scope="session")
def alice(servers):
    return servers["alice"]


@pytest.fixture(scope="session")
def bob(servers):
    return servers["bob"]
