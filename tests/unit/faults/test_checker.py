"""The storm's checker on logs made by hand: one that is right, and for each kind of violation one that has it."""

import pytest

from tests.faults.checker import (
    TRUNCATED,
    check,
    doubled,
    failed_chats,
    lost,
    misanswered,
    strangers,
    twins,
    unsettled,
)
from tests.faults.facts import Event, Kill, Request, Sample, Wish, event_of

JOB = "job-1"
CREATED = Event(1, "e1", "job.created", JOB, None, "key-1", 1, None)
SCHEDULED = Event(2, "e2", "replica.scheduled", JOB, "r1", None, None, None)
LIVING: dict[str, tuple[int, ...]] = {"r1": (100,)}


def event(seq: int, name: str, **fields: object) -> Event:
    known: dict[str, object] = {"replica_id": None, "mark": None, "replicas": None, "generation": None}
    return Event(seq, f"e{seq}", name, JOB, **(known | fields))  # type: ignore[arg-type]  # by name


def request(wish: Wish, revision: int | None = 1, **fields: object) -> Request:
    known: dict[str, object] = {
        "user": "user",
        "began": 1.0,
        "ended": 2.0,
        "mark": "key-1",
        "status": 202,
        "job_id": JOB,
    }
    return Request(wish=wish, revision=revision, **(known | fields))  # type: ignore[arg-type]  # by name


def rules(violations: object) -> list[str]:
    return [each.rule for each in violations]  # type: ignore[attr-defined]  # a list of them


def test_a_log_that_is_right_has_no_violation() -> None:
    events = [CREATED, SCHEDULED, event(3, "job.updated", mark="key-2", replicas=1)]
    requests = [request(Wish.CREATE), request(Wish.UPDATE, 3, mark="key-2")]

    assert check(requests, events, [Sample(1.0, LIVING)]) == []
    assert unsettled(events, LIVING) == []


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(request(Wish.CREATE, 9), id="the acknowledged event is not there"),
        pytest.param(request(Wish.CREATE, job_id="job-2"), id="it is another job's"),
        pytest.param(request(Wish.CREATE, mark="key-9"), id="another wish made the job"),
        pytest.param(request(Wish.UPDATE, 2, mark="key-2"), id="an update"),
        pytest.param(request(Wish.RESTART, 2), id="a restart"),
        pytest.param(request(Wish.STOP, 2), id="a stop"),
        pytest.param(request(Wish.DELETE, 2), id="a deletion"),
    ],
)
def test_an_acknowledged_request_that_the_stream_does_not_have_is_lost(asked: Request) -> None:
    assert rules(lost([asked], [CREATED, SCHEDULED])) == ["lost"]


def test_a_request_that_was_not_acknowledged_may_be_missing_or_there() -> None:
    assert (
        lost([request(Wish.DELETE, None, status=503), request(Wish.STOP, None, status=None)], [CREATED]) == []
    )


def test_a_stop_that_was_undone_behind_its_back_is_lost() -> None:
    events = [CREATED, event(2, "job.stop_requested"), event(3, "job.resume_requested")]

    assert lost([request(Wish.STOP, 2)], events) == []
    assert rules(lost([request(Wish.STOP, 3)], events)) == ["lost"]


def test_two_acknowledged_restarts_need_two_restarts() -> None:
    once = [CREATED, event(2, "job.restart_requested", generation=2)]
    twice = [*once, event(3, "job.restart_requested", generation=3)]
    requests = [request(Wish.RESTART, 2), request(Wish.RESTART, 3, ended=3.0)]

    assert lost(requests, twice) == []
    assert "lost" in rules(lost(requests, once))


def test_two_jobs_for_one_key_are_a_violation() -> None:
    twin = Event(2, "e2", "job.created", "job-2", None, "key-1", 1, None)

    assert rules(doubled([], [CREATED, twin])) == ["doubled"]


@pytest.mark.parametrize("other", [{"job_id": "job-2"}, {"body": "another"}], ids=["job", "body"])
def test_one_key_answered_in_two_ways_is_a_violation(other: dict[str, object]) -> None:
    assert rules(doubled([request(Wish.CREATE), request(Wish.CREATE, **other)], [CREATED])) == ["doubled"]  # type: ignore[arg-type]  # by name


def test_an_event_that_is_stored_twice_is_a_violation() -> None:
    copy = Event(2, "e1", "job.created", JOB, None, None, 1, None)

    assert rules(doubled([], [CREATED, copy])) == ["doubled"]


def test_a_hole_in_the_stream_is_a_loss() -> None:
    assert rules(doubled([], [CREATED, event(3, "job.deleted")])) == ["lost"]


def test_two_processes_of_one_replica_at_one_moment_are_twins() -> None:
    one_after_the_other = [Sample(1.0, {"r1": (100,)}), Sample(2.0, {"r1": (101,)})]

    assert twins(one_after_the_other) == []
    assert rules(twins([*one_after_the_other, Sample(3.0, {"r1": (101, 102)})])) == ["twins"]


def test_a_process_that_nobody_scheduled_is_an_orphan() -> None:
    assert rules(strangers([Sample(1.0, {"r9": (100,)})], [CREATED, SCHEDULED])) == ["orphan"]


DELETED = [
    CREATED,
    SCHEDULED,
    event(3, "job.delete_requested"),
    event(4, "replica.terminated", replica_id="r1"),
]


@pytest.mark.parametrize(
    ("events", "living", "expected"),
    [
        ([CREATED, SCHEDULED], {}, ["unsettled"]),
        ([CREATED], {}, ["unsettled"]),
        ([CREATED, SCHEDULED, event(3, "job.updated", replicas=2)], LIVING, ["unsettled"]),
        ([CREATED, SCHEDULED, event(3, "job.restart_requested", generation=2)], LIVING, ["unsettled"]),
        ([CREATED, SCHEDULED, event(3, "replica.failed", replica_id="r1")], LIVING, ["orphan", "unsettled"]),
        (DELETED, {}, ["unsettled"]),
        ([*DELETED, event(5, "job.deleted")], {}, []),
        ([*DELETED, event(5, "job.deleted")], LIVING, ["orphan"]),
        ([CREATED, event(2, "job.stop_requested")], {}, ["unsettled"]),
        ([CREATED, event(2, "job.stop_requested"), event(3, "job.stopped")], {}, []),
        ([CREATED, event(2, "job.failed")], {}, []),
        ([CREATED, SCHEDULED, event(3, "job.failed")], LIVING, ["orphan"]),
    ],
    ids=[
        "no process",
        "never placed",
        "one too few",
        "an old replica after a restart",
        "a process that is said to have ended",
        "never said to be deleted",
        "deleted",
        "deleted and still there",
        "never said to be stopped",
        "stopped",
        "given up",
        "given up and still there",
    ],
)
def test_what_is_not_as_wanted_in_the_calm_is_told(
    events: list[Event], living: dict[str, tuple[int, ...]], expected: list[str]
) -> None:
    assert rules(unsettled(events, living)) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (request(Wish.STOP, None, status=503, retry_after="1"), []),
        (request(Wish.STOP, None, status=None), []),
        (request(Wish.RESUME, None, status=409), []),
        (request(Wish.STOP, None, status=503), ["misanswered"]),
        (request(Wish.STOP, None, status=401), ["misanswered"]),
        (request(Wish.UPDATE, None, status=404), ["misanswered"]),
        (request(Wish.CREATE, None, status=409), ["misanswered"]),
        (request(Wish.DELETE, None, status=500), ["misanswered"]),
        (request(Wish.CHAT, None, status=404), []),
        (request(Wish.CHAT, None, status=None, said=TRUNCATED), ["misanswered"]),
    ],
)
def test_an_answer_that_no_fault_excuses_is_told(answer: Request, expected: list[str]) -> None:
    assert rules(misanswered([answer])) == expected


def chat(began: float, status: int | None) -> Request:
    return request(Wish.CHAT, None, began=began, ended=began + 0.5, status=status)


@pytest.mark.parametrize(
    ("chats", "killed", "failed"),
    [
        ([chat(1, 200), chat(2, 200)], "router-1", 0),
        ([chat(1, None), chat(2, 200)], "api-1", 1),
        ([chat(1, None), chat(2, 200)], "router-1", 0),
        ([chat(1, None), chat(2, 503), chat(3, 200), chat(4, 503)], "router-1", 1),
        ([chat(0, 503), chat(2, 200)], "router-1", 1),
        ([chat(2, None), chat(30, None)], "router-1", 1),
    ],
    ids=["none", "no router was killed", "it was", "it serves again", "it failed before", "it stays away"],
)
def test_only_a_killed_router_excuses_a_failed_request(
    chats: list[Request], killed: str, failed: int
) -> None:
    assert len(failed_chats(chats, [Kill(1.2, killed, 7)], JOB)) == failed


def test_an_event_is_read_from_what_is_stored() -> None:
    document = b"""{"id": "x", "type": "dev.hostler.job.updated.v1", "subject": "job-1", "data": {"change":
        {"generation": 2, "spec": {"labels": {"storm.mark": "m"}, "scaling": {"min_replicas": 3}}}, "job": {}}}"""

    assert event_of(4, document) == Event(4, "x", "job.updated", "job-1", None, "m", 3, 2)
