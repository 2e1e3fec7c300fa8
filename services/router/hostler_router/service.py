"""The router put together: projections in, requests through, windows out.

Called by `__main__` and by the integration tests, which both hand in the adapters. Without the bus it goes on serving what it
last knew; what it can't do then is publish windows.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from hostler_bus.job_log import JobEntry
from hostler_bus.key_uses import KeyUses
from hostler_bus.port import Bus
from hostler_bus.projection import CatalogueProjection, JobProjection
from hostler_contracts import subjects
from hostler_contracts.catalogue import API_KEYS, ApiKey
from hostler_kit.clock import Clock
from hostler_kit.http import HttpServer
from hostler_kit.logs import Logger
from hostler_kit.ops import Readiness, caught_up
from hostler_kit.secret_key import SecretKey
from hostler_router.app import RouterApp
from hostler_router.balance import Rng
from hostler_router.inference import BodyLimits, Inference
from hostler_router.metrics import RouterMetrics
from hostler_router.outstanding import Outstanding
from hostler_router.presence import Presence
from hostler_router.relay import Relay, RelayLimits
from hostler_router.replica_client import ReplicaClient
from hostler_router.replica_keys import ReplicaKeys
from hostler_router.reporting import WindowReporter
from hostler_router.running import Running
from hostler_router.settings import RouterSettings
from hostler_router.table import RouteTable
from hostler_router.uploads import UploadLimits
from hostler_router.usage import UsageRecorder
from hostler_router.usage_reporting import UsageReporter
from hostler_router.windows import WindowRecorder

Spawn = Callable[[str, Coroutine[object, object, None]], None]
_CLOSE_SECONDS = 5.0
"""After the last answer: for clients to take it in and close."""
_CATCH_UP_SECONDS_MAX = 10.0
_LOOK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a router is given by its process.

    Attributes:
        name: Of this router, unique among all.
        bus: Where jobs and keys come from.
        secret_key: From which the replicas' keys are made.
        registry: For its figures.
        readiness: For its checks.
        clock: The time.
        rng: Decides between equal replicas.
        logger: For everything it says.
        drain_timeout_seconds: How long a stop waits for requests under way.
    """

    name: str
    bus: Bus
    secret_key: SecretKey
    registry: CollectorRegistry
    readiness: Readiness
    clock: Clock
    rng: Rng
    logger: Logger
    drain_timeout_seconds: float


class Router:
    """One router; to be made within the event loop.

    Attributes:
        jobs: What it knows of the jobs.
        keys: What it knows of the API keys.
    """

    def __init__(self, given: Surroundings, settings: RouterSettings) -> None:
        self._given = given
        self.jobs = JobProjection()
        self.keys: CatalogueProjection[ApiKey] = CatalogueProjection(subjects.BUCKET_API_KEYS, API_KEYS)
        self._table = RouteTable()
        self._running = Running()
        self._metrics = RouterMetrics(given.registry)
        recorder = WindowRecorder()
        usage = UsageRecorder()
        self._key_uses = KeyUses(given.bus, given.clock, given.logger)
        outstanding = Outstanding()
        self._replica_keys = ReplicaKeys(given.secret_key, given.bus.bucket(subjects.BUCKET_SECRETS))
        self._client = ReplicaClient(
            key_of=self._replica_keys.of,
            connect_timeout_seconds=settings.connect_timeout_seconds,
            stall_timeout_seconds=settings.stall_timeout_seconds,
            keep_alive_seconds=settings.replica_keep_alive_seconds,
        )
        relay = Relay(
            self._client,
            outstanding,
            limits=RelayLimits(
                answer_bytes_max=settings.answer_bytes_max,
                event_bytes_max=settings.event_bytes_max,
                retries_max=settings.retries_max,
            ),
            rng=given.rng,
            clock=given.clock,
            metrics=self._metrics,
        )
        inference = Inference(
            self._table,
            self._find_key,
            relay,
            limits=BodyLimits(settings.body_bytes_max, settings.body_timeout_seconds),
            upload_limits=UploadLimits(
                settings.upload_bytes_max, settings.upload_timeout_seconds, settings.upload_memory_bytes
            ),
            recorder=recorder,
            usage=usage,
            on_key=self._key_uses.note,
            running=self._running,
            metrics=self._metrics,
            clock=given.clock,
        )
        self._presence = Presence(
            given.bus,
            outstanding,
            seen_seq=lambda: self.jobs.seq,
            name=given.name,
            ttl_seconds=settings.presence_ttl_seconds,
            clock=given.clock,
            logger=given.logger,
        )
        self._reporter = WindowReporter(
            given.bus,
            self._table,
            recorder,
            outstanding,
            name=given.name,
            period_seconds=settings.metrics_period_seconds,
            clock=given.clock,
            metrics=self._metrics,
            logger=given.logger,
        )
        self._usage_reporter = UsageReporter(
            given.bus,
            usage,
            name=given.name,
            period_seconds=settings.usage_period_seconds,
            clock=given.clock,
            metrics=self._metrics,
            logger=given.logger,
        )
        app = RouterApp(
            inference,
            self._table,
            self._find_key,
            on_key=self._key_uses.note,
            caught_up=lambda: self.jobs.caught_up and self.keys.caught_up,
            readiness=given.readiness,
            metrics=self._metrics,
            clock=given.clock,
            logger=given.logger,
        )
        self._server = HttpServer(
            app,
            host=settings.host,
            port=settings.port,
            share_port=True,
            # The router ends what is left by itself, with an error that says so; this is for what does not end even then.
            drain_timeout_seconds=given.drain_timeout_seconds + _CLOSE_SECONDS,
        )
        self.jobs.on_change(self._apply)
        given.readiness.add("jobs", lambda: caught_up(self.jobs.caught_up, "the job log"))
        given.readiness.add("api_keys", lambda: caught_up(self.keys.caught_up, "the list of API keys"))

    @property
    def port(self) -> int:
        """Where requests are taken."""
        return self._server.port

    async def start(self, spawn: Spawn) -> None:
        """Take requests; `spawn` runs what goes on beside them."""
        spawn("jobs", self.jobs.run(self._given.bus))
        spawn("api-keys", self.keys.run(self._given.bus))
        await self._presence.enter()
        spawn("presence", self._presence.run())
        spawn("windows", self._reporter.run())
        spawn("usage", self._usage_reporter.run())
        spawn("key-uses", self._key_uses.run())
        await self._catch_up()
        await self._server.start()
        self._given.logger.info("router.listening", port=self.port)

    async def stop(self) -> None:
        """Take no more requests, finish those under way, end what is left with an error, publish the last windows."""
        closing = asyncio.create_task(self._server.stop())
        if not await self._running.wait_idle(self._given.drain_timeout_seconds):
            cut = self._running.cut()
            self._given.logger.warning("drain.cut", requests=cut)
        await closing
        await self._client.close()
        await self._reporter.publish()
        await self._usage_reporter.publish()
        await self._key_uses.flush()
        await self._presence.leave()

    async def _catch_up(self) -> None:
        """Read what is stored before the first request: on a shared port it would come here though another router could answer it.

        Not for ever: from then on requests are told to come again.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP_SECONDS_MAX):
                while not (self.jobs.caught_up and self.keys.caught_up):
                    await self._given.clock.sleep(_LOOK_SECONDS)

    def _apply(self, entry: JobEntry) -> None:
        if self._table.apply(entry.job) is None:
            self._metrics.forget_job(entry.job.job_id)
            servers = entry.job.spec.external
            self._replica_keys.forget(servers.api_key_secret if servers else None)

    def _find_key(self, key_hash: str) -> ApiKey | None:
        return self.keys.records.get(key_hash)
