"""Both clients do the same: each test runs once with each of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import httpx2
import pytest

from hostler_client import (
    AsyncHostlerClient,
    Conflict,
    HostlerClient,
    Invalid,
    Job,
    JobEvent,
    JobFailed,
    NewJob,
    NotFound,
    RetryPolicy,
    Unauthorized,
    Unavailable,
    Unreachable,
    Until,
    WaitTimeout,
)
from hostler_domain.changes import JobDeleted, JobDeleteRequested, ReplicaLoading
from hostler_domain.changes import JobFailed as FailedChange
from hostler_domain.job import Progress
from hostler_domain.phases import PhaseReason
from tests.support.builders import JOB_ID, MODEL, at, created, ready, scheduled
from tests.unit.client.fake_api import KEY, FakeApi, problem

T = TypeVar("T")
AT_ONCE = RetryPolicy(first_delay_seconds=0.0, poll_interval_seconds=0.0)


class Twin:
    """One face for both clients."""

    def __init__(self, api: FakeApi, *, asynchronous: bool, key: str = KEY) -> None:
        transport = httpx2.MockTransport(api.answer)
        self._async = (
            AsyncHostlerClient(api_url="http://api.test", api_key=key, retry=AT_ONCE, transport=transport)
            if asynchronous
            else None
        )
        self._sync = HostlerClient(
            api_url="http://api.test/v1/", api_key=key, retry=AT_ONCE, transport=transport
        )

    def create(self, job: NewJob) -> Job:
        return asyncio.run(self._async.jobs.create(job)) if self._async else self._sync.jobs.create(job)

    def get(self, job: str, project: str | None = None) -> Job:
        if self._async:
            return asyncio.run(self._async.jobs.get(job, project=project))
        return self._sync.jobs.get(job, project=project)

    def delete(self, job: str) -> Job:
        return asyncio.run(self._async.jobs.delete(job)) if self._async else self._sync.jobs.delete(job)

    def all_jobs(self) -> list[Job]:
        return _taken(self._async.jobs.list()) if self._async else list(self._sync.jobs.list())

    def all_events(self, job: str, after: int = 0) -> list[JobEvent]:
        if self._async:
            return _taken(self._async.jobs.events(job, after=after))
        return list(self._sync.jobs.events(job, after=after))

    def follow(self, job: str) -> list[JobEvent]:
        return _taken(self._async.jobs.follow(job)) if self._async else list(self._sync.jobs.follow(job))

    def wait(
        self,
        job: str,
        *,
        until: Until = Until.READY,
        timeout_seconds: float = 5.0,
        on_update: Callable[[Job], None] | None = None,
    ) -> Job:
        if self._async:
            return asyncio.run(
                self._async.jobs.wait(job, until=until, timeout_seconds=timeout_seconds, on_update=on_update)
            )
        return self._sync.jobs.wait(job, until=until, timeout_seconds=timeout_seconds, on_update=on_update)


def _taken(source: AsyncIterator[T]) -> list[T]:
    async def take() -> list[T]:
        return [each async for each in source]

    return asyncio.run(take())


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, api: FakeApi) -> Twin:
    return Twin(api, asynchronous=request.param == "async")


def test_a_created_job_comes_back_and_only_given_fields_were_sent(client: Twin, api: FakeApi) -> None:
    job = client.create(NewJob(model=MODEL, name="demo"))
    assert (job.name, job.model, job.phase) == ("demo", MODEL, "Creating")
    assert api.bodies("POST") == [{"model": MODEL, "name": "demo"}]
    assert api.requests[0].url == "http://api.test/v1/jobs"


def test_a_retried_create_keeps_its_idempotency_key_and_the_next_one_has_its_own(
    client: Twin, api: FakeApi
) -> None:
    api.refusals = [problem(503, "busy")]
    client.create(NewJob(model=MODEL, name="one"))
    client.create(NewJob(model=MODEL, name="two"))
    first, again, other = (request.headers["idempotency-key"] for request in api.requests)
    assert first == again != other


def test_a_name_with_a_slash_stays_one_part_of_the_path(client: Twin, api: FakeApi) -> None:
    with pytest.raises(NotFound):
        client.get("../keys", project="p")
    assert api.requests[0].url.raw_path == b"/v1/jobs/..%2Fkeys?project=p"


def test_all_pages_of_a_list_are_taken(client: Twin, api: FakeApi) -> None:
    for number in range(5):
        api.add(created(name=f"job-{number}"))
    assert [job.name for job in client.all_jobs()] == [f"job-{number}" for number in range(5)]


def test_all_pages_of_a_history_are_taken(client: Twin, api: FakeApi) -> None:
    api.add(created(), scheduled(), ready())
    assert [event.name for event in client.all_events(JOB_ID)] == [
        "job.created",
        "replica.scheduled",
        "replica.ready",
    ]
    assert [event.sequence for event in client.all_events(JOB_ID, after=1)] == [2, 3]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Invalid), (409, Conflict), (422, Invalid)],
    ids=["invalid", "conflict", "reused"],
)
def test_a_refusal_is_not_tried_again_and_names_the_fields(
    client: Twin, api: FakeApi, status: int, kind: type[Invalid]
) -> None:
    errors = [{"field": "scaling.max_replicas", "message": "too small", "pointer": "/scaling/max_replicas"}]
    api.refusals = [problem(status, "No", "because", errors=errors)]
    with pytest.raises(kind) as refused:
        client.create(NewJob(model=MODEL))
    assert refused.value.request_id == "req-1"
    assert [(each.field, each.message) for each in refused.value.errors] == [
        ("scaling.max_replicas", "too small")
    ]
    assert len(api.requests) == 1


def test_an_unknown_key_is_told(api: FakeApi) -> None:
    with pytest.raises(Unauthorized):
        Twin(api, asynchronous=False, key="hsk_other").get("demo")


def test_an_api_that_stays_unavailable_is_given_up(client: Twin, api: FakeApi) -> None:
    api.refusals = [problem(503, "busy") for _ in range(10)]
    with pytest.raises(Unavailable):
        client.get("demo")
    assert len(api.requests) == AT_ONCE.attempts


def test_a_wait_follows_the_events_until_a_replica_serves(client: Twin, api: FakeApi) -> None:
    loading = ReplicaLoading(at(3), "r1", Progress(0.5, "half"))
    api.add(created(), scheduled(), loading, ready(), told=1)
    seen: list[Job] = []
    job = client.wait("demo", on_update=seen.append)
    assert job.status.ready_replicas == 1
    assert [each.revision for each in seen] == [1, 2, 3, 4]
    assert seen[2].status.replicas[0].progress is not None
    assert len(api.requests) == 2, "one read and one stream"


def test_a_wait_for_a_job_that_serves_reads_it_once(client: Twin, api: FakeApi) -> None:
    api.add(created(), scheduled(), ready())
    client.wait("demo")
    assert len(api.requests) == 1


def test_a_wait_outlives_a_broken_stream(client: Twin, api: FakeApi) -> None:
    api.add(created(), scheduled(), ready(), told=1)
    api.streams_to_break = 3
    assert client.wait("demo").status.ready_replicas == 1
    assert api.streams_to_break == 0


def test_a_wait_for_a_job_that_fails_ends_with_why(client: Twin, api: FakeApi) -> None:
    api.add(created(), FailedChange(at(1), PhaseReason.REPEATED_CRASH, "it crashed 5 times"), told=1)
    with pytest.raises(JobFailed, match="RepeatedCrash: it crashed 5 times"):
        client.wait("demo")


def test_a_wait_for_a_job_that_is_being_deleted_ends(client: Twin, api: FakeApi) -> None:
    api.add(created(), JobDeleteRequested(at(1), "key-1"), told=1)
    with pytest.raises(JobFailed, match="deleted"):
        client.wait("demo")


def test_a_wait_for_the_end_of_a_job_ends_with_its_tombstone(client: Twin, api: FakeApi) -> None:
    api.add(created(), JobDeleteRequested(at(1), "key-1"), JobDeleted(at(2)), told=2)
    assert client.wait("demo", until=Until.DELETED).phase == "Deleted"


def test_a_wait_that_takes_too_long_says_how_the_job_stood(client: Twin, api: FakeApi) -> None:
    api.add(created(), scheduled())
    with pytest.raises(WaitTimeout, match=r"demo was not ready within 0.05 s; it is Initializing") as late:
        client.wait("demo", timeout_seconds=0.05)
    assert late.value.job is not None


def test_a_wait_for_a_job_that_is_not_there_ends_at_once(client: Twin) -> None:
    with pytest.raises(NotFound):
        client.wait("nothing")


def test_following_goes_on_after_a_break_and_ends_with_the_job(client: Twin, api: FakeApi) -> None:
    api.add(created(), JobDeleteRequested(at(2), "key-1"), JobDeleted(at(3)), told=1)
    api.refusals = [problem(503, "restarting")]
    assert [event.sequence for event in client.follow(JOB_ID)] == [1, 2, 3]


def test_following_gives_up_when_nothing_answers(client: Twin, api: FakeApi) -> None:
    api.refusals = [problem(503, "away") for _ in range(50)]
    with pytest.raises(Unavailable):
        client.follow(JOB_ID)


def test_a_client_shows_no_key() -> None:
    client = HostlerClient(api_url="http://127.0.0.1:1", api_key="hsk_secret")
    assert "hsk_secret" not in f"{client.connection!r} {client!r} {vars(client)!r}"


def test_an_address_where_nobody_listens_is_unreachable() -> None:
    refusing = httpx2.MockTransport(_refuse)
    client = HostlerClient(api_url="http://127.0.0.1:1", retry=AT_ONCE, transport=refusing)
    with pytest.raises(Unreachable, match=r"no answer from http://127\.0\.0\.1:1: refused"):
        client.jobs.get("demo")


def _refuse(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ConnectError("refused", request=request)
