"""What the provisioner does next: the truth tables of `plan`, row by row."""

from dataclasses import replace
from datetime import datetime

import pytest

from hostler_domain.capacity import Resources
from hostler_domain.changes import (
    Change,
    JobDeleteRequested,
    JobUnreachable,
    ReplicaBooting,
    ReplicaFailed,
    ReplicaImporting,
    ReplicaReady,
    ReplicaTerminating,
    ReplicaUnhealthy,
)
from hostler_domain.evolve import evolve
from hostler_domain.job import Job, Placement, Progress
from hostler_domain.phases import JobPhase
from hostler_domain.replica_states import ReplicaReason
from hostler_provisioner.backend import ObservedReplica, Step
from hostler_provisioner.plan import Action, EndReplica, FinishJob, Limits, Report, StartReplica, View, plan
from tests.support.builders import (
    JOB_ID,
    NODE,
    at,
    created,
    draining,
    fold,
    running_job,
    scheduled,
    terminated,
)

LIMITS = Limits(drain_timeout_seconds=60, unhealthy_timeout_seconds=30)
LATER = at(40)
URL = "http://127.0.0.1:9/r1"


def seen(
    step: Step, fraction: float | None = None, url: str | None = URL, replica_id: str = "r1"
) -> ObservedReplica:
    return ObservedReplica(
        replica_id, JOB_ID, step, fraction, url, "words", 3 if step is Step.GONE else None, at(1)
    )


def planned(
    jobs: list[Job],
    observed: list[ObservedReplica],
    *,
    now: datetime = LATER,
    in_flight: dict[str, int] | None = None,
    busy: frozenset[str] = frozenset(),
    cores: float = 100,
    unreachable: str = "",
    cluster: str = "local",
) -> tuple[Action, ...]:
    capacity = {NODE.node_key: Resources(cores, 2**40, 0)}
    view = View(cluster, capacity, tuple(jobs), tuple(observed), in_flight or {}, busy, unreachable)
    return plan(view, LIMITS, now=now)


def outcome(actions: tuple[Action, ...]) -> list[str]:
    """A word or two per action."""
    words = []
    for action in actions:
        match action:
            case Report(_, change):
                words.append(_name(change))
            case EndReplica(_, _, then, _):
                words.append("end" if then is None else f"end {_name(then)}")
            case StartReplica():
                words.append("start")
            case FinishJob():
                words.append("finish")
    return words


def _name(change: Change) -> str:
    name = type(change).__name__.removeprefix("Replica").lower()
    return f"{name} {change.reason}" if isinstance(change, ReplicaFailed) else name


PLACED = fold(created(), scheduled(placement=NODE))
BOOTING = evolve(PLACED, ReplicaBooting(at(2), "r1", Progress(0.2, "booting")))
READY = running_job()
UNHEALTHY = evolve(READY, ReplicaUnhealthy(at(10), "r1", "no answer"))
DRAINING = evolve(READY, draining(seconds=20))
TERMINATING = evolve(DRAINING, ReplicaTerminating(at(21), "r1"))

LOST = evolve(READY, JobUnreachable(at(30), "local", "no answer"))
LOST_BOOTING = evolve(BOOTING, JobUnreachable(at(30), "local", "no answer"))
IMPORTING = evolve(PLACED, ReplicaImporting(at(2), "r1", Progress(0.2, "importing")))
LEFT_OFF = replace(seen(Step.IMPORTING), incomplete=True)
LEAVING = replace(seen(Step.READY), leaving="its node is being emptied")

ROWS: dict[str, tuple[Job, ObservedReplica | None, list[str]]] = {
    "placed, nothing there": (PLACED, None, ["start"]),
    "placed, importing": (PLACED, seen(Step.IMPORTING), ["importing"]),
    "placed, already ready": (PLACED, seen(Step.READY), ["ready"]),
    "booting, nothing there": (BOOTING, None, ["failed Lost"]),
    "booting, no further": (BOOTING, seen(Step.BOOTING, 0.25), []),
    "booting, a good deal further": (BOOTING, seen(Step.BOOTING, 0.4), ["booting"]),
    "booting, seen importing again": (BOOTING, seen(Step.IMPORTING, 0.9), []),
    "booting, loading": (BOOTING, seen(Step.LOADING), ["loading"]),
    "booting, gone": (BOOTING, seen(Step.GONE), ["end failed StartFailed"]),
    "placed, left off": (PLACED, LEFT_OFF, ["start"]),
    "importing, left off": (IMPORTING, LEFT_OFF, ["start"]),
    "booting, left off": (BOOTING, LEFT_OFF, ["end failed Lost"]),
    "ready, left off": (READY, LEFT_OFF, ["end failed Lost"]),
    "booting, must leave its node": (BOOTING, LEAVING, ["draining"]),
    "ready, must leave its node": (READY, LEAVING, ["draining"]),
    "draining, must leave its node": (DRAINING, LEAVING, []),
    "ready, ready": (READY, seen(Step.READY), []),
    "ready, at another address": (READY, seen(Step.READY, url="http://127.0.0.1:8/r1"), ["ready"]),
    "ready, unhealthy": (READY, seen(Step.UNHEALTHY), ["unhealthy"]),
    "ready, nothing there": (READY, None, ["failed Lost"]),
    "ready, gone": (READY, seen(Step.GONE), ["end failed Crashed"]),
    "unhealthy, ready": (UNHEALTHY, seen(Step.READY), ["ready"]),
    "unhealthy, for 30 s": (UNHEALTHY, seen(Step.UNHEALTHY), []),
    "draining, nothing there": (DRAINING, None, ["end terminated"]),
    "draining, gone": (DRAINING, seen(Step.GONE), ["end terminated"]),
    "draining, nobody knows the count": (DRAINING, seen(Step.READY), []),
    "terminating": (TERMINATING, seen(Step.READY), ["end terminated"]),
    "terminating, nothing there": (TERMINATING, None, ["end terminated"]),
}


@pytest.mark.parametrize(("job", "observed", "expected"), ROWS.values(), ids=ROWS.keys())
def test_each_row_of_the_tables(job: Job, observed: ObservedReplica | None, expected: list[str]) -> None:
    assert expected == outcome(planned([job], [observed] if observed else []))


@pytest.mark.parametrize(("left", "expected"), [(0, ["terminating"]), (1, [])])
def test_a_draining_replica_goes_when_no_router_has_a_request_on_it(left: int, expected: list[str]) -> None:
    assert expected == outcome(planned([DRAINING], [seen(Step.READY)], in_flight={"r1": left}))


def test_a_drain_ends_with_its_timeout_and_says_what_was_cut() -> None:
    (action,) = planned([DRAINING], [seen(Step.READY)], now=at(81), in_flight={"r1": 2})
    assert isinstance(action, Report)
    assert isinstance(action.change, ReplicaTerminating)
    assert "2 requests under way" in action.change.detail


def test_an_unhealthy_replica_is_given_up_after_its_timeout() -> None:
    assert outcome(planned([UNHEALTHY], [seen(Step.UNHEALTHY)], now=at(41))) == ["end failed Unresponsive"]


@pytest.mark.parametrize("observed", [[], [seen(Step.LOADING)]], ids=["nothing there", "loading"])
def test_a_start_that_takes_too_long_fails(observed: list[ObservedReplica]) -> None:
    actions = planned([BOOTING], observed, now=at(1802))
    assert outcome(actions) == ["end failed InitializationTimeout"]


def test_a_start_that_is_ready_in_the_last_moment_counts() -> None:
    assert outcome(planned([BOOTING], [seen(Step.READY)], now=at(1802))) == ["ready"]


def test_a_replica_that_is_being_worked_on_is_left_alone() -> None:
    assert planned([PLACED], [], busy=frozenset({"r1"})) == ()


def test_a_replica_of_another_cluster_is_none_of_our_business() -> None:
    elsewhere = Placement("dallas", "node-a", NODE.taken)
    assert planned([fold(created(), scheduled(placement=elsewhere))], []) == ()


@pytest.mark.parametrize(
    "jobs", [[], [evolve(TERMINATING, terminated())]], ids=["no such job", "replica ended"]
)
def test_a_process_that_no_living_job_wants_is_ended(jobs: list[Job]) -> None:
    assert outcome(planned(jobs, [seen(Step.READY)])) == ["end"]


def test_a_deleted_job_is_finished_only_when_all_its_replicas_ended() -> None:
    going = evolve(DRAINING, JobDeleteRequested(at(22), "key-1"))
    gone = evolve(going, terminated())
    assert "finish" not in outcome(planned([going], [seen(Step.READY)]))
    assert outcome(planned([gone], [])) == ["finish"]


def test_of_two_that_were_given_the_same_room_one_starts_and_the_other_is_turned_away() -> None:
    other = fold(created(job_id=JOB_ID + "b"), scheduled("r2"))
    first, second = planned([PLACED, other], [], cores=1)
    assert first == StartReplica(JOB_ID, "r1")
    assert outcome((second,)) == ["failed NoRoom"]


@pytest.mark.parametrize("busy", [frozenset(), frozenset({"r1"})], ids=["it runs", "it is being started"])
def test_room_that_another_replica_holds_is_not_given_away(busy: frozenset[str]) -> None:
    other = fold(created(job_id=JOB_ID + "b"), scheduled("r2"))
    running = [] if busy else [seen(Step.READY)]
    job = PLACED if busy else READY
    assert outcome(planned([job, other], running, cores=1, busy=busy)) == ["failed NoRoom"]


def test_what_was_done_needs_no_doing_again() -> None:
    job = PLACED
    for action in planned([job], [seen(Step.READY)]):
        assert isinstance(action, Report)
        job = evolve(job, action.change)
    assert isinstance(job.replicas[0].endpoint_url, str)
    assert planned([job], [seen(Step.READY)]) == ()


def test_every_reported_change_carries_the_time_it_was_given() -> None:
    (action,) = planned([PLACED], [seen(Step.READY)], now=at(40))
    assert action == Report(JOB_ID, ReplicaReady(at(40), "r1", URL))


def test_a_failure_repeats_the_last_words_of_the_process() -> None:
    (action,) = planned([BOOTING], [seen(Step.GONE)])
    assert isinstance(action, EndReplica)
    assert action.then == ReplicaFailed(
        at(40), "r1", ReplicaReason.START_FAILED, "its process ended with status 3: words"
    )


def test_ready_is_reported_for_a_job_made_of_several_replicas_in_order() -> None:
    job = fold(created(minimum=2), scheduled("r1"), scheduled("r2"))
    actions = planned([job], [seen(Step.READY, replica_id="r2"), seen(Step.READY, replica_id="r1")])
    assert [action.change.replica_id for action in actions if isinstance(action, Report)] == ["r1", "r2"]


@pytest.mark.parametrize(
    ("job", "expected"),
    [(READY, ["jobunreachable"]), (BOOTING, ["jobunreachable"]), (LOST, []), (DRAINING, [])],
    ids=["serving", "starting", "said already", "about to end anyway"],
)
def test_nothing_is_done_in_a_cluster_that_does_not_answer_but_saying_so(
    job: Job, expected: list[str]
) -> None:
    assert outcome(planned([job], [], unreachable="no answer for 31 s")) == expected


@pytest.mark.parametrize(
    ("job", "observed", "expected"),
    [
        (LOST, seen(Step.READY), ["ready"]),
        (LOST, seen(Step.UNHEALTHY), ["unhealthy"]),
        (LOST_BOOTING, seen(Step.BOOTING), ["booting"]),
        (LOST, None, ["failed Lost"]),
    ],
    ids=["as before", "worse", "still starting", "gone meanwhile"],
)
def test_a_cluster_that_answers_again_brings_its_jobs_back(
    job: Job, observed: ObservedReplica | None, expected: list[str]
) -> None:
    actions = planned([job], [observed] if observed else [])
    assert outcome(actions) == expected
    for action in actions:
        assert isinstance(action, Report)
        assert evolve(job, action.change).status.phase is not JobPhase.UNKNOWN


def test_a_start_says_how_long_it_will_take_by_what_earlier_ones_took() -> None:
    # The other job's replica took four seconds; this one was placed a second ago.
    (action,) = planned([PLACED, replace(READY, job_id="other")], [seen(Step.BOOTING)], now=at(2))[:1]
    assert isinstance(action, Report)
    assert isinstance(action.change, ReplicaBooting)
    assert action.change.progress == Progress(None, "words, about 3 s left")


@pytest.mark.parametrize(("cluster", "expected"), [("local", ["finish"]), ("elsewhere", [])])
def test_a_job_is_buried_by_whom_its_replicas_were_with(cluster: str, expected: list[str]) -> None:
    job = evolve(evolve(TERMINATING, terminated()), JobDeleteRequested(at(30), "key-1"))
    assert outcome(planned([job], [], cluster=cluster)) == expected
    assert outcome(planned([job], [], cluster=cluster, busy=frozenset({JOB_ID}))) == []
