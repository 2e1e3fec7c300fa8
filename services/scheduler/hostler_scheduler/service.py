"""The scheduler's shell: load the view, plan, append what was planned; again whenever something changed.

One scheduler acts, by lease, and the others hold themselves ready. Every append expects the job as the view had it, so a plan
that somebody overtook is dropped and made anew; two leaders at once would only race, never do a thing twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from hostler_bus.errors import SequenceConflict
from hostler_bus.job_log import JobEntry, JobLog
from hostler_bus.leases import Lease
from hostler_bus.projection import CatalogueProjection, JobProjection
from hostler_domain.capacity import Node
from hostler_domain.catalogue import HardwareProfile, Project
from hostler_domain.errors import IllegalTransition
from hostler_domain.phases import JobPhase
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_kit.ops import Check
from hostler_kit.reconcile import Reconciler
from hostler_scheduler.actions import (
    Action,
    DrainReplica,
    GiveUp,
    HoldJob,
    ScheduleReplica,
    TellStopped,
    changes_of,
)
from hostler_scheduler.capacity import CapacityCollector
from hostler_scheduler.place import plan
from hostler_scheduler.settings import SchedulerSettings
from hostler_scheduler.view import ClusterView, assemble


@dataclass(frozen=True, slots=True)
class Projections:
    """What the scheduler knows, each kept up to date by a task of its own."""

    jobs: JobProjection
    nodes: CatalogueProjection[Node]
    profiles: CatalogueProjection[HardwareProfile]
    projects: CatalogueProjection[Project]

    @property
    def caught_up(self) -> bool:
        """Whether all of them have read what there was at their start."""
        return (
            self.jobs.caught_up
            and self.nodes.caught_up
            and self.profiles.caught_up
            and self.projects.caught_up
        )

    def view(self, entries: Mapping[str, JobEntry]) -> ClusterView:
        """The present state, with these jobs."""
        return assemble(
            (entry.job for entry in entries.values()),
            self.nodes.records.values(),
            self.profiles.records.values(),
            self.projects.records.values(),
        )


class Scheduler:
    """Reconciles the replicas of every job with the number that is wanted."""

    def __init__(
        self,
        projections: Projections,
        log: JobLog,
        lease: Lease,
        settings: SchedulerSettings,
        *,
        clock: Clock,
        new_ids: Callable[[], str],
        logger: Logger,
        registry: CollectorRegistry,
    ) -> None:
        self._known = projections
        self._log = log
        self._lease = lease
        self._settings = settings
        self._clock = clock
        self._new_ids = new_ids
        self._logger = logger
        self._metrics = _Metrics(registry)
        self.loop = Reconciler(self.look, resync_seconds=settings.resync_seconds, logger=logger)
        projections.jobs.on_change(lambda _: self.loop.note())
        projections.jobs.on_caught_up(self.loop.note)
        projections.nodes.on_change(lambda _: self.loop.note())
        projections.profiles.on_change(lambda _: self.loop.note())
        projections.projects.on_change(lambda _: self.loop.note())
        registry.register(CapacityCollector(lambda: projections.view(projections.jobs.jobs)))

    async def watch_lease(self) -> None:
        """Wake the loop whenever the lease is won or lost; runs until cancelled."""
        while True:
            await self._lease.changed()
            self.loop.note()

    def ready(self) -> Check:
        """Whether it could act, leader or not."""
        if not self._known.caught_up:
            return Check(ok=False, detail="reading the log and the catalogues")
        return Check(ok=True, detail="leader" if self._lease.held else "standing by")

    async def look(self) -> float | None:
        """One look at everything, and what follows from it; gives the seconds until the next look is due, if one is."""
        self._metrics.leader.set(self._lease.held)
        if not self._may_act():
            return None
        now = self._clock.now()
        # Taken before the plan is made: what comes in while it is carried out must not change what an append expects.
        entries = dict(self._known.jobs.jobs)
        view = self._known.view(entries)
        with self._metrics.planning.time():
            made = plan(
                view, now=now, new_ids=self._new_ids, node_stale_seconds=self._settings.node_stale_seconds
            )
        self._metrics.waiting.set(sum(job.status.phase is JobPhase.PENDING for job in view.jobs))
        # The sort is stable, so the actions of one job stay in their order, and jobs stay in the plan's.
        place = {job.job_id: number for number, job in enumerate(view.jobs)}
        by_job = sorted(made.actions, key=lambda action: place[action.job_id])
        for job_id, actions in groupby(by_job, key=attrgetter("job_id")):
            if not self._may_act():
                return None
            await self._apply(entries[job_id], tuple(actions), now)
        if made.look_again_at is None:
            return None
        return (made.look_again_at - self._clock.now()).total_seconds()

    def _may_act(self) -> bool:
        return self._known.caught_up and self._lease.held

    async def _apply(self, entry: JobEntry, actions: Sequence[Action], now: datetime) -> None:
        """Append what the actions of one job amount to, each on top of the one before."""
        job = entry.job
        for action in actions:
            try:
                for change in changes_of(entry.job, action, at=now):
                    entry = await self._log.append(entry, change)
            except SequenceConflict:
                self._metrics.conflicts.inc()
                self._logger.info("schedule.overtaken", project=job.spec.project, job=job.job_id)
                return
            except IllegalTransition:
                # One job that can't be handled must not keep all others from being looked at.
                self._logger.exception("schedule.illegal", project=job.spec.project, job=job.job_id)
                return
            finally:
                self._known.jobs.apply(entry)
            self._metrics.actions.labels(type(action).__name__).inc()
            _told(self._logger.bind(project=job.spec.project, job=job.job_id), action)


def _told(logger: Logger, action: Action) -> None:
    """One line about what was done and why."""
    match action:
        case ScheduleReplica():
            logger.info(
                "replica.scheduled",
                replica=action.replica_id,
                node=action.placement.node_key,
                reasons=action.reasons,
            )
        case DrainReplica():
            logger.info("replica.draining", replica=action.replica_id, reason=action.reason)
        case HoldJob():
            logger.info("job.pending", reason=action.reason, detail=action.detail)
        case GiveUp():
            logger.warning("job.given_up", reason=action.reason, detail=action.detail)
        case TellStopped():
            logger.info("job.stopped")


class _Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.actions = Counter(
            "hostler_scheduler_actions_total", "Actions carried out.", ("action",), registry=registry
        )
        self.conflicts = Counter(
            "hostler_scheduler_overtaken_total", "Plans for a job that somebody overtook.", registry=registry
        )
        self.planning = Histogram(
            "hostler_scheduler_plan_seconds", "Time to make a plan for everything.", registry=registry
        )
        self.waiting = Gauge("hostler_scheduler_pending_jobs", "Jobs that wait for room.", registry=registry)
        self.leader = Gauge(
            "hostler_scheduler_leader", "1 in the process that acts, 0 in the others.", registry=registry
        )
