"""Models that are pinned: kept until a time, evicted last, and then as all others are."""

from __future__ import annotations

import pytest
from drive import Driver, wanted
from ollama_nb_server.scheduling.errors import NoRoomForPin
from ollama_nb_server.scheduling.events import (
    Left,
    Load,
    PinsChanged,
    Refuse,
    Requested,
    Stop,
    Tick,
    UnloadAsked,
)


@pytest.fixture
def drive() -> Driver:
    return Driver(max_loaded=2)


def idle(drive: Driver, number: int, path: str) -> int:
    runner = drive.load(wanted(number, path))
    drive(Left(number))
    return runner


def test_a_pinned_model_stays_until_its_time_and_its_keep_alive_are_over(drive) -> None:
    a = idle(drive, 1, "a")
    drive(PinsChanged({"a": 1000.0}))

    assert drive.decisions.next_wake() == 1000.0
    assert drive(Tick(), at=999.0) == []
    assert drive(Tick(), at=1000.0) == []
    assert drive.decisions.next_wake() == 1300.0
    assert [order.runner for order in drive(Tick(), at=1300.0)] == [a]


def test_a_pin_that_is_taken_off_leaves_the_usual_keep_alive(drive) -> None:
    a = idle(drive, 1, "a")
    drive(PinsChanged({"a": 9000.0}))
    assert drive(PinsChanged({}), at=500.0) == []

    assert [order.runner for order in drive(Tick(), at=800.0)] == [a]


def test_a_pinned_model_is_evicted_last(drive) -> None:
    idle(drive, 1, "a")
    drive(PinsChanged({"a": 9000.0}))
    b = idle(drive, 2, "b")
    orders = drive(Requested(wanted(3, "c")))

    assert orders == [Stop(b, "its place is needed")]


def test_others_wait_for_a_busy_model_rather_than_evict_a_pinned_one(drive) -> None:
    idle(drive, 1, "a")
    drive(PinsChanged({"a": 9000.0}))
    b = drive.load(wanted(2, "b"))

    assert drive(Requested(wanted(3, "c"))) == []
    assert drive(Left(2)) == [Stop(b, "its place is needed")]


def test_where_all_are_pinned_one_goes_for_a_request_and_none_for_another_pin(drive) -> None:
    a = idle(drive, 1, "a")
    idle(drive, 2, "b")
    drive(PinsChanged({"a": 9000.0, "b": 9000.0, "c": 9000.0}))
    pin = wanted(3, "c")
    object.__setattr__(pin, "for_pin", True)

    (refused,) = drive(Requested(pin))
    assert isinstance(refused, Refuse)
    assert isinstance(refused.error, NoRoomForPin)
    assert drive(Left(3)) == []
    assert drive(Requested(wanted(4, "d"))) == [Stop(a, "its place is needed")]


def test_an_administrator_may_unload_it_all_the_same(drive) -> None:
    a = idle(drive, 1, "a")
    drive(PinsChanged({"a": 9000.0}))

    assert [order.runner for order in drive(UnloadAsked("a"))] == [a]
    assert drive.decisions.pins == {}


def test_what_is_set_apart_is_beside_what_has_the_same_weights(drive) -> None:
    idle(drive, 1, "a")
    alice = wanted(2, "a", adapters=("lora",))
    object.__setattr__(alice, "apart", True)

    (load,) = drive(Requested(alice))
    assert isinstance(load, Load)
