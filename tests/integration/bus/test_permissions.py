"""A real nats-server with the users of a stack: what is listed works, everything else is refused.

The server says "permissions violation" outside of any call, so every connection here collects what it was told.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from nats.aio.client import Client

from hostler_bus.leases import hold
from hostler_bus.matching import matches
from hostler_bus.nats_bus import NatsBus, connect
from hostler_bus.permissions import ACCESS, inbox_prefix, permissions_of
from hostler_bus.port import CaughtUp, LastPerSubject
from hostler_contracts import subjects
from hostler_contracts.subjects import BUCKET_SECRETS
from hostler_kit.clock import SystemClock
from tests.support.eventually import eventually
from tests.support.nats_server import NatsServer

pytestmark = pytest.mark.integration

SERVICES = tuple(ACCESS)
PASSWORDS = {name: f"password-of-{name}" for name in ("operator", *SERVICES)}
SERVICE = pytest.mark.parametrize("service", SERVICES)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path_factory.mktemp("guarded"), PASSWORDS)
    server.start()
    yield server
    server.remove()


@pytest.fixture
async def api(guarded: NatsServer) -> AsyncIterator[NatsBus]:
    """The one that declares; afterwards every stream and bucket is there."""
    bus = await as_service(guarded, "api")
    yield bus
    await bus.drain()


async def as_service(server: NatsServer, service: str) -> NatsBus:
    return await connect(
        server.url, user=service, password=PASSWORDS[service], name=f"{service}-1", declare=service == "api"
    )


@dataclass
class Told:
    """A plain client, and what the server told it outside of any call."""

    client: Client
    errors: list[str] = field(default_factory=list)


@asynccontextmanager
async def plain(server: NatsServer, user: str) -> AsyncIterator[Told]:
    told = Told(Client())

    async def note(error: Exception) -> None:
        told.errors.append(str(error).lower())

    await told.client.connect(
        server.url,
        user=user,
        password=PASSWORDS[user],
        inbox_prefix=inbox_prefix(user),
        error_cb=note,
        allow_reconnect=False,
    )
    try:
        yield told
    finally:
        await told.client.close()


def literal(pattern: str) -> str:
    """A subject that a pattern takes."""
    return pattern.replace("*", "x").replace(">", "x.y")


def listed(service: str) -> set[str]:
    return {literal(pattern) for pattern in permissions_of(service).publish}


EVERYTHING = sorted(
    set().union(*(listed(service) for service in SERVICES))
    | {
        "$JS.API.STREAM.DELETE.JOBS",
        "$JS.API.STREAM.PURGE.JOBS",
        "$JS.API.STREAM.CREATE.MINE",
        "$JS.API.STREAM.MSG.DELETE.JOBS",
        "$JS.ACK.JOBS.x.y",
        "$SYS.REQ.SERVER.PING",
        "hostler.jobs.default.j1.anything",
        "anything",
        *(f"{inbox_prefix(service)}.x" for service in SERVICES),
    }
)
"""Subjects that some service may publish to, and some that none may."""


@SERVICE
async def test_what_is_not_listed_is_refused(api: NatsBus, guarded: NatsServer, service: str) -> None:
    allowed = permissions_of(service).publish
    forbidden = [s for s in EVERYTHING if not any(matches(pattern, s) for pattern in allowed)]
    assert len(forbidden) > 20
    async with plain(guarded, service) as told:
        for subject in forbidden:
            await told.client.publish(subject, b"{}")
        await told.client.flush()
        await eventually(lambda: len(told.errors) >= len(forbidden))
        for subject in forbidden:
            assert any(f'publish to "{subject.lower()}"' in error for error in told.errors), subject


@SERVICE
async def test_what_others_are_told_cannot_be_heard(api: NatsBus, guarded: NatsServer, service: str) -> None:
    others = [f"{inbox_prefix(other)}.>" for other in (*SERVICES, "operator") if other != service]
    forbidden = [">", "_INBOX.>", "hostler.>", "$KV.secrets.>", "$JS.EVENT.>", *others]
    async with plain(guarded, service) as told:
        for subject in forbidden:
            await told.client.subscribe(subject)
        await told.client.flush()
        await eventually(lambda: len(told.errors) >= len(forbidden))
        assert all("permissions violation for subscription" in error for error in told.errors)


@SERVICE
async def test_a_service_reads_and_writes_what_is_its_own(
    api: NatsBus, guarded: NatsServer, service: str
) -> None:
    access = ACCESS[service]
    bus = await as_service(guarded, service)
    for event in access.events:
        await bus.append(subjects.job_event("default", service, event), b"{}", msg_id=f"{service}-{event}")
    for stream in access.streams:
        async with bus.follow(stream, ">", start=LastPerSubject()) as messages:
            while not isinstance(await anext(messages), CaughtUp):
                pass
        await bus.last(stream, f"{subjects.ROOT}.jobs.default.{service}.*")
    for bucket, keys in access.writes:
        key = literal(keys)
        await bus.bucket(bucket).put(key, b"v")
        await bus.bucket(bucket).delete(key)
    for bucket in access.buckets:
        assert isinstance(await bus.bucket(bucket).keys(), tuple)
    assert bus.link.last_error == ""
    await bus.drain()


@pytest.mark.parametrize("service", ["scheduler", "router", "autoscaler"])
async def test_who_needs_no_secrets_cannot_read_them(api: NatsBus, guarded: NatsServer, service: str) -> None:
    await api.bucket(BUCKET_SECRETS).put("token", b"sealed")
    async with plain(guarded, service) as told:
        for subject in (
            "$JS.API.DIRECT.GET.KV_secrets.$KV.secrets.token",
            "$JS.API.STREAM.MSG.GET.KV_secrets",
        ):
            with pytest.raises(TimeoutError):
                await told.client.request(subject, b'{"last_by_subj": "$KV.secrets.token"}', timeout=0.3)
        assert len(told.errors) == 2


async def test_an_answer_passes_between_the_services_that_ask_and_serve(
    api: NatsBus, guarded: NatsServer
) -> None:
    router, provisioner = await as_service(guarded, "router"), await as_service(guarded, "provisioner")

    async def answer(data: bytes) -> bytes:
        return b"3 of " + data

    subject = subjects.router_in_flight("router-1")
    await router.serve(subject, answer)
    assert await provisioner.request(subject, b"r1", timeout_seconds=2) == b"3 of r1"
    await asyncio.gather(router.drain(), provisioner.drain())


@pytest.mark.parametrize(
    ("service", "name"),
    [("scheduler", "scheduler"), ("autoscaler", "autoscaler"), ("provisioner", "provisioner.local")],
)
async def test_leaders_hold_their_own_lease(
    api: NatsBus, guarded: NatsServer, service: str, name: str
) -> None:
    bus = await as_service(guarded, service)
    async with hold(bus, name, holder=f"{service}-1", ttl_seconds=5, clock=SystemClock()) as lease:
        assert await lease.changed()
        other = await as_service(guarded, service)
        async with hold(other, name, holder=f"{service}-2", ttl_seconds=5, clock=SystemClock()) as second:
            await asyncio.sleep(0)
            assert not second.held
        await other.drain()
    assert bus.link.last_error == ""
    await bus.drain()


async def test_the_api_asks_the_provisioner_for_logs_and_nobody_else_may(
    api: NatsBus, guarded: NatsServer
) -> None:
    provisioner = await as_service(guarded, "provisioner")

    async def answer(data: bytes) -> bytes:
        return b"log of " + data

    subject = subjects.provisioner_logs("local")
    await provisioner.serve(subject, answer)
    assert await api.request(subject, b"r1", timeout_seconds=2) == b"log of r1"
    async with plain(guarded, "router") as told:
        with pytest.raises(TimeoutError):
            await told.client.request(subject, b"r1", timeout=0.3)
        assert len(told.errors) == 1
    await provisioner.drain()


async def test_a_router_may_store_usage_without_waiting(guarded: NatsServer, api: NatsBus) -> None:
    router = await as_service(guarded, "router")
    usage = [router.append_soon(subjects.usage("p", "j"), b"", msg_id=f"soon-{n}") for n in range(3)]
    assert len({appended.seq for appended in await asyncio.gather(*usage)}) == 3
    await router.drain()
