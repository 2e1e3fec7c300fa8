"""Folding load windows into slots, and slots to bytes and back."""

from datetime import timedelta

import pytest

from hostler_api.history.slots import Slot, UnreadableSlot, decode_slot, encode_slot
from hostler_contracts.load import LoadWindow, ReplicaLoad
from hostler_domain.histogram import bucket
from tests.support.builders import NOW

START_MS = round(NOW.timestamp() * 1000)


def window(
    *, after: float = 0, router: str = "router-1", arrivals: int = 3, queued: int | None = None
) -> LoadWindow:
    return LoadWindow(
        router=router,
        job_id="job-1",
        started_at=NOW + timedelta(seconds=after),
        seconds=5,
        arrivals=arrivals,
        completed=2,
        failed=1,
        rejected=0,
        in_flight=4,
        latency_ms={bucket(100): 2},
        first_token_ms={bucket(10): 1},
        prompt_tokens=7,
        completion_tokens=8,
        queued=queued,
        replicas={"r1": ReplicaLoad(completed=2, failed=1, in_flight=4)},
    )


def test_windows_of_one_router_add_up() -> None:
    slot = Slot()
    assert slot.take(window())
    assert slot.take(window(after=5))
    assert (slot.arrivals, slot.completed, slot.failed) == (6, 4, 2)
    assert slot.latency_ms == {bucket(100): 4}
    assert slot.traffic_seconds == 10
    assert slot.in_flight_seconds == 40


def test_a_window_that_is_in_already_changes_nothing() -> None:
    slot = Slot()
    slot.take(window())
    slot.take(window(after=5))
    before = encode_slot(slot, START_MS)
    assert not slot.take(window())
    assert not slot.take(window(after=5))
    assert before == encode_slot(slot, START_MS)


def test_windows_of_two_routers_cover_the_same_time() -> None:
    slot = Slot()
    slot.take(window())
    slot.take(window(router="router-2"))
    assert slot.arrivals == 6
    assert slot.traffic_seconds == 5


def test_the_wait_is_known_only_where_a_router_says_so() -> None:
    slot = Slot()
    slot.take(window())
    assert slot.queue_known_seconds == 0
    slot.take(window(after=5, queued=2))
    assert slot.queue_known_seconds > 0
    assert slot.queued_seconds == 10


def test_a_replica_counts_what_ended_on_it() -> None:
    slot = Slot()
    one = window()
    assert slot.take_replica(one, one.replicas["r1"])
    assert not slot.take_replica(one, one.replicas["r1"])
    assert (slot.arrivals, slot.completed, slot.failed) == (3, 2, 1)


def test_the_fleet_is_no_traffic() -> None:
    slot = Slot()
    assert slot.take_fleet(1000, 5, desired=3, ready=2)
    assert not slot.take_fleet(1000, 5, desired=3, ready=2)
    assert slot.traffic_seconds == 0
    assert (slot.fleet_seconds, slot.desired_seconds, slot.ready_seconds) == (5, 15, 10)


@pytest.mark.parametrize("full", [False, True], ids=["idle", "busy"])
def test_a_slot_comes_back_as_it_was_stored(full: bool) -> None:
    slot = Slot()
    if full:
        slot.take(window(queued=1))
        slot.take(window(router="router-2"))
        slot.take_fleet(1000, 5, desired=3, ready=2)
    else:
        slot.take_fleet(1000, 5, desired=0, ready=0)
    assert slot == decode_slot(encode_slot(slot, START_MS), START_MS)


def test_a_slot_of_an_idle_time_is_short() -> None:
    slot = Slot()
    slot.take(
        LoadWindow(
            router="router-1",
            job_id="j",
            started_at=NOW,
            seconds=5,
            arrivals=0,
            completed=0,
            failed=0,
            in_flight=0,
        )
    )
    assert len(encode_slot(slot, START_MS)) <= 25


@pytest.mark.parametrize("data", [b"", b"{}", b"nonsense", b"[1]", b'[{"a":[1]}]', b"[{},[],[1]]", b"null"])
def test_bytes_that_are_no_slot_are_told_apart(data: bytes) -> None:
    with pytest.raises(UnreadableSlot):
        decode_slot(data, START_MS)
