from dataclasses import replace

import pytest

from hostler_domain.changes import (
    Change,
    JobDeleteRequested,
    JobResumeRequested,
    JobScaled,
    JobStopped,
    JobStopRequested,
    ReplicaBooting,
    ReplicaUnhealthy,
)
from hostler_domain.evolve import evolve
from hostler_domain.job import EndpointAuth, Job, Progress
from hostler_domain.phases import JobPhase, PhaseReason
from hostler_domain.routing import Balancing, Routing
from hostler_router.auth import ANYONE, Viewer
from hostler_router.table import Ambiguous, Endpoint, NotServing, Route, RouteTable, Unknown, Waking
from tests.support.builders import (
    MODEL,
    NOW,
    at,
    created,
    draining,
    fold,
    running_job,
    scheduled,
    terminated,
)

ALICE, BOB, ADMIN = Viewer("alice"), Viewer("bob"), Viewer("ops", admin=True)
PUBLIC = EndpointAuth.PUBLIC


def job(number: int, project: str = "alice", name: str = "", **fields: object) -> Job:
    return running_job(job_id=f"job-{number}", project=project, name=name or f"demo-{number}", **fields)


def in_phase(phase: JobPhase, reason: PhaseReason | None = None) -> Job:
    waiting = fold(created(job_id="job-1", project="alice"))
    return replace(waiting, status=replace(waiting.status, phase=phase, phase_reason=reason))


def fold_on(job: Job, *changes: Change) -> Job:
    for change in changes:
        job = evolve(job, change)
    return job


def meant(table: RouteTable, model: str, viewer: Viewer) -> str | tuple[str, ...] | None:
    match table.resolve(model, viewer):
        case Route(entry) | Waking(entry) | NotServing(entry):
            return entry.job_id
        case Ambiguous(job_ids):
            return job_ids
        case Unknown():
            return None


TWO_PROJECTS = (
    job(1, name="chat", model="org/small"),
    job(2, name="draft", model="org/large"),
    job(3, name="draft-2", model="org/large"),
    job(4, "bob", name="chat", model="org/small"),
    job(5, "bob", name="open", model="org/open", endpoint_auth=PUBLIC),
)


@pytest.mark.parametrize(
    ("model", "viewer", "expected"),
    [
        pytest.param("job-1", ALICE, "job-1", id="its id"),
        pytest.param("alice/chat", ALICE, "job-1", id="project and name"),
        pytest.param("chat", ALICE, "job-1", id="name, the caller's own"),
        pytest.param("chat", BOB, "job-4", id="name, the other caller's own"),
        pytest.param("org/small", ALICE, "job-1", id="model that is unique among the caller's"),
        pytest.param("org/large", ALICE, ("job-2", "job-3"), id="model of several"),
        pytest.param("job-4", ALICE, None, id="id of another project"),
        pytest.param("bob/chat", ALICE, None, id="project and name of another project"),
        pytest.param("org/large", BOB, None, id="model of another project"),
        pytest.param("nothing", ALICE, None, id="nothing of that name"),
        pytest.param("", ALICE, None, id="no name at all"),
        pytest.param("job-4", ADMIN, "job-4", id="an admin sees every id"),
        pytest.param("chat", ADMIN, ("job-1", "job-4"), id="an admin has to say which"),
        pytest.param("alice/chat", ADMIN, "job-1", id="and can"),
        pytest.param("job-5", ANYONE, "job-5", id="public by id"),
        pytest.param("bob/open", ANYONE, "job-5", id="public by project and name"),
        pytest.param("open", ALICE, "job-5", id="public by name, from another project"),
        pytest.param("org/open", ANYONE, "job-5", id="public by model"),
        pytest.param("job-1", ANYONE, None, id="not public"),
    ],
)
def test_model_means_a_job_to_its_caller(
    model: str, viewer: Viewer, expected: str | tuple[str, ...] | None
) -> None:
    assert meant(RouteTable(TWO_PROJECTS), model, viewer) == expected


def test_an_own_job_comes_before_a_public_one_of_the_same_name() -> None:
    table = RouteTable([job(1, name="same"), job(2, "bob", name="same", endpoint_auth=PUBLIC)])
    assert meant(table, "same", ALICE) == "job-1"


def test_a_name_comes_before_a_model_that_reads_like_it() -> None:
    table = RouteTable([job(1, name="chat"), job(2, model="alice/chat")])
    assert meant(table, "alice/chat", ALICE) == "job-1"


def test_a_route_holds_ready_replicas_only() -> None:
    healthy = running_job(replicas=4)
    unhealthy = evolve(healthy, ReplicaUnhealthy(at(9), "r2", "no answer"))
    table = RouteTable([evolve(unhealthy, draining("r3"))])
    assert table.endpoints(healthy.job_id) == (
        Endpoint("r1", "http://127.0.0.1:9/r1"),
        Endpoint("r4", "http://127.0.0.1:9/r4"),
    )


@pytest.mark.parametrize(
    ("phase", "retry_after_seconds"),
    [
        (JobPhase.CREATING, 10),
        (JobPhase.PENDING, 30),
        (JobPhase.INITIALIZING, 10),
        (JobPhase.RUNNING, 5),
        (JobPhase.DEGRADED, 5),
        (JobPhase.UPDATING, 5),
        (JobPhase.RESUMING, 10),
    ],
)
def test_a_request_may_wait_for_a_job_that_gets_its_replicas_by_itself(
    phase: JobPhase, retry_after_seconds: int
) -> None:
    target = RouteTable([in_phase(phase)]).resolve("job-1", ALICE)
    assert isinstance(target, Waking)
    assert (target.retry_after_seconds, target.worth_waiting) == (retry_after_seconds, True)
    assert target.entry.phase is phase


@pytest.mark.parametrize(
    ("phase", "retry_after_seconds", "worth_waiting"),
    [
        (JobPhase.UNKNOWN, 30, True),
        (JobPhase.TERMINATING, 30, True),
        (JobPhase.STOPPING, 60, False),
        (JobPhase.STOPPED, 60, False),
        (JobPhase.FAILED, 60, False),
    ],
)
def test_no_request_waits_for_a_job_that_does_not(
    phase: JobPhase, retry_after_seconds: int, worth_waiting: bool
) -> None:
    target = RouteTable([in_phase(phase)]).resolve("job-1", ALICE)
    assert isinstance(target, NotServing)
    assert (target.retry_after_seconds, target.worth_waiting) == (retry_after_seconds, worth_waiting)
    assert target.entry.eta_seconds is None


@pytest.mark.parametrize(
    ("reason", "waking"),
    [
        (PhaseReason.NO_CAPACITY, True),
        (PhaseReason.BACKING_OFF, True),
        (PhaseReason.NO_MATCHING_HARDWARE, False),
        (PhaseReason.OVER_LIMIT, False),
        (PhaseReason.NON_PREEMPTIBLE_OVER_QUOTA, False),
    ],
)
def test_no_request_waits_for_what_somebody_has_to_do(reason: PhaseReason, waking: bool) -> None:
    target = RouteTable([in_phase(JobPhase.PENDING, reason)]).resolve("job-1", ALICE)
    assert isinstance(target, Waking if waking else NotServing)


def test_every_phase_of_a_living_job_is_one_of_the_two() -> None:
    gone = {JobPhase.DELETING, JobPhase.DELETED}
    assert {phase for phase in JobPhase if meant(RouteTable([in_phase(phase)]), "job-1", ALICE)} == {
        *JobPhase
    } - gone


def test_a_job_that_is_stopped_is_not_served_and_one_that_is_resumed_wakes() -> None:
    table = RouteTable()
    stopped = fold(created(job_id="job-1", project="alice"), JobStopRequested(at(1), "k"), JobStopped(at(2)))
    table.apply(stopped)
    assert isinstance(table.target("job-1"), NotServing)
    table.apply(evolve(stopped, JobResumeRequested(at(3), "k")))
    assert isinstance(table.target("job-1"), Waking)


def test_a_job_at_zero_wakes_and_says_that_it_takes_a_request() -> None:
    serving = running_job(minimum=0, job_id="job-1", project="alice")
    slept = fold_on(serving, JobScaled(at(60), 1, 0, ()), draining(seconds=61), terminated(seconds=62))
    woken = evolve(slept, JobScaled(at(90), 0, 1, ()))
    table = RouteTable([slept])

    asleep = table.resolve("job-1", ALICE)
    assert isinstance(asleep, Waking)
    assert (asleep.entry.scaled_to_zero, asleep.entry.phase) == (True, JobPhase.RUNNING)

    table.apply(woken)
    waking = table.resolve("job-1", ALICE)
    assert isinstance(waking, Waking)
    assert not waking.entry.scaled_to_zero


def test_a_job_that_began_at_zero_takes_a_request_as_well() -> None:
    entry = RouteTable([fold(created(job_id="job-1", minimum=0, initial=0))]).get("job-1")
    assert entry is not None
    assert (entry.phase, entry.scaled_to_zero) == (JobPhase.CREATING, True)


def test_a_start_is_expected_to_take_as_long_as_those_before() -> None:
    """It took 4 s once (placed at 1, ready at 5), so one that was placed at 100 is expected at 104."""
    slept = fold_on(running_job(), draining(seconds=20), terminated(seconds=30))
    table = RouteTable([slept])
    placed = table.apply(evolve(slept, scheduled("r2", seconds=100)))
    assert placed is not None
    assert (placed.eta_seconds, placed.ready_expected_at) == (4, at(104))

    booting = fold_on(slept, scheduled("r2", seconds=100), ReplicaBooting(at(103), "r2", Progress(None, "")))
    later = table.apply(booting)
    assert later is not None
    assert later.eta_seconds == 1
    assert [later.eta_at(at(seconds)) for seconds in (101, 103.6, 104, 200)] == [3, 1, 1, 1]
    target = table.target(booting.job_id)
    assert isinstance(target, Waking)
    assert target.retry_after_seconds == 1


def test_without_a_start_under_way_a_whole_one_is_expected_at_any_time() -> None:
    slept = fold_on(running_job(), draining(seconds=20), terminated(seconds=30))
    entry = RouteTable([slept]).get(slept.job_id)
    assert entry is not None
    assert (entry.eta_seconds, entry.ready_expected_at) == (4, None)
    assert entry.eta_at(at(9999)) == 4


def test_what_serves_is_not_waited_for() -> None:
    entry = RouteTable([running_job()]).get(running_job().job_id)
    assert entry is not None
    assert (entry.waking, entry.scaled_to_zero, entry.eta_seconds, entry.eta_at(NOW)) == (
        False,
        False,
        None,
        None,
    )


def test_the_entry_has_the_owners_choices() -> None:
    chosen = Routing(Balancing.PREFIX, concurrency_per_replica=8, extra_routes=("rerank",))
    entry = RouteTable([running_job(routing=chosen)]).get(running_job().job_id)
    assert entry is not None
    assert (entry.routing, entry.runtime, entry.desired_running) == (chosen, "llamacpp", True)


@pytest.mark.parametrize(
    ("runtime", "route", "allowed"),
    [
        ("llamacpp", "chat/completions", True),
        ("llamacpp", "audio/transcriptions", True),
        ("llamacpp", "rerank", True),
        ("llamacpp", "score", False),
        ("llamacpp", "responses", True),
        ("external", "responses", False),
        ("vllm", "responses", True),
        ("vllm", "tokenize", False),
        ("vllm", "/v1/chat/completions", True),
        ("vllm", "/v1/responses", True),
        ("vllm", "/v1/tokenize", False),
        ("vllm", "/tokenize", False),
        ("llamacpp", "/v1/rerank", True),
        ("llamacpp", "/v1/score", False),
        ("simulated", "/v1/responses/resp-1", False),
    ],
)
def test_standard_routes_are_allowed_and_others_by_choice_or_runtime(
    runtime: str, route: str, allowed: bool
) -> None:
    job = running_job(runtime=runtime, routing=Routing(extra_routes=("rerank",)))
    entry = RouteTable([job]).get(job.job_id)
    assert entry is not None
    assert entry.allows(route) is allowed


def test_the_reason_of_the_phase_is_kept() -> None:
    target = RouteTable([in_phase(JobPhase.PENDING, PhaseReason.NO_CAPACITY)]).resolve("job-1", ALICE)
    assert isinstance(target, Waking)
    assert target.entry.reason == "NoCapacity"


@pytest.mark.parametrize("phase", [JobPhase.DELETING, JobPhase.DELETED])
def test_a_job_that_goes_is_unknown(phase: JobPhase) -> None:
    table = RouteTable([in_phase(phase)])
    assert table.resolve("job-1", ADMIN) == Unknown()
    assert table.target("job-1") is None


def test_deleting_a_job_frees_its_words_for_others() -> None:
    first, second = job(1, name="chat", endpoint_auth=PUBLIC), job(2, name="draft")
    table = RouteTable([first, second])
    assert meant(table, MODEL, ALICE) == ("job-1", "job-2")
    assert table.has_public

    assert table.apply(evolve(first, JobDeleteRequested(at(9), "key-1"))) is None

    assert meant(table, MODEL, ALICE) == "job-2"
    assert meant(table, "chat", ALICE) is None
    assert not table.has_public
    assert [entry.job_id for entry in table.entries] == ["job-2"]


def test_the_list_is_the_callers_own_oldest_first() -> None:
    table = RouteTable(reversed(TWO_PROJECTS))
    listed = {
        name: [entry.job_id for entry in table.listed(viewer)]
        for name, viewer in (("alice", ALICE), ("bob", BOB), ("admin", ADMIN), ("anyone", ANYONE))
    }
    assert listed == {
        "alice": ["job-1", "job-2", "job-3"],
        "bob": ["job-4", "job-5"],
        "admin": ["job-1", "job-2", "job-3", "job-4", "job-5"],
        "anyone": [],
    }
