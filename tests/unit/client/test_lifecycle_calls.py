"""Stop, resume, restart, update and explain through both clients; what is sent again after a lost answer does nothing twice."""

from collections.abc import Awaitable, Callable

import httpx2
import pytest

from hostler_client import (
    AsyncHostlerClient,
    HostlerClient,
    JobChanges,
    NotFound,
    PreconditionFailed,
    RetryPolicy,
)
from hostler_client.models import Explanation, Job
from hostler_domain.changes import JobStopped
from tests.support.builders import at, created, ready, scheduled
from tests.unit.client.fake_api import KEY, FakeApi, problem

AT_ONCE = RetryPolicy(first_delay_seconds=0.0, poll_interval_seconds=0.0)


@pytest.fixture
def api() -> FakeApi:
    api = FakeApi()
    api.add(created(), scheduled(), ready())
    return api


class Blocking:
    """The blocking client, awaited like its twin, so that a test is written once."""

    def __init__(self, api: FakeApi) -> None:
        transport = httpx2.MockTransport(api.answer)
        self._client = HostlerClient(
            api_url="http://api.test", api_key=KEY, retry=AT_ONCE, transport=transport
        )

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Job | Explanation]]:
        async def call(*arguments: object, **named: object) -> Job | Explanation:
            result: Job | Explanation = getattr(self._client.jobs, name)(*arguments, **named)
            return result

        return call


@pytest.fixture(params=["sync", "async"])
def jobs(request: pytest.FixtureRequest, api: FakeApi):  # type: ignore[no-untyped-def]  # one of two that look alike
    if request.param == "sync":
        return Blocking(api)
    transport = httpx2.MockTransport(api.answer)
    return AsyncHostlerClient(api_url="http://api.test", api_key=KEY, retry=AT_ONCE, transport=transport).jobs


async def test_a_job_goes_through_its_life(jobs, api: FakeApi) -> None:
    assert (await jobs.stop("demo")).phase == "Stopping"
    history = api.histories[0]
    history.changes[:] = [created(), *history.changes[3:], JobStopped(at(101))]
    history.told = len(history.changes)
    assert (await jobs.get("demo")).phase == "Stopped"
    assert (await jobs.resume("demo")).phase == "Resuming"


async def test_a_restart_that_is_sent_twice_happens_once(jobs, api: FakeApi) -> None:
    assert (await jobs.restart("demo")).generation == 2
    assert (await jobs.restart("demo", of_generation=1)).generation == 2
    api.refusals = [problem(503, "busy")]
    assert (await jobs.restart("demo", of_generation=2)).generation == 3


async def test_an_update_sends_null_for_what_shall_go_and_leaves_the_rest_out(jobs, api: FakeApi) -> None:
    changes = JobChanges(labels={"old": None}, priority=None)
    await jobs.update("demo", changes, revision=7)
    assert api.bodies("PATCH") == [{"labels": {"old": None}, "priority": None}]
    assert api.requests[-1].headers["if-match"] == '"7"'


async def test_an_update_of_an_old_revision_has_an_error_of_its_own(jobs, api: FakeApi) -> None:
    api.refusals = [problem(412, "It is not as the caller knew it")]
    with pytest.raises(PreconditionFailed):
        await jobs.update("demo", JobChanges(priority=1), revision=1)


async def test_an_explanation_has_every_replica(jobs) -> None:
    explained = await jobs.explain("demo")
    assert [(each.state, each.node) for each in explained.replicas] == [("Ready", "local/node-a")]


async def test_a_log_is_read_from_where_it_was_left(jobs, api: FakeApi) -> None:
    api.logs = {"r1": ["one\n", "one\ntwo\n"]}
    first = await jobs.replica_log("demo", "r1", tail=5)
    second = await jobs.replica_log("demo", "r1", after=first.next)
    assert (first.text, first.ended) == ("one\n", False)
    assert (second.text, second.next, second.ended) == ("two\n", 8, True)
    with pytest.raises(NotFound):
        await jobs.replica_log("demo", "r2", tail=1)
