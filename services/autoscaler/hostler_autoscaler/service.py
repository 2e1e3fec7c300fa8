"""The autoscaler's shell: follow the load windows, decide for every job each tick, append what changes.

One autoscaler acts, by lease; the others follow the windows too, so that they can take over at once. A decision is appended only
onto the job that it was made for: one that changed meanwhile is decided upon again at the next tick.
"""

from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge

from hostler_autoscaler.memory import ScalerMemory
from hostler_autoscaler.observe import busy, observe
from hostler_autoscaler.policy import Decision, decide, latency_since
from hostler_autoscaler.settings import AutoscalerSettings
from hostler_autoscaler.windows import KEPT_SECONDS, WindowStore
from hostler_bus.job_log import JobLog
from hostler_bus.leases import Lease
from hostler_bus.port import Bus, CaughtUp, SinceTime
from hostler_bus.projection import JobProjection
from hostler_contracts import subjects
from hostler_contracts.codec import UndecodableEvent
from hostler_contracts.load import UndecodableWindow, decode_window
from hostler_domain import commands
from hostler_domain.changes import Change
from hostler_domain.job import Job
from hostler_domain.phases import DesiredPhase, JobPhase
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_kit.ops import Check
from hostler_kit.reconcile import Reconciler


class Autoscaler:
    """Decides for every job how many replicas it shall have."""

    def __init__(
        self,
        bus: Bus,
        jobs: JobProjection,
        log: JobLog,
        lease: Lease,
        settings: AutoscalerSettings,
        *,
        clock: Clock,
        logger: Logger,
        registry: CollectorRegistry,
    ) -> None:
        self._bus = bus
        self._jobs = jobs
        self._log = log
        self._lease = lease
        self._clock = clock
        self._logger = logger
        self._windows = WindowStore()
        self._windows_read = False
        self._memory = ScalerMemory(
            bus.bucket(subjects.BUCKET_AUTOSCALER), save_seconds=settings.save_seconds, logger=logger
        )
        self._metrics = _Metrics(registry)
        self.loop = Reconciler(self.tick, resync_seconds=settings.tick_seconds, logger=logger)

    async def watch_lease(self) -> None:
        """Wake the loop whenever the lease is won or lost; runs until cancelled."""
        while True:
            await self._lease.changed()
            self.loop.note()

    def ready(self) -> Check:
        """Whether it could act, leader or not."""
        if not self._caught_up():
            return Check(ok=False, detail="reading the log and the load windows")
        return Check(ok=True, detail="leader" if self._lease.held else "standing by")

    async def follow_windows(self) -> None:
        """Take in every load window, from a little before now; runs until cancelled."""
        start = SinceTime(self._clock.now() - timedelta(seconds=KEPT_SECONDS))
        async with self._bus.follow(subjects.METRICS, subjects.METRICS_SUBJECTS, start=start) as messages:
            async for message in messages:
                if isinstance(message, CaughtUp):
                    self._windows_read = True
                    continue
                try:
                    event = decode_window(message.data)
                except UndecodableWindow as error:
                    self._logger.warning("window.undecodable", subject=message.subject, reason=str(error))
                    continue
                window = event.data
                self._windows.add(window)
                if event.trace is not None:
                    self._windows.note_trace(window.job_id, event.trace, event.time)
                if window.rejected or (busy(window) and self._serves_nothing(window.job_id)):
                    # Somebody was turned away or waits, perhaps for a job that sleeps: not at the next tick, now.
                    self.loop.note()

    async def tick(self) -> None:
        """Decide for every job once."""
        self._metrics.leader.set(self._lease.held)
        now = self._clock.now()
        self._windows.prune(now=now, living=self._living)
        if not self._lease.held:
            self._memory.forget()
            return
        if not self._caught_up():
            return
        if not self._memory.loaded:
            await self._memory.load()
        for job_id in await self._memory.drop(lambda job_id: not self._living(job_id)):
            self._metrics.forget(job_id)
        for job in [entry.job for entry in self._jobs.jobs.values()]:
            if not (_scalable(job) and self._may_act()):
                continue
            try:
                await self._scale(job, now)
            except UndecodableEvent as error:
                # Its last event is poison: it waits for an operator, and keeps no other job waiting.
                self._logger.error("job.unreadable", job=job.job_id, reason=str(error))  # noqa: TRY400  # the message says it all

    async def _scale(self, job: Job, now: datetime) -> None:
        """Decide for one job, and append what follows."""
        before = self._memory.get(job.job_id)
        load = observe(self._windows.of(job.job_id), now=now, latency_since=latency_since(before))
        current = job.status.desired_replicas
        state, decision = decide(job.spec.scaling, current, len(job.ready_replicas), before, load, now=now)
        self._metrics.told(job, decision)
        if decision.replicas == current:
            await self._memory.keep(job.job_id, state, now=now, at_once=False)
            return
        if await self._append(job, decision, now):
            await self._memory.keep(job.job_id, state, now=now, at_once=True)

    async def _append(self, decided_for: Job, decision: Decision, now: datetime) -> bool:
        """Append the decision unless the job is no longer what it was made for; gives whether it was appended."""
        command = commands.ScaleJob(now, decision.replicas, decision.reasons)

        def scaled(job: Job | None) -> tuple[Change, ...]:
            if job is None or not _scalable(job) or not _same_question(job, decided_for):
                return ()
            return commands.decide(job, command)

        project, job_id = decided_for.spec.project, decided_for.job_id
        grows = decision.replicas > decided_for.status.desired_replicas
        trace = self._windows.take_trace(job_id) if grows else None
        entry = await self._log.execute(project, job_id, scaled, trace=trace)
        if entry is None:
            return False
        self._jobs.apply(entry)
        if entry.job.status.desired_replicas != decision.replicas:
            return False
        self._logger.info(
            "job.scaled",
            project=project,
            job=job_id,
            previous_replicas=decided_for.status.desired_replicas,
            desired_replicas=decision.replicas,
            reasons=decision.reasons,
        )
        return True

    def _serves_nothing(self, job_id: str) -> bool:
        """Whether it has no replica for a request, or will soon have none."""
        entry = self._jobs.get(job_id)
        if entry is None:
            return False
        return entry.job.status.desired_replicas == 0 or not entry.job.ready_replicas

    def _living(self, job_id: str) -> bool:
        entry = self._jobs.get(job_id)
        return entry is not None and entry.job.status.desired_phase is not DesiredPhase.DELETED

    def _caught_up(self) -> bool:
        return self._jobs.caught_up and self._windows_read

    def _may_act(self) -> bool:
        return self._lease.held


def _scalable(job: Job) -> bool:
    """Whether there is anything to decide: it is meant to run, and its bounds leave a choice or are not kept."""
    if job.status.desired_phase is not DesiredPhase.RUNNING or job.status.phase is JobPhase.FAILED:
        return False
    scaling = job.spec.scaling
    chooses = bool(scaling.targets) or scaling.min_replicas == 0
    choice = scaling.min_replicas < scaling.max_replicas and chooses
    return choice or scaling.clamp(job.status.desired_replicas) != job.status.desired_replicas


def _same_question(job: Job, other: Job) -> bool:
    return (job.status.desired_replicas, job.spec.scaling) == (
        other.status.desired_replicas,
        other.spec.scaling,
    )


class _Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._decisions = Counter(
            "hostler_autoscaler_decisions_total",
            "Decisions by direction; `hold` is one that wanted for data.",
            ("direction",),
            registry=registry,
        )
        self._desired = Gauge(
            "hostler_autoscaler_desired_replicas",
            "What was last decided for a job.",
            ("job",),
            registry=registry,
        )
        self._jobs: set[str] = set()
        self.leader = Gauge(
            "hostler_autoscaler_leader", "1 in the process that acts, 0 in the others.", registry=registry
        )

    def told(self, job: Job, decision: Decision) -> None:
        current = job.status.desired_replicas
        if decision.replicas != current:
            direction = "up" if decision.replicas > current else "down"
        else:
            direction = "hold" if decision.hold else "stay"
        self._decisions.labels(direction).inc()
        self._desired.labels(job.job_id).set(decision.replicas)
        self._jobs.add(job.job_id)

    def forget(self, job_id: str) -> None:
        if job_id in self._jobs:
            self._jobs.remove(job_id)
            self._desired.remove(job_id)
