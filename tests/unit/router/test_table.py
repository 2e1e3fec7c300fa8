from dataclasses import replace

import pytest

from hostler_domain.changes import JobDeleteRequested, ReplicaUnhealthy
from hostler_domain.evolve import evolve
from hostler_domain.job import EndpointAuth, Job
from hostler_domain.phases import JobPhase, PhaseReason
from hostler_router.auth import ANYONE, Viewer
from hostler_router.table import Ambiguous, Endpoint, NotServing, Route, RouteTable, Unknown
from tests.support.builders import MODEL, at, created, draining, fold, running_job

ALICE, BOB, ADMIN = Viewer("alice"), Viewer("bob"), Viewer("ops", admin=True)
PUBLIC = EndpointAuth.PUBLIC


def job(number: int, project: str = "alice", name: str = "", **fields: object) -> Job:
    return running_job(job_id=f"job-{number}", project=project, name=name or f"demo-{number}", **fields)


def in_phase(phase: JobPhase, reason: PhaseReason | None = None) -> Job:
    waiting = fold(created(job_id="job-1", project="alice"))
    return replace(waiting, status=replace(waiting.status, phase=phase, phase_reason=reason))


def meant(table: RouteTable, model: str, viewer: Viewer) -> str | tuple[str, ...] | None:
    match table.resolve(model, viewer):
        case Route(entry) | NotServing(entry):
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
    ("phase", "retry_after_seconds", "worth_waiting"),
    [
        pytest.param(JobPhase.CREATING, 10, True, id="Creating"),
        pytest.param(JobPhase.PENDING, 30, True, id="Pending"),
        pytest.param(JobPhase.INITIALIZING, 10, True, id="Initializing"),
        pytest.param(JobPhase.RUNNING, 5, True, id="Running, asleep"),
        pytest.param(JobPhase.RESUMING, 10, True, id="Resuming"),
        pytest.param(JobPhase.UNKNOWN, 30, True, id="Unknown"),
        pytest.param(JobPhase.STOPPING, 60, False, id="Stopping"),
        pytest.param(JobPhase.STOPPED, 60, False, id="Stopped"),
        pytest.param(JobPhase.FAILED, 60, False, id="Failed"),
    ],
)
def test_a_job_without_ready_replicas_says_when_to_ask_again(
    phase: JobPhase, retry_after_seconds: int, worth_waiting: bool
) -> None:
    target = RouteTable([in_phase(phase)]).resolve("job-1", ALICE)
    assert isinstance(target, NotServing)
    assert (target.retry_after_seconds, target.worth_waiting) == (retry_after_seconds, worth_waiting)
    assert target.entry.phase is phase


def test_the_reason_of_the_phase_is_kept() -> None:
    target = RouteTable([in_phase(JobPhase.PENDING, PhaseReason.NO_CAPACITY)]).resolve("job-1", ALICE)
    assert isinstance(target, NotServing)
    assert target.entry.reason == "NoCapacity"


@pytest.mark.parametrize("phase", [JobPhase.DELETING, JobPhase.DELETED])
def test_a_job_that_goes_is_unknown(phase: JobPhase) -> None:
    assert RouteTable([in_phase(phase)]).resolve("job-1", ADMIN) == Unknown()


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
