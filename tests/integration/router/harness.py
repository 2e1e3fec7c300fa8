"""A whole router on a real socket, with the in-memory bus behind it and test replicas before it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from io import BytesIO
from random import Random
from tempfile import TemporaryDirectory
from typing import Self

import aiohttp
import structlog
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from hostler_bus.job_log import JobEntry, JobLog
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_contracts import subjects
from hostler_contracts.catalogue import API_KEYS, ApiKey, Scope
from hostler_contracts.drain import InFlightAnswer, InFlightQuestion
from hostler_contracts.load import LoadWindow, decode_window
from hostler_contracts.usage import FinishedRequest, decode_usage
from hostler_domain.api_keys import display_prefix, hash_key, make_key
from hostler_domain.changes import Change, ReplicaReady, ReplicaScheduled
from hostler_kit.clock import SystemClock
from hostler_kit.ops import Check, Readiness
from hostler_kit.secret_key import SecretKey
from hostler_kit.valkey import open_valkey
from hostler_router.service import Router, Surroundings
from hostler_router.settings import RouterSettings
from hostler_router.tracing import Tracer
from tests.support.builders import NODE, at, created

SECRET_KEY = SecretKey(bytes(range(32)))
NAME = "router-test"
ALICE_KEY, BOB_KEY, READER_KEY, ADMIN_KEY = (make_key(bytes([number]) * 20) for number in range(1, 5))
KEYS: tuple[tuple[str, str, Scope], ...] = (
    (ALICE_KEY, "alice", "inference"),
    (BOB_KEY, "bob", "inference"),
    (READER_KEY, "alice", "jobs:read"),
    (ADMIN_KEY, "default", "admin"),
)


class Harness:
    """The router and everything around it.

    Attributes:
        url: Of the router.
        client: An HTTP client for raw requests, with alice's key.
        log_lines: What the router logged.
        registry: Its figures.
        bus: A connection of the test's own.
    """

    def __init__(
        self,
        settings: dict[str, object],
        drain_timeout_seconds: float,
        valkey_url: str | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.server = MemoryServer()
        self.bus = MemoryBus(self.server)
        self.router_bus = MemoryBus(self.server)
        self.registry = CollectorRegistry()
        self.readiness = Readiness()
        self.stopping = False
        self.readiness.add("running", lambda: Check(not self.stopping))
        self._capture = structlog.testing.LogCapture()
        self.log_lines = self._capture.entries
        clock = SystemClock()
        self._log = JobLog(self.bus, source="/test", clock=clock)
        self._entries: dict[str, JobEntry] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.router = Router(
            Surroundings(
                name=NAME,
                bus=self.router_bus,
                secret_key=SECRET_KEY,
                registry=self.registry,
                readiness=self.readiness,
                clock=clock,
                rng=Random(5),
                logger=structlog.wrap_logger(
                    None,
                    processors=[self._capture],
                    wrapper_class=structlog.make_filtering_bound_logger(0),
                ),
                drain_timeout_seconds=drain_timeout_seconds,
                valkey=None if valkey_url is None else open_valkey(SecretStr(valkey_url), timeout_seconds=5),
                tracer=tracer,
            ),
            RouterSettings.model_validate(
                {"port": 0, "stall_timeout_seconds": 5.0, "queue_timeout_seconds": 0, **settings}
            ),
        )
        self.url = f"http://127.0.0.1:{self.router.port}"
        self.client = aiohttp.ClientSession(self.url, headers={"authorization": f"Bearer {ALICE_KEY}"})

    async def start(self) -> Self:
        for key, project, scope in KEYS:
            await self.add_key(key, project, scope)
        await self.router.start(self._spawn)
        await eventually(lambda: all(check.ok for check in self.readiness.report().values()))
        return self

    async def stop(self) -> None:
        await self.client.close()
        if not self.stopping:
            await self.stop_router()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        for bus in (self.router_bus, self.bus):
            await bus.drain()

    async def stop_router(self) -> None:
        self.stopping = True
        await self.router.stop()

    async def add_key(self, key: str, project: str, scope: Scope, **fields: object) -> None:
        record = ApiKey(
            key_id=f"key-{project}-{scope}",
            name="test",
            project=project,
            key_hash=hash_key(key),
            prefix=display_prefix(key),
            scopes=(scope,),
            created_at=at(0),
        ).model_copy(update=fields)
        bucket = self.bus.bucket(subjects.BUCKET_API_KEYS)
        await bucket.put(record.key_hash, API_KEYS.encode(record))

    async def add_job(self, *urls: str, job_id: str = "job-1", **fields: object) -> str:
        """A job with one ready replica for every address: `r1`, `r2`, and so on."""
        values: dict[str, object] = {"project": "alice", "name": "chat", **fields}
        await self.append(created(job_id=job_id, **values), job_id)  # type: ignore[arg-type]  # the builder checks
        for number, url in enumerate(urls, start=1):
            await self.add_replica(f"{job_id}-r{number}", url, job_id)
        return job_id

    async def add_replica(self, replica_id: str, url: str, job_id: str = "job-1") -> None:
        """One more ready replica."""
        await self.append(ReplicaScheduled(at(1), replica_id, NODE), job_id)
        await self.append(ReplicaReady(at(2), replica_id, url), job_id)

    async def append(self, change: Change, job_id: str = "job-1") -> int:
        """Append a change and wait until the router knows of it; gives its sequence."""
        entry = self._entries[job_id] = await self._log.append(self._entries.get(job_id), change)
        await eventually(lambda: self.router.jobs.seq >= entry.seq)
        return entry.seq

    async def chat(
        self,
        model: str = "chat",
        *,
        key: str = ALICE_KEY,
        said: dict[str, str] | None = None,
        **fields: object,
    ) -> "Got":
        """One chat completion, read to its end; `said` are further headers."""
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], **fields})
        headers = {"authorization": f"Bearer {key}"} if key else {"authorization": ""}
        return await self.post("/v1/chat/completions", body.encode(), headers | (said or {}))

    async def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> "Got":
        async with self.client.post(path, data=BytesIO(body), headers=headers) as response:
            return Got(response, await response.read())

    async def in_flight_on(self, replica_id: str, *, seq: int = 0) -> int | None:
        """What the router answers the provisioner; None when it has not seen `seq` yet."""
        question = InFlightQuestion(replica_id=replica_id, seq=seq).model_dump_json().encode()
        data = await self.bus.request(subjects.router_in_flight(NAME), question, timeout_seconds=2)
        answer = InFlightAnswer.model_validate_json(data)
        return answer.in_flight if answer.up_to_date else None

    async def windows(self) -> list[LoadWindow]:
        """Everything that was published, after one more window."""
        await self.router._reporter.publish()
        return [
            decode_window(message.data).data
            async for message in self.bus.history(subjects.METRICS, subjects.METRICS_SUBJECTS)
        ]

    async def usage(self) -> list[tuple[str, FinishedRequest]]:
        """Subject and content of every finished request that was published, after one more flush."""
        await self.router._usage_reporter.publish()
        return [
            (message.subject, request)
            async for message in self.bus.history(subjects.USAGE, subjects.USAGE_SUBJECTS)
            for request in decode_usage(message.data).data.requests
        ]

    def figure(self, name: str, **labels: str) -> float:
        """A sample of the router's figures; 0 where there is none yet."""
        return self.registry.get_sample_value(name, labels) or 0.0

    def request_lines(self) -> list[dict[str, object]]:
        return [dict(line) for line in self.log_lines if line["event"] == "request"]

    def _spawn(self, name: str, work: Coroutine[object, object, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))


class Got:
    """An answer, read to its end."""

    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def json(self) -> dict[str, object]:
        decoded: dict[str, object] = json.loads(self.body)
        return decoded

    @property
    def error(self) -> dict[str, object]:
        error = self.json["error"]
        assert isinstance(error, dict)
        assert set(error) == {"message", "type", "param", "code"}
        return error

    @property
    def events(self) -> list[str]:
        """The data of every event; fails unless all are whole."""
        *events, rest = self.body.decode().split("\n\n")
        assert rest == ""
        assert all(event.startswith("data: ") for event in events)
        return [event.removeprefix("data: ") for event in events]

    @property
    def texts(self) -> list[str]:
        """What the chunks of a stream say."""
        chunks = [json.loads(event) for event in self.events if event != "[DONE]"]
        return [each["choices"][0]["delta"]["content"] for each in chunks if each.get("choices")]


async def eventually(condition: Callable[[], bool], *, seconds: float = 5.0) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event of its own
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running_router(
    *,
    drain_timeout_seconds: float = 2.0,
    valkey_url: str | None = None,
    tracer: Tracer | None = None,
    **settings: object,
) -> AsyncIterator[Harness]:
    with TemporaryDirectory() as spool:
        harness = Harness({"usage_spool_dir": spool, **settings}, drain_timeout_seconds, valkey_url, tracer)
        try:
            yield await harness.start()
        finally:
            await harness.stop()
