"""What the table says depends on the jobs as they are, never on how it came to know them."""

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from hostler_domain.job import EndpointAuth, Job
from hostler_domain.phases import JobPhase
from hostler_router.auth import ANYONE, Viewer
from hostler_router.balance import pick
from hostler_router.table import Ambiguous, Endpoint, Entry, RouteTable, Unknown
from tests.support.builders import running_job

PROJECTS = ("alice", "bob")
NAMES = ("chat", "draft")
MODELS = ("org/one", "alice/chat")
PHASES = (JobPhase.RUNNING, JobPhase.STOPPED, JobPhase.DELETING, JobPhase.DELETED)
VIEWERS = (Viewer("alice"), Viewer("bob"), Viewer("x", admin=True), ANYONE)
WORDS = (*NAMES, *MODELS, *(f"{project}/{name}" for project in PROJECTS for name in NAMES), "job-0", "job-1")


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    job = running_job(
        job_id=f"job-{draw(st.integers(0, 3))}",
        project=draw(st.sampled_from(PROJECTS)),
        name=draw(st.sampled_from(NAMES)),
        model=draw(st.sampled_from(MODELS)),
        endpoint_auth=draw(st.sampled_from(EndpointAuth)),
    )
    return replace(job, status=replace(job.status, phase=draw(st.sampled_from(PHASES))))


HISTORIES = st.lists(jobs(), max_size=12)


@given(HISTORIES)
def test_a_table_that_followed_equals_one_made_afresh(history: list[Job]) -> None:
    followed = RouteTable()
    for job in history:
        followed.apply(job)
        for viewer in VIEWERS:
            for word in WORDS:
                followed.resolve(word, viewer)  # what it answered meanwhile must not stay
    fresh = RouteTable({job.job_id: job for job in history}.values())
    for viewer in VIEWERS:
        assert followed.listed(viewer) == fresh.listed(viewer)
        assert [followed.resolve(word, viewer) for word in WORDS] == [
            fresh.resolve(word, viewer) for word in WORDS
        ]
    assert followed.has_public == fresh.has_public


@given(HISTORIES, st.sampled_from(WORDS), st.sampled_from(VIEWERS))
def test_nobody_is_sent_to_a_job_that_is_not_theirs(history: list[Job], word: str, viewer: Viewer) -> None:
    table = RouteTable(history)
    match table.find(word, viewer):
        case Entry() as entry:
            found = [entry.job_id]
        case Ambiguous(job_ids):
            found = list(job_ids)
            assert len(found) > 1
        case Unknown():
            found = []
    latest = {job.job_id: job for job in history}
    for job_id in found:
        spec = latest[job_id].spec
        assert viewer.admin or spec.project == viewer.project or spec.endpoint_auth is EndpointAuth.PUBLIC
        assert latest[job_id].status.phase not in (JobPhase.DELETING, JobPhase.DELETED)


@given(
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 5)),
    st.sets(st.sampled_from("abcdef")),
    st.integers(0, 1000),
)
def test_a_pick_is_an_eligible_member_with_the_fewest_requests(
    names: list[str], outstanding: dict[str, int], exclude: set[str], seed: int
) -> None:
    candidates = [Endpoint(name, f"http://{name}") for name in names]
    eligible = [endpoint for endpoint in candidates if endpoint.replica_id not in exclude]
    picked = pick(candidates, outstanding=outstanding, rng=Random(seed), exclude=exclude)
    if picked is None:
        assert eligible == []
    else:
        assert picked in eligible
        assert outstanding.get(picked.replica_id, 0) == min(
            outstanding.get(endpoint.replica_id, 0) for endpoint in eligible
        )
