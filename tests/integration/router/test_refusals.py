"""What the router answers by itself: keys, names, routes, bodies."""

import asyncio
import json
from collections.abc import AsyncIterator
from io import BytesIO

import pytest

from hostler_domain.job import EndpointAuth
from hostler_domain.scaling import Scaling
from tests.integration.router.harness import (
    ADMIN_KEY,
    ALICE_KEY,
    BOB_KEY,
    READER_KEY,
    Harness,
    running_router,
)
from tests.integration.router.replicas import Replica

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("key", "model", "status", "code"),
    [
        pytest.param(ALICE_KEY, "nope", 404, "model_not_found", id="unknown model"),
        pytest.param(BOB_KEY, "job-1", 404, "model_not_found", id="another project's job by id"),
        pytest.param(BOB_KEY, "alice/chat", 404, "model_not_found", id="and by name"),
        pytest.param(ALICE_KEY[:-1] + "x", "chat", 401, "invalid_api_key", id="mistyped key"),
        pytest.param("sk-other", "chat", 401, "invalid_api_key", id="key of another service"),
        pytest.param("", "chat", 401, "invalid_api_key", id="no key"),
        pytest.param("", "nope", 401, "invalid_api_key", id="no key and no such model"),
        pytest.param(READER_KEY, "chat", 403, "insufficient_scope", id="key without the scope"),
    ],
)
async def test_only_those_who_may_reach_a_job(
    router: Harness, first: Replica, key: str, model: str, status: int, code: str
) -> None:
    await router.add_job(first.url)
    got = await router.chat(model, key=key)
    assert (got.status, got.error["code"]) == (status, code)
    assert got.headers["x-request-id"]
    assert got.headers["x-should-retry"] == "false"
    assert first.seen == []


async def test_an_unknown_and_a_foreign_job_read_the_same(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    foreign, unknown = await router.chat("job-1", key=BOB_KEY), await router.chat("job-9", key=BOB_KEY)
    assert foreign.body.replace(b"job-1", b"") == unknown.body.replace(b"job-9", b"")


async def test_an_admin_key_reaches_every_job(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    assert (await router.chat("alice/chat", key=ADMIN_KEY)).status == 200


@pytest.mark.parametrize("key", ["", "none", BOB_KEY, READER_KEY])
async def test_a_public_job_needs_no_key(router: Harness, first: Replica, key: str) -> None:
    await router.add_job(first.url, endpoint_auth=EndpointAuth.PUBLIC)
    assert (await router.chat("alice/chat", key=key)).status == 200
    assert (await router.chat("nope", key="")).status == 401


async def test_a_name_of_several_jobs_lists_them(router: Harness, first: Replica) -> None:
    await router.add_job(first.url, model="org/tiny", name="a")
    await router.add_job(first.url, model="org/tiny", name="b", job_id="job-2")
    got = await router.chat("org/tiny")
    assert (got.status, got.error["code"], got.error["param"]) == (400, "model_ambiguous", "model")
    assert "job-1, job-2" in str(got.error["message"])


async def test_a_job_that_is_not_ready_says_when_to_come_back(router: Harness) -> None:
    await router.add_job()
    got = await router.chat()
    assert (got.status, got.error["code"]) == (503, "no_ready_replica")
    assert "Creating" in str(got.error["message"])
    assert (got.headers["retry-after"], got.headers["x-should-retry"]) == ("10", "true")
    windows = await router.windows()  # the first was published at once, for the autoscaler to hear of it
    assert sum(window.arrivals for window in windows) == sum(window.rejected for window in windows) == 1
    assert {(window.failed, window.in_flight) for window in windows} == {(0, 0)}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        pytest.param("GET", "/", 404, "unknown_url", id="root"),
        pytest.param("POST", "/v1/images", 404, "unknown_url", id="a route of OpenAI that is not here"),
        pytest.param("POST", "/invocations", 404, "unknown_url", id="vllm's route without a key"),
        pytest.param("GET", "/metrics", 404, "unknown_url", id="figures are on the ops port"),
        pytest.param("GET", "/v1/modelsx", 404, "unknown_url", id="beginning like a route"),
        pytest.param("GET", CHAT, 405, "method_not_allowed", id="get"),
        pytest.param("PUT", CHAT, 405, "method_not_allowed", id="put"),
        pytest.param("POST", "/v1/models", 405, "method_not_allowed", id="post of a list"),
        pytest.param("DELETE", "/v1/models/x/y", 405, "method_not_allowed", id="delete of a model"),
    ],
)
async def test_other_routes_are_refused_in_the_same_shape(
    router: Harness, method: str, path: str, status: int, code: str
) -> None:
    async with router.client.request(method, path) as response:
        error = (await response.json())["error"]
        assert (response.status, error["code"]) == (status, code)
        assert set(error) == {"message", "type", "param", "code"}
        assert response.headers["x-request-id"]
        if status == 405:
            assert response.headers["allow"] in ("GET", "POST")


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        pytest.param(b"{", {}, 400, "invalid_json", id="no json"),
        pytest.param(b"[]", {}, 400, "invalid_type", id="a list"),
        pytest.param(b"{}", {}, 400, "missing_required_parameter", id="no model"),
        pytest.param(
            b"x", {"content-encoding": "gzip"}, 415, "unsupported_content_encoding", id="compressed"
        ),
    ],
)
async def test_bad_bodies_are_refused(
    router: Harness, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    got = await router.post(CHAT, body, headers)
    assert (got.status, got.error["code"], got.headers["x-should-retry"]) == (status, code, "false")


@pytest.fixture
async def small(first: Replica) -> AsyncIterator[Harness]:
    async with running_router(body_bytes_max=1000, body_timeout_seconds=0.15) as harness:
        await harness.add_job(first.url)
        yield harness


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit_is_refused_and_the_connection_lives_on(
    small: Harness, announced: bool
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 50_000

    body = BytesIO(b"x" * 2_000_000) if announced else pieces()
    async with small.client.post(CHAT, data=body) as response:
        assert response.status == 413
        assert (await response.json())["error"]["code"] == "request_too_large"
    assert (await small.chat()).status == 200


async def test_a_body_of_exactly_the_limit_is_taken(small: Harness, first: Replica) -> None:
    body = json.dumps({"model": "chat", "user": ""}).encode()
    body = body[:-2] + b"u" * (1000 - len(body)) + body[-2:]
    assert len(body) == 1000
    assert (await small.post(CHAT, body)).status == 200
    assert first.seen[0].body == body


async def test_a_body_over_the_limit_is_refused_before_the_go_ahead(small: Harness) -> None:
    status, _ = await raw(small, b"content-length: 5000\r\nexpect: 100-continue\r\n\r\n")
    assert status.startswith(b"HTTP/1.1 413")


async def test_a_body_that_dribbles_is_refused(small: Harness) -> None:
    status, body = await raw(small, b"content-length: 100\r\n\r\n{")
    assert status.startswith(b"HTTP/1.1 408")
    assert b"request_body_timeout" in body


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}x", id="two lengths"),
        pytest.param(b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}", id="length and chunks"),
        pytest.param(b"content-length: -2\r\n\r\n{}", id="negative length"),
    ],
)
async def test_a_head_that_two_parsers_could_read_differently_is_refused(small: Harness, head: bytes) -> None:
    status, _ = await raw(small, head)
    assert status.startswith(b"HTTP/1.1 400")


async def raw(router: Harness, rest_of_head: bytes) -> tuple[bytes, bytes]:
    """Send a head as it is; gives the status line and everything after it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", router.router.port)
    writer.write(
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALICE_KEY}\r\n".encode() + rest_of_head
    )
    try:
        async with asyncio.timeout(5):
            status, _, rest = (await reader.read()).partition(b"\r\n")
    finally:
        writer.close()
        await writer.wait_closed()
    return status, rest


async def test_models_lists_the_callers_jobs(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    await router.add_job(job_id="job-2", project="bob", name="draft")
    async with router.client.get("/v1/models") as response:
        listed = await response.json()
    assert listed == {
        "object": "list",
        "data": [
            {
                "id": "job-1",
                "object": "model",
                "created": 1795262400,
                "owned_by": "alice",
                "meta": {
                    "name": "chat",
                    "project": "alice",
                    "model": "HuggingFaceTB/SmolLM2-135M-Instruct",
                    "phase": "Running",
                    "ready_replicas": 1,
                    "hf_model_id": "HuggingFaceTB/SmolLM2-135M-Instruct",
                    "hardware_profile": "cpu.small",
                    "min_replicas": 1,
                    "max_replicas": 3,
                    "healthy_replicas": 1,
                    "total_replicas": 1,
                    "runtime": "llamacpp",
                    "availability": "ready",
                    "reason": None,
                    "eta_seconds": None,
                    "extra_routes": ["responses"],
                },
            }
        ],
    }


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("job-1", 200),
        ("chat", 200),
        ("alice/chat", 200),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 200),
        ("alice%2Fchat", 200),
        ("nope", 404),
        ("bob/draft", 404),
    ],
)
async def test_one_model_by_any_of_its_names(router: Harness, name: str, status: int) -> None:
    await router.add_job()
    await router.add_job(job_id="job-2", project="bob", name="draft", model="org/other")
    async with router.client.get(f"/v1/models/{name}") as response:
        assert response.status == status
        if status == 200:
            assert (await response.json())["id"] == "job-1"


async def test_models_needs_a_key(router: Harness) -> None:
    await router.add_job(endpoint_auth=EndpointAuth.PUBLIC)
    no_key = {"authorization": ""}
    async with router.client.get("/v1/models", headers=no_key) as response:
        assert response.status == 401
    async with router.client.get("/v1/models/alice/chat", headers=no_key) as response:
        assert response.status == 200


async def test_nothing_is_called_unknown_before_everything_is_known(router: Harness) -> None:
    router.router.jobs.caught_up = False
    got = await router.chat("nope")
    assert (got.status, got.error["code"]) == (503, "router_starting")
    async with router.client.get("/readyz") as response:
        assert response.status == 503
    async with router.client.get("/healthz") as response:
        assert response.status == 200


async def test_a_sleeping_job_says_so(router: Harness) -> None:
    scaling = Scaling(min_replicas=0, max_replicas=1, initial_replicas=0)
    await router.add_job(scaling=scaling)
    got = await router.chat()
    assert got.status == 503
