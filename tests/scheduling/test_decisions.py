"""The scheduler's promises, as lists of events and lists of instructions."""

from __future__ import annotations

import math

import pytest
from drive import Driver, load_beside_others, loaded, wanted
from ollama_nb_server.engine.errors import NotEnoughMemory, WorkerDied
from ollama_nb_server.scheduling.errors import QueueFull, TooManyWaiting
from ollama_nb_server.scheduling.events import (
    Ended,
    Grant,
    Left,
    Load,
    LoadBroke,
    LoadDone,
    Refuse,
    Requested,
    Stop,
    Tick,
    UnloadAsked,
)


@pytest.fixture
def drive() -> Driver:
    return Driver()


def test_the_first_request_loads_and_is_granted_when_the_load_is_done(drive: Driver) -> None:
    assert drive(Requested(wanted(1))) == [Load(1, wanted(1).spec)]
    assert drive(LoadDone(1, loaded())) == [Grant(1, 1)]


def test_a_request_for_a_loaded_model_is_granted_at_once(drive: Driver) -> None:
    runner = drive.load(wanted(1))

    assert drive(Requested(wanted(2))) == [Grant(2, runner)]


def test_requests_that_wait_for_one_load_are_granted_together(drive: Driver) -> None:
    drive(Requested(wanted(1)))
    drive(Requested(wanted(2)))

    assert drive(LoadDone(1, loaded())) == [Grant(1, 1), Grant(2, 1)]


def test_one_load_at_a_time_in_order(drive: Driver) -> None:
    drive(Requested(wanted(1, "a")))
    assert drive(Requested(wanted(2, "b"))) == []

    assert drive(LoadDone(1, loaded())) == [Grant(1, 1), load_beside_others(2, wanted(2, "b"))]


def test_a_loaded_model_serves_while_another_one_loads(drive: Driver) -> None:
    runner = drive.load(wanted(1, "a"))
    drive(Requested(wanted(2, "b")))

    assert drive(Requested(wanted(3, "a"))) == [Grant(3, runner)]


def test_a_failed_load_refuses_everybody_who_waits_for_it(drive: Driver) -> None:
    broken = ValueError("broken file")
    drive(Requested(wanted(1)))
    drive(Requested(wanted(2)))

    assert drive(LoadBroke(1, broken)) == [Refuse(1, broken), Refuse(2, broken)]
    assert drive(Requested(wanted(3))) == [Load(2, wanted(3).spec)]


def test_a_load_that_nobody_waits_for_is_broken_off(drive: Driver) -> None:
    drive(Requested(wanted(1)))

    assert [type(o) for o in drive(Left(1))] == [Stop]


def test_a_load_goes_on_while_somebody_still_waits(drive: Driver) -> None:
    drive(Requested(wanted(1)))
    drive(Requested(wanted(2)))

    assert drive(Left(1)) == []


def test_a_load_that_ends_although_it_was_told_to_stop_is_stopped_again(drive: Driver) -> None:
    drive(Requested(wanted(1)))
    drive(Left(1))

    assert [type(o) for o in drive(LoadDone(1, loaded()))] == [Stop]


def test_an_idle_model_goes_when_its_keep_alive_is_over(drive: Driver) -> None:
    drive.load(wanted(1, keep_alive=60.0))
    drive(Left(1), at=10.0)

    assert drive.decisions.next_wake() == 70.0
    assert drive(Tick(), at=69.0) == []
    assert [type(o) for o in drive(Tick(), at=70.0)] == [Stop]


def test_an_idle_model_past_its_keep_alive_goes_while_another_one_loads(drive: Driver) -> None:
    """Also where somebody waits for it with options it does not have: the clock must not spin."""
    drive.load(wanted(1, "a", num_ctx=512, keep_alive=5.0), loaded(512))
    drive(Left(1))
    drive(Requested(wanted(2, "b")))
    drive(Requested(wanted(3, "a", num_ctx=4096)))

    assert drive(Tick(), at=5.0) == [Stop(1, "its keep-alive is over")]
    assert drive.decisions.next_wake() == math.inf


def test_a_busy_model_stays_whatever_the_clock_says(drive: Driver) -> None:
    drive.load(wanted(1, keep_alive=1.0))

    assert drive.decisions.next_wake() == math.inf
    assert drive(Tick(), at=1000.0) == []


def test_keep_alive_zero_unloads_after_the_answer(drive: Driver) -> None:
    drive.load(wanted(1, keep_alive=0.0))

    assert [type(o) for o in drive(Left(1))] == [Stop]


def test_a_model_without_a_keep_alive_still_serves_whom_it_was_loaded_for() -> None:
    drive = Driver(default_keep_alive=0.0)
    drive(Requested(wanted(1)))

    assert drive(LoadDone(1, loaded())) == [Grant(1, 1)]
    assert drive(Left(1)) == [Stop(1, "its keep-alive is over")]


def test_an_unload_during_the_load_still_serves_whom_it_was_loaded_for(drive: Driver) -> None:
    drive(Requested(wanted(1, "a")))
    drive(UnloadAsked("a"))

    assert drive(LoadDone(1, loaded())) == [Grant(1, 1)]
    assert drive(Left(1)) == [Stop(1, "its keep-alive is over")]


def test_keep_alive_for_good_never_wakes(drive: Driver) -> None:
    drive.load(wanted(1, keep_alive=math.inf))
    drive(Left(1))

    assert drive.decisions.next_wake() == math.inf


def test_the_latest_keep_alive_counts_and_none_leaves_it(drive: Driver) -> None:
    drive.load(wanted(1, keep_alive=600.0))
    drive(Requested(wanted(2)))
    drive(Left(1))
    drive(Left(2), at=5.0)

    assert drive.decisions.next_wake() == 605.0


def test_unloading_waits_for_the_answer_in_progress(drive: Driver) -> None:
    drive.load(wanted(1))

    assert drive(UnloadAsked("a")) == []
    assert [type(o) for o in drive(Left(1))] == [Stop]


def test_unloading_what_is_not_loaded_does_nothing(drive: Driver) -> None:
    assert drive(UnloadAsked("nothing")) == []


def test_who_comes_after_an_unload_is_served_and_it_goes_after_all(drive: Driver) -> None:
    runner = drive.load(wanted(1))
    drive(UnloadAsked("a"))

    assert drive(Requested(wanted(2))) == [Grant(2, runner)]
    assert drive(Left(1)) == []
    assert [type(o) for o in drive(Left(2))] == [Stop]


def test_a_smaller_context_is_served_by_a_larger_slot(drive: Driver) -> None:
    runner = drive.load(wanted(1, num_ctx=4096))

    assert drive(Requested(wanted(2, num_ctx=512))) == [Grant(2, runner)]


def test_a_larger_context_reloads_once_the_runner_is_idle(drive: Driver) -> None:
    drive.load(wanted(1, num_ctx=512), loaded(512))

    assert drive(Requested(wanted(2, num_ctx=1024))) == []
    assert [type(o) for o in drive(Left(1))] == [Stop]
    assert drive(Ended(1)) == [Load(2, wanted(2, num_ctx=1024).spec)]


def test_a_context_beyond_what_was_trained_does_not_reload(drive: Driver) -> None:
    runner = drive.load(wanted(1, num_ctx=4096), loaded(2048, 2048))

    assert drive(Requested(wanted(2, num_ctx=99_999))) == [Grant(2, runner)]


def test_an_engine_that_gives_less_than_asked_is_not_loaded_again_and_again(drive: Driver) -> None:
    runner = drive.load(wanted(1, num_ctx=4096), loaded(1024))

    assert drive(Requested(wanted(2, num_ctx=4096))) == [Grant(2, runner)]


BATCH = {"num_batch": 64, "explicit": frozenset({"num_batch"})}


def test_a_busy_model_serves_other_load_options_as_it_is_and_says_which(drive: Driver) -> None:
    runner = drive.load(wanted(1))

    assert drive(Requested(wanted(2, **BATCH))) == [Grant(2, runner, ("num_batch",))]


def test_who_makes_a_model_busy_lets_others_use_it_as_it_is(drive: Driver) -> None:
    """Also those before it in the queue, who could not be the first to use it."""
    drive(Requested(wanted(1)))
    drive(Requested(wanted(2, **BATCH)))
    drive(Requested(wanted(3)))
    drive(Left(1))

    assert drive(LoadDone(1, loaded())) == [Grant(3, 1), Grant(2, 1, ("num_batch",))]


def test_an_idle_model_is_loaded_anew_for_other_load_options(drive: Driver) -> None:
    drive.load(wanted(1))
    drive(Left(1))

    assert drive(Requested(wanted(2, **BATCH))) == [Stop(1, "other load options are wanted")]
    assert drive(Ended(1)) == [Load(2, wanted(2, **BATCH).spec)]


def test_with_reload_on_request_a_busy_model_is_waited_for() -> None:
    drive = Driver(reload_on_request=True)
    drive.load(wanted(1))

    assert drive(Requested(wanted(2, **BATCH))) == []
    assert drive(Left(1)) == [Stop(1, "other load options are wanted")]


def test_only_load_options_that_somebody_set_can_reload(drive: Driver) -> None:
    runner = drive.load(wanted(1, num_batch=1024, explicit=frozenset({"num_batch"})))
    drive(Left(1))

    assert drive(Requested(wanted(2))) == [Grant(2, runner)]


def test_another_number_of_threads_never_loads_anew(drive: Driver) -> None:
    runner = drive.load(wanted(1))
    drive(Left(1))
    more = wanted(2, num_thread=7, explicit=frozenset({"num_thread"}))

    assert drive(Requested(more)) == [Grant(2, runner)]


def test_an_automatic_num_gpu_is_served_by_whatever_is_loaded(drive: Driver) -> None:
    runner = drive.load(wanted(1, num_gpu=3, explicit=frozenset({"num_gpu"})))
    drive(Left(1))
    automatic = wanted(2, num_gpu=-1, explicit=frozenset({"num_gpu"}))

    assert drive(Requested(automatic)) == [Grant(2, runner)]


LARGE = {"num_ctx": 8192}


def test_who_waits_for_a_busy_model_holds_up_nobody_behind(drive: Driver) -> None:
    drive.load(wanted(1, "a"))
    drive(Requested(wanted(2, "a", **LARGE)))

    assert drive(Requested(wanted(3, "b"))) == [load_beside_others(2, wanted(3, "b"))]


def test_who_waits_for_a_busy_model_lets_newcomers_pass_for_ten_seconds(drive: Driver) -> None:
    runner = drive.load(wanted(1))
    drive(Requested(wanted(2, **LARGE)))

    assert drive(Requested(wanted(3)), at=9.9) == [Grant(3, runner)]
    assert drive(Requested(wanted(4)), at=10.0) == []
    drive(Left(1))
    assert drive(Left(3)) == [Stop(runner, "other load options are wanted")]
    assert drive(Ended(runner)) == [Load(2, wanted(2, **LARGE).spec)]
    assert drive(LoadDone(2, loaded(8192))) == [Grant(2, 2), Grant(4, 2)]


def test_who_waits_for_a_place_lets_newcomers_pass_for_ten_seconds() -> None:
    drive = Driver(max_loaded=1)
    runner = drive.load(wanted(1, "a"))
    drive(Requested(wanted(2, "b")))

    assert drive(Requested(wanted(3, "a")), at=9.9) == [Grant(3, runner)]
    assert drive(Requested(wanted(4, "a")), at=10.0) == []


def test_a_model_is_open_again_when_those_who_waited_for_it_have_left(drive: Driver) -> None:
    runner = drive.load(wanted(1))
    drive(Requested(wanted(2, **LARGE)))
    drive(Requested(wanted(3)), at=20.0)

    assert drive(Left(2)) == [Grant(3, runner)]
    assert drive(Requested(wanted(4))) == [Grant(4, runner)]


def test_the_more_urgent_do_not_queue_behind_the_less_urgent(drive: Driver) -> None:
    runner = drive.load(wanted(1))
    drive(Requested(wanted(2, priority=1, **LARGE)))

    assert drive(Requested(wanted(3, priority=1)), at=20.0) == []
    assert drive(Requested(wanted(4, priority=0))) == [Grant(4, runner)]


def test_the_more_urgent_are_loaded_first(drive: Driver) -> None:
    drive(Requested(wanted(1, "a")))
    drive(Requested(wanted(2, "b", priority=1)))
    drive(Requested(wanted(3, "c", priority=0)))

    assert drive(LoadDone(1, loaded())) == [Grant(1, 1), load_beside_others(2, wanted(3, "c"))]


def test_an_adapter_is_not_shared(drive: Driver) -> None:
    drive.load(wanted(1))

    assert drive(Requested(wanted(2, adapters=("lora",)))) == []


def test_at_the_limit_the_idle_model_with_the_shortest_keep_alive_makes_room() -> None:
    drive = Driver(max_loaded=2)
    drive.load(wanted(1, "a", keep_alive=600.0))
    drive.load(wanted(2, "b", keep_alive=60.0))
    drive(Left(1))
    drive(Left(2))

    (order,) = drive(Requested(wanted(3, "c")))
    assert order == Stop(2, "its place is needed")
    assert drive(Ended(2)) == [load_beside_others(3, wanted(3, "c"))]


def test_at_the_limit_an_idle_model_goes_before_a_busy_one() -> None:
    drive = Driver(max_loaded=2)
    drive.load(wanted(1, "a", keep_alive=60.0))
    drive.load(wanted(2, "b", keep_alive=600.0))
    drive(Left(2))

    assert drive(Requested(wanted(3, "c"))) == [Stop(2, "its place is needed")]


def test_where_all_are_busy_the_first_in_order_is_waited_for() -> None:
    drive = Driver(max_loaded=1)
    drive.load(wanted(1, "a"))
    assert drive(Requested(wanted(2, "b"))) == []

    assert [type(o) for o in drive(Left(1))] == [Stop]


def test_a_full_queue_refuses() -> None:
    drive = Driver(max_queue=1)
    drive(Requested(wanted(1, "a")))
    drive(Requested(wanted(2, "b")))

    (order,) = drive(Requested(wanted(3, "c")))
    assert isinstance(order, Refuse)
    assert isinstance(order.error, QueueFull)


def test_a_full_queue_still_serves_the_loaded_model() -> None:
    drive = Driver(max_queue=0)
    runner = drive.load(wanted(1, "a"))
    drive(Requested(wanted(2, "b")))

    assert drive(Requested(wanted(3, "a"))) == [Grant(3, runner)]


def test_a_worker_that_dies_is_replaced_for_the_next_request(drive: Driver) -> None:
    drive.load(wanted(1))
    drive(Ended(1))
    drive(Left(1))

    assert drive(Requested(wanted(2))) == [Load(2, wanted(2).spec)]


@pytest.mark.parametrize(
    ("least_ctx", "served"), [(0, False), (500, True), (512, True), (513, False), (9999, False)]
)
def test_a_smaller_context_serves_whom_it_suffices(
    drive: Driver, least_ctx: int, served: bool
) -> None:
    drive.load(wanted(1, num_ctx=512), loaded(512))
    drive(Left(1))
    orders = drive(Requested(wanted(2, num_ctx=4096, least_ctx=least_ctx)))

    assert [type(order) for order in orders] == [Grant if served else Stop]


# --- memory ---------------------------------------------------------------------------------------

SHORT = NotEnoughMemory("b", "failed to allocate")
KILLED = WorkerDied("killed", loading=True, signal=9)


def beside_idle(*sizes: int, **limits: int) -> Driver:
    """Models "a", "b", ... of these sizes, loaded one after the other and idle."""
    drive = Driver(**limits)
    for number, size in enumerate(sizes, 1):
        drive.load(wanted(number, "abcdef"[number - 1]), loaded(size_bytes=size))
        drive(Left(number), at=float(number))
    return drive


def test_what_does_not_fit_beside_what_is_loaded_lets_the_least_recently_used_go() -> None:
    drive = beside_idle(40, 40, memory_bytes=100)
    drive(Requested(wanted(3, "a")), at=3.0)
    drive(Left(3), at=4.0)
    large = wanted(4, "f", need_bytes=21)

    assert drive(Requested(large)) == [Stop(2, "its memory is needed")]
    assert drive(Ended(2)) == [load_beside_others(3, large)]


def test_what_fits_beside_what_is_loaded_lets_nobody_go() -> None:
    drive = beside_idle(40, 40, memory_bytes=100)
    small = wanted(4, "f", need_bytes=20)

    assert drive(Requested(small)) == [load_beside_others(3, small)]


def test_as_many_go_as_have_to() -> None:
    drive = beside_idle(40, 40, memory_bytes=100)
    huge = wanted(4, "f", need_bytes=1000)

    assert drive(Requested(huge)) == [Stop(1, "its memory is needed")]
    assert drive(Ended(1)) == [Stop(2, "its memory is needed")]
    assert drive(Ended(2)) == [Load(3, huge.spec)]  # alone it may make do with less


def test_what_a_gpu_holds_takes_nothing_of_the_hosts_memory() -> None:
    drive = Driver(memory_bytes=100)
    drive.load(wanted(1, "a"), loaded(size_bytes=90, vram_bytes=90))
    drive(Left(1))

    assert [type(order) for order in drive(Requested(wanted(2, "b", need_bytes=50)))] == [Load]


def test_a_busy_model_is_not_stopped_for_its_memory_but_waited_for() -> None:
    drive = Driver(memory_bytes=100)
    drive.load(wanted(1, "a"), loaded(size_bytes=90))
    other = wanted(2, "b", need_bytes=50)

    assert drive(Requested(other)) == []
    assert drive(Left(1)) == [Stop(1, "its memory is needed")]
    assert drive(Ended(1)) == [Load(2, other.spec)]


@pytest.mark.parametrize("error", [SHORT, KILLED])
def test_a_load_that_fails_for_memory_lets_idle_models_go_one_by_one(error: Exception) -> None:
    drive = beside_idle(10, 10)
    other = wanted(3, "c")

    assert drive(Requested(other)) == [load_beside_others(3, other)]
    assert drive(LoadBroke(3, error)) == [Stop(1, "its memory is needed")]
    assert drive(Ended(1)) == [load_beside_others(4, other)]
    assert drive(LoadBroke(4, error)) == [Stop(2, "its memory is needed")]
    assert drive(Ended(2)) == [Load(5, other.spec)]
    assert drive(LoadBroke(5, error)) == [Refuse(3, error)]


def test_a_load_that_fails_for_memory_waits_for_a_busy_model() -> None:
    drive = Driver()
    runner = drive.load(wanted(1, "a"))
    drive(Requested(wanted(2, "b")))

    assert drive(LoadBroke(2, SHORT)) == []
    assert drive(Requested(wanted(3, "a")), at=1.0) == [Grant(3, runner)]
    drive(Left(1))
    assert drive(Left(3)) == [Stop(1, "its memory is needed")]
    assert drive(Ended(1)) == [Load(3, wanted(2, "b").spec)]


def test_a_load_that_fails_otherwise_lets_nobody_go() -> None:
    drive = beside_idle(10)
    broken = ValueError("broken file")
    drive(Requested(wanted(2, "b")))

    assert drive(LoadBroke(2, broken)) == [Refuse(2, broken)]


def test_who_has_left_is_not_made_room_for() -> None:
    drive = Driver()
    drive.load(wanted(1, "a"))
    drive(Requested(wanted(2, "b")))
    drive(LoadBroke(2, SHORT))
    drive(Left(2))

    assert drive(Left(1)) == []
    assert drive(Requested(wanted(3, "b"))) == [load_beside_others(3, wanted(3, "b"))]


# --- several users ----------------------------------------------------------------------------------


def loads(drive: Driver, orders: list[object]) -> list[str]:
    """Which models are loaded one after the other, from these orders on."""
    found: list[str] = []
    while load := next((order for order in orders if isinstance(order, Load)), None):
        found.append(load.spec.model_path)
        orders = drive(LoadDone(load.runner, loaded()))
    return found


def test_one_users_wishes_for_models_bar_nobody_elses() -> None:
    drive = Driver(max_loaded=0)
    orders = drive(Requested(wanted(1, "a1", user="ana")))
    for number in (2, 3, 4):
        drive(Requested(wanted(number, f"a{number}", user="ana")))
    drive(Requested(wanted(5, "b1", user="ben")))
    drive(Requested(wanted(6, "b2", user="ben")))

    assert loads(drive, orders) == ["a1", "b1", "a2", "b2", "a3", "a4"]


def test_one_users_wishes_for_models_come_in_their_order() -> None:
    drive = Driver(max_loaded=0)
    orders = drive(Requested(wanted(1, "a", priority=1)))
    for number, (path, priority) in enumerate([("b", 1), ("c", 0), ("d", 1), ("e", 0)], 2):
        drive(Requested(wanted(number, path, priority=priority)))

    assert loads(drive, orders) == ["a", "c", "e", "b", "d"]


def test_a_user_with_as_many_waiting_as_one_may_have_is_refused_alone() -> None:
    drive = Driver(max_waiting=1)
    for number in (1, 2):
        drive(Requested(wanted(number, user="ana")))
    (refused,) = drive(Requested(wanted(3, user="ana")))

    assert isinstance(refused.error, TooManyWaiting)
    assert drive(Requested(wanted(4, user="ben"))) == []
    assert drive(Requested(wanted(5))) == [], "who has no name has no limit"


def test_a_queue_that_one_user_has_filled_has_a_place_for_another() -> None:
    drive = Driver(max_queue=3)
    for number in range(1, 5):
        drive(Requested(wanted(number, user="ana")))
    (refused,) = drive(Requested(wanted(5, user="ana")))

    assert isinstance(refused.error, QueueFull)
    assert drive(Requested(wanted(6, user="ben"))) == []


def test_users_have_their_loads_in_turn_where_one_model_is_loaded_at_a_time() -> None:
    drive = Driver(max_loaded=1)
    orders = drive(Requested(wanted(1, "a1", user="ana")))
    for number in (2, 3, 4):
        drive(Requested(wanted(number, f"a{number}", user="ana")))
    drive(Requested(wanted(5, "b1", user="ben")))
    found = []
    for _ in range(5):
        (load,) = (order for order in orders if isinstance(order, Load))
        found.append(load.spec.model_path)
        granted = [
            o.request for o in drive(LoadDone(load.runner, loaded())) if isinstance(o, Grant)
        ]
        drive(Left(*granted))
        orders = drive(Ended(load.runner))

    assert found == ["a1", "a2", "b1", "a3", "a4"], "who comes later saves nothing up"
