"""The router put together: projections in, requests through, windows out.

Called by `__main__` and by the integration tests, which both hand in the adapters. Without the bus it goes on serving what it
last knew; what it can't do then is publish windows.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from prometheus_client import CollectorRegistry

from hostler_bus.job_log import JobEntry
from hostler_bus.key_uses import KeyUses
from hostler_bus.port import Bus
from hostler_bus.projection import CatalogueProjection, JobProjection
from hostler_contracts import subjects
from hostler_contracts.catalogue import API_KEYS, PROJECTS, ApiKey
from hostler_domain.catalogue import Project
from hostler_domain.limits import Limits
from hostler_kit.clock import Clock
from hostler_kit.ids import new_id
from hostler_kit.logs import Logger
from hostler_kit.ops import Readiness, caught_up
from hostler_kit.secret_key import SecretKey
from hostler_kit.valkey import Valkey
from hostler_router.access_log import AccessLog
from hostler_router.app import RouterApp
from hostler_router.auth import KnownCallers
from hostler_router.balance import Rng
from hostler_router.cors import Cors
from hostler_router.limits import Limiter
from hostler_router.limits_store import LimitStore
from hostler_router.lines import Lines
from hostler_router.load_gossip import LoadGossip
from hostler_router.looks import Looks
from hostler_router.metrics import RouterMetrics
from hostler_router.notes import Notes
from hostler_router.outliers import Outliers
from hostler_router.outstanding import Outstanding
from hostler_router.parts import RouterParts
from hostler_router.peer_loads import PeerLoads
from hostler_router.presence import Presence
from hostler_router.proxied import Owners
from hostler_router.replica_keys import ReplicaKeys
from hostler_router.reporting import WindowReporter
from hostler_router.resume_turns import ResumeTurns
from hostler_router.retry_budget import RetryBudget
from hostler_router.router_count import RouterCount
from hostler_router.running import Running
from hostler_router.runtime_watch import RuntimeWatch
from hostler_router.settings import RouterSettings
from hostler_router.table import Route, RouteTable, Waking
from hostler_router.timer_wheel import TimerWheel
from hostler_router.tracing import Tracer
from hostler_router.usage_reporting import usage_reporter
from hostler_router.windows import Present, WindowRecorder
from hostler_router.wire.outbox import loop_outbox
from hostler_router.wire.replica_pool import ReplicaPool
from hostler_router.wire.server import Server

Spawn = Callable[[str, Coroutine[object, object, None]], None]
_CLOSE_SECONDS = 5.0
"""After the last answer: for clients to take it in and close."""
_CATCH_UP_SECONDS_MAX = 10.0
_LOOK_SECONDS = 0.01
_SWEEP_SECONDS = 1.0


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
        valkey: Where limits are counted for all routers; None where each counts its share.
        tracer: Keeps traces; None where they are off.
        log_stream: Takes lines in JSON; None where people read along.
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
    valkey: Valkey | None = None
    log_stream: BinaryIO | None = None
    tracer: Tracer | None = None


class Router:
    """One router; to be made within the event loop.

    Attributes:
        jobs: What it knows of the jobs.
        keys: What it knows of the API keys.
    """

    def __init__(self, given: Surroundings, settings: RouterSettings) -> None:
        self._given = given
        self._settings = settings
        clock, logger = given.clock, given.logger
        self.jobs = JobProjection()
        self.keys: CatalogueProjection[ApiKey] = CatalogueProjection(subjects.BUCKET_API_KEYS, API_KEYS)
        self.projects: CatalogueProjection[Project] = CatalogueProjection(subjects.BUCKET_PROJECTS, PROJECTS)
        self._table = RouteTable()
        self._running = Running()
        self._metrics = RouterMetrics(given.registry)
        self._wheel = TimerWheel()
        self._outliers: dict[str, Outliers] = {}
        self._outstanding = Outstanding()
        recorder = WindowRecorder(queues=True)
        self._key_uses = KeyUses(given.bus, clock, logger)
        self._replica_keys = ReplicaKeys(given.secret_key, given.bus.bucket(subjects.BUCKET_SECRETS))
        outbox = loop_outbox(clock.monotonic, busy_poll_seconds=settings.busy_poll_seconds)
        self._pool = ReplicaPool(
            connect_timeout_seconds=settings.connect_timeout_seconds,
            keep_alive_seconds=settings.replica_keep_alive_seconds,
            idle_max=settings.idle_connections_max,
            now=clock.monotonic,
            outbox=outbox,
            on_open=self._metrics.upstream_opened,
            on_close=self._metrics.upstream_closed,
        )
        self._lines = Lines(self._has_room, clock.monotonic)
        self._presence = Presence(
            given.bus,
            self._outstanding,
            seen_seq=lambda: self.jobs.seq,
            name=given.name,
            ttl_seconds=settings.presence_ttl_seconds,
            clock=clock,
            logger=logger,
        )
        self._routers = RouterCount(
            given.bus, period_seconds=settings.presence_ttl_seconds / 3, clock=clock, logger=logger
        )
        peers = PeerLoads()
        self._gossip = LoadGossip(
            given.bus,
            self._outstanding,
            peers,
            name=given.name,
            life=new_id(),
            period_seconds=settings.load_gossip_seconds,
            routers=self._routers.alive,
            clock=clock,
            logger=logger,
        )
        self._runtime_watch = RuntimeWatch(
            lambda: [endpoint for entry in self._table.entries for endpoint in entry.endpoints],
            self._replica_keys,
            name=given.name,
            routers=self._routers.names,
            period_seconds=settings.runtime_metrics_seconds,
            timeout_seconds=settings.runtime_metrics_timeout_seconds,
            clock=clock,
            logger=logger,
        )
        self._reporter = WindowReporter(
            given.bus,
            self._table,
            recorder,
            self._present,
            name=given.name,
            period_seconds=settings.metrics_period_seconds,
            clock=clock,
            metrics=self._metrics,
            logger=logger,
        )
        self._usage_reporter = usage_reporter(
            given.bus, settings, name=given.name, clock=clock, metrics=self._metrics, logger=logger
        )
        self._limiter = Limiter(
            None
            if given.valkey is None
            else LimitStore(given.valkey, lease_seconds=settings.limits_lease_seconds),
            clock=clock,
            routers=self._routers.alive,
            timeout_seconds=settings.limits_timeout_seconds,
            lease_seconds=settings.limits_lease_seconds,
            logger=logger,
        )
        self._access_log = AccessLog(logger, given.log_stream, service=given.name)
        self._budgets: dict[str, RetryBudget] = {}
        self._resume_turns: dict[str, ResumeTurns] = {}
        self._metrics.before_scrape(self._bring_up_to_date)
        self._metrics.before_scrape(partial(_show_in_flight, self._metrics, self._table, recorder))
        self._notes = notes = Notes(
            self._metrics, recorder, self._table, self._access_log, now=self._given.clock.monotonic
        )
        self._metrics.before_scrape(notes.flush)
        recorder.before_cut(notes.flush)
        self._parts = RouterParts(
            settings=settings,
            table=self._table,
            callers=KnownCallers(self.keys.records.get),
            project_limits=self._project_limits,
            on_key=self._key_uses.note,
            caught_up=lambda: self.jobs.caught_up and self.keys.caught_up,
            pool=self._pool,
            replica_keys=self._replica_keys,
            outstanding=self._outstanding,
            peers=peers,
            outliers=self._outliers,
            budget=self._budget,
            resume_turns=self._turns,
            lines=self._lines,
            limiter=self._limiter,
            committer=self._usage_reporter.committer,
            recorder=recorder,
            running=self._running,
            metrics=self._metrics,
            wheel=self._wheel,
            looks=Looks(self._wheel, settings.shortest_timeout_seconds, clock.monotonic),
            tracer=given.tracer,
            ended=notes.ended,
            answered=notes.answered,
            wake=self._reporter.hurry,
            look_seconds=settings.shortest_timeout_seconds,
            choices=lambda: 2 if self._routers.alive() > 1 else 0,
            rng=given.rng,
            clock=clock,
            logger=logger,
        )
        app = RouterApp(
            self._parts,
            readiness=given.readiness,
            cors=Cors(settings.cors_origins),
            owners=Owners({"/v1/files": settings.files_url, "/v1/batches": settings.batches_url}),
        )
        self._server = Server(
            app.begin,
            wheel=self._wheel,
            host=settings.host,
            port=settings.port,
            head_timeout_seconds=settings.head_timeout_seconds,
            keep_alive_seconds=settings.keep_alive_seconds,
            now=clock.monotonic,
            outbox=outbox,
            on_open=self._metrics.client_opened,
            on_close=self._metrics.client_closed,
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
        spawn("projects", self.projects.run(self._given.bus))
        await self._presence.enter()
        spawn("presence", self._presence.run())
        spawn("routers", self._routers.run())
        spawn("load-gossip", self._gossip.run())
        spawn("windows", self._reporter.run())
        if self._settings.runtime_metrics_seconds:
            spawn("runtimes", self._runtime_watch.run())
        spawn("usage", self._usage_reporter.run())
        spawn("key-uses", self._key_uses.run())
        spawn("limits", self._limiter.run())
        spawn("deadlines", self._look_at_deadlines())
        await self._catch_up()
        await self._server.start()
        self._given.logger.info("router.listening", port=self.port)

    async def stop(self) -> None:
        """Take no more requests, finish those under way, end what is left with an error, publish the last windows."""
        self._server.stop_listening()
        if not await self._running.wait_idle(self._given.drain_timeout_seconds):
            cut = self._running.cut()
            self._given.logger.warning("drain.cut", requests=cut)
        self._running.closed = True
        await self._server.close(_CLOSE_SECONDS)
        await self._pool.close()
        await self._gossip.close()
        await self._reporter.publish(leaves=True)
        await self._usage_reporter.close()
        await self._limiter.close()
        await self._key_uses.flush()
        self._notes.flush()
        self._access_log.flush()
        if self._given.tracer is not None:
            await self._given.tracer.close()
        await self._presence.leave()

    async def _catch_up(self) -> None:
        """Read what is stored before the first request: on a shared port it would come here though another router could answer it.

        Not for ever: from then on requests are told to come again.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP_SECONDS_MAX):
                while not (self.jobs.caught_up and self.keys.caught_up):
                    await self._given.clock.sleep(_LOOK_SECONDS)

    async def _look_at_deadlines(self) -> None:
        """Turn the wheel; the loop's own sleep, because this is about real sockets."""
        swept_at = self._given.clock.monotonic()
        while True:
            await asyncio.sleep(self._wheel.tick_seconds)
            now = self._given.clock.monotonic()
            self._wheel.advance(now)
            if now - swept_at >= _SWEEP_SECONDS:
                swept_at = now
                self._pool.sweep()

    def _apply(self, entry: JobEntry) -> None:
        job = entry.job
        if self._table.apply(job) is None:
            self._metrics.forget_job(job.job_id)
            self._outliers.pop(job.job_id, None)
            self._budgets.pop(job.job_id, None)
            self._resume_turns.pop(job.job_id, None)
            servers = job.spec.external
            self._replica_keys.forget(servers.api_key_secret if servers else None)
        else:
            outliers = self._outliers.get(job.job_id)
            if outliers is not None:
                outliers.forget([replica.replica_id for replica in job.replicas if replica.ended])
        self._lines.pump(job.job_id)

    def _has_room(self, job_id: str) -> bool:
        """Whether whoever waits for this job can be helped: a replica can take one more, or there is news that it won't."""
        target = self._table.target(job_id)
        if isinstance(target, Waking):
            return False
        if not isinstance(target, Route):
            return True
        routing = target.entry.routing
        bound = routing.concurrency_per_replica or self._settings.concurrency_per_replica
        counts = self._outstanding.counts
        return not bound or any(
            counts.get(endpoint.replica_id, 0) < bound for endpoint in target.entry.endpoints
        )

    def _present(self) -> Present:
        """What load windows tell of their end."""
        return Present(self._outstanding.counts, self._lines.oldest_age, self._runtime_watch.figures)

    def _bring_up_to_date(self) -> None:
        """Of the figures what is only worth working out when somebody looks."""
        now = self._given.clock.monotonic()
        left = (budget.balance(now) for budget in self._budgets.values())
        self._metrics.set_retry_budget(min(left, default=RetryBudget().balance(now)))
        for job_id, outliers in self._outliers.items():
            entry = self._table.get(job_id)
            if entry is not None:
                replica_ids = [endpoint.replica_id for endpoint in entry.endpoints]
                self._metrics.set_panic(job_id, outliers.panics(replica_ids, now))

    def _budget(self, job_id: str) -> RetryBudget:
        """One for each job, so that a broken one does not use up the others' retries."""
        budget = self._budgets.get(job_id)
        if budget is None:
            budget = self._budgets[job_id] = RetryBudget()
        return budget

    def _turns(self, job_id: str) -> ResumeTurns:
        """One for each job."""
        turns = self._resume_turns.get(job_id)
        if turns is None:
            turns = self._resume_turns[job_id] = ResumeTurns()
        return turns

    def _project_limits(self, project: str) -> Limits | None:
        found = self.projects.records.get(project)
        return None if found is None else found.limits


def _show_in_flight(metrics: RouterMetrics, table: RouteTable, recorder: WindowRecorder) -> None:
    """Bring the figures of requests under way up to date: they are only asked for now and then, so requests need not do it."""
    for job_id in tuple(metrics.jobs.living):
        if table.get(job_id) is not None:
            metrics.set_in_flight(job_id, recorder.in_flight(job_id))
    for entry in table.entries:
        if recorder.in_flight(entry.job_id):
            metrics.set_in_flight(entry.job_id, recorder.in_flight(entry.job_id))
