"""What Lyceum's clients send: another path, the job in a header, a time limit, an org."""

import json

import pytest

from tests.integration.router.harness import ADMIN_KEY, ALICE_KEY, BOB_KEY, Harness
from tests.integration.router.replicas import Replica, hangs

CHAT = "/openai/v1/chat/completions"
BODY = b'{"messages":[{"role":"user","content":"hi"}]}'


@pytest.fixture
async def job(router: Harness, first: Replica) -> str:
    return await router.add_job(first.url)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def test_the_header_names_the_job_and_the_replica_hears_of_it(
    router: Harness, first: Replica, job: str
) -> None:
    got = await router.post(CHAT, BODY, {"X-Deployment-ID": job, "X-Timeout-S": "60"})
    assert got.status == 200
    (seen,) = first.seen
    assert seen.path == "/v1/chat/completions"
    assert json.loads(seen.body) == {**json.loads(BODY), "model": job}
    assert not {"x-deployment-id", "x-timeout-s"} & set(seen.headers)
    assert router.request_lines()[-1]["route"] == "/v1/chat/completions"


async def test_a_key_with_lyceums_prefix_is_the_same_key(router: Harness, job: str) -> None:
    got = await router.post(CHAT, BODY, {"X-Deployment-ID": job, **bearer(f"lk_{ALICE_KEY}")})
    assert got.status == 200


async def test_an_unknown_job_in_the_header_is_404_whatever_the_body_names(router: Harness, job: str) -> None:
    body = json.dumps({**json.loads(BODY), "model": job}).encode()
    got = await router.post(CHAT, body, {"X-Deployment-ID": "nope"})
    assert (got.status, got.error["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("key", "org", "status"),
    [
        pytest.param(ALICE_KEY, "alice", 200, id="the key's own"),
        pytest.param(ALICE_KEY, "bob", 404, id="not the key's"),
        pytest.param(BOB_KEY, "alice", 404, id="another key's"),
        pytest.param(ADMIN_KEY, "alice", 200, id="an admin's choice"),
        pytest.param(ADMIN_KEY, "bob", 404, id="an admin's choice without the job"),
    ],
)
async def test_an_org_sees_its_own_jobs(router: Harness, job: str, key: str, org: str, status: int) -> None:
    got = await router.post(CHAT, BODY, {"X-Deployment-ID": job, "X-Org-Slug": org, **bearer(key)})
    assert got.status == status


async def test_asynchronous_requests_are_refused_before_the_replica(
    router: Harness, first: Replica, job: str
) -> None:
    got = await router.post(CHAT, BODY, {"X-Deployment-ID": job, "X-Async": "true"})
    assert (got.status, got.error["code"]) == (501, "async_not_offered")
    assert got.headers["x-should-retry"] == "false"
    assert first.seen == []


async def test_a_request_ends_when_its_own_time_is_over(
    router: Harness, first: Replica, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first.behaviour = hangs
    monkeypatch.setattr("hostler_router.wishes.TIMEOUT_SECONDS_MIN", 0.1)
    got = await router.post(CHAT, BODY, {"X-Deployment-ID": job, "X-Timeout-S": "0"})
    assert (got.status, got.error["code"]) == (504, "request_timeout")


async def test_the_list_of_models_has_the_second_path_too(router: Harness, job: str) -> None:
    async with router.client.get("/openai/v1/models") as response:
        assert [each["id"] for each in (await response.json())["data"]] == [job]
