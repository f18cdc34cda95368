import psutil
import pytest


@pytest.fixture(autouse=True)
def silent(monkeypatch):
    """Nobody has said how threads wait."""
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)


def found_by(worker) -> dict[str, str]:
    return psutil.Process(worker.pid).environ()


async def test_a_workers_threads_soon_stop_spinning_where_others_compute(start_worker):
    assert found_by(await start_worker())["GOMP_SPINCOUNT"] == "1000"


@pytest.mark.parametrize(
    ("name", "value"), [("GOMP_SPINCOUNT", "7"), ("OMP_WAIT_POLICY", "passive")]
)
async def test_what_a_user_says_about_waiting_stands(start_worker, monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    found = found_by(await start_worker())

    assert {key: found.get(key) for key in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")} == {
        "GOMP_SPINCOUNT": None,
        "OMP_WAIT_POLICY": None,
        name: value,
    }
