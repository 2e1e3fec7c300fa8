"""The autoscaler's shell: follow the load windows, decide for the jobs each tick, append what changes, write down why.

One autoscaler acts, by lease; the others follow the windows too, so that they can take over at once. A decision is appended only
onto the job that it was made for: one that changed meanwhile is decided upon again at the next tick.
"""

import asyncio
import math
from datetime import datetime, timedelta
from typing import Final

from prometheus_client import CollectorRegistry

from hostler_autoscaler.advice_book import AdviceBook
from hostler_autoscaler.bounds import bounds_at
from hostler_autoscaler.decide import decide
from hostler_autoscaler.decision import Decision
from hostler_autoscaler.engine_identity import fingerprint, kept_for
from hostler_autoscaler.look import look_at, scalable
from hostler_autoscaler.memory import PolicyMemory
from hostler_autoscaler.metrics import AutoscalerMetrics
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.quick import honoured
from hostler_autoscaler.recorder import Recorder
from hostler_autoscaler.records import Made
from hostler_autoscaler.settings import AutoscalerSettings
from hostler_autoscaler.turns import Turns
from hostler_autoscaler.windows import KEPT_SECONDS, WindowStore
from hostler_bus.job_log import JobLog
from hostler_bus.leases import Lease
from hostler_bus.port import Bus, CaughtUp, SinceTime
from hostler_bus.projection import JobProjection
from hostler_contracts import subjects
from hostler_contracts.codec import UndecodableEvent
from hostler_contracts.load import LoadWindow, UndecodableWindow, decode_window
from hostler_domain import commands
from hostler_domain.changes import Change
from hostler_domain.job import Job
from hostler_domain.phases import DesiredPhase
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_kit.ops import Check
from hostler_kit.reconcile import Reconciler

_BUSY_SHARE: Final = 0.5
"""Of a tick: how much of it deciding may take, so that the lease, the windows and the probes have their share."""
_ROUND_SHARE: Final = 0.9
_PRUNE_SECONDS: Final = 5.0
_BREATH_SECONDS: Final = 0.05
"""How long the others wait for this at most."""


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
        recorder: Recorder,
        clock: Clock,
        logger: Logger,
        registry: CollectorRegistry,
    ) -> None:
        self._bus = bus
        self._jobs = jobs
        self._log = log
        self._lease = lease
        self._settings = settings
        self._recorder = recorder
        self._clock = clock
        self._logger = logger
        self._windows = WindowStore()
        self._windows_read = False
        self._turns = Turns()
        self._advice = AdviceBook()
        self._round_at = self._pruned_at = -math.inf
        self._memory = PolicyMemory(bus, save_seconds=settings.save_seconds, logger=logger)
        self._metrics = AutoscalerMetrics(registry)
        self.loop = Reconciler(self.tick, resync_seconds=settings.tick_seconds, logger=logger)

    async def watch_lease(self) -> None:
        """Wake the loop whenever the lease is won or lost; runs until cancelled."""
        while True:
            await self._lease.changed()
            self.look_at_all()

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
                self._windows.add(window, now=self._clock.now())
                if event.trace is not None:
                    self._windows.note_trace(window.job_id, event.trace, event.time)
                if window.rejected or (_busy(window) and self._serves_nothing(window.job_id)):
                    # Somebody was turned away or waits, perhaps for a job that sleeps: not at the next tick, now.
                    self._turns.hurry(window.job_id)
                    self.loop.note()

    def look_at_all(self) -> None:
        """Let the next tick look at every job, whenever the last one was."""
        self._round_at = -math.inf
        self.loop.note()

    async def tick(self) -> None:
        """Look at every job once, or at as many as there is time for."""
        self._metrics.leader.set(self._lease.held)
        now, monotonic = self._clock.now(), self._clock.monotonic()
        if monotonic - self._pruned_at >= _PRUNE_SECONDS:
            self._pruned_at = monotonic
            self._windows.prune(now=now, living=self._living)
        if not self._lease.held:
            self._memory.forget()
            self._advice = AdviceBook()
            return
        if not self._caught_up():
            return
        if not self._memory.loaded:
            await self._memory.load()
        gone = await self._memory.drop(lambda job_id: not self._living(job_id))
        for job_id in gone:
            self._metrics.forget(job_id)
        if gone:
            self._recorder.forget(lambda job_id: not self._living(job_id))
            self._advice.forget(gone)
        try:
            await self._decide_for_all()
        finally:
            # Another leader's memory is newer than this one's.
            if self._lease.held:
                await self._memory.save(now=now)

    async def _decide_for_all(self) -> None:
        """Decide for every job once, or for as many as there is time for; the next tick goes on there."""
        began = breath = self._clock.monotonic()
        looked, until = 0, began + _BUSY_SHARE * self._settings.tick_seconds
        for job_id in self._turns.round(lambda: list(self._jobs.jobs), anew=self._round_due(began)):
            entry = self._jobs.get(job_id)
            if entry is None or not scalable(entry.job):
                continue
            if not self._lease.held:
                return
            try:
                await self._scale(entry.job, self._clock.now())
            except UndecodableEvent as error:
                # Its last event is poison: it waits for an operator, and keeps no other job waiting.
                self._logger.error("job.unreadable", job=job_id, reason=str(error))  # noqa: TRY400  # the message says it all
            looked += 1
            monotonic = self._clock.monotonic()
            if monotonic >= until:
                break
            if monotonic - breath >= _BREATH_SECONDS:
                await asyncio.sleep(0)
                breath = self._clock.monotonic()
        self._metrics.turned(looked, self._clock.monotonic() - began)

    def _round_due(self, monotonic: float) -> bool:
        """Whether everybody's turn may come again: a request for a job that sleeps wakes the loop, and is no reason to look at all."""
        due = monotonic - self._round_at >= _ROUND_SHARE * self._settings.tick_seconds
        self._round_at = monotonic if due else self._round_at
        return due

    async def _scale(self, job: Job, now: datetime) -> None:
        """Decide for one job, append what follows, and have it written down."""
        remembered = await self._memory.get(job.spec.project, job.job_id)
        before = kept_for(remembered, fingerprint(job.spec), mixed=bool(job.outdated_replicas))
        observation = look_at(job, self._windows.of(job.job_id), self._windows.heard, now=now)
        bounds = bounds_at(job.spec.scaling, now, hold=job.status.hold)
        scaling = honoured(bounds.scaling, tick_seconds=self._settings.tick_seconds)
        state, decision = decide(before, observation, scaling)
        self._metrics.told(job, decision, observation)
        changes = decision.replicas != observation.desired
        reasons = (*decision.reasons, *bounds.reasons)
        if changes and not await self._append(job, decision, reasons, state, now):
            return
        made = Made(before, observation, scaling, decision)
        shadow = self._memory.shadows.decide(job, made)
        self._recorder.note(job, made, bounds=bounds.reasons, shadow=shadow)
        await self._advise(job, made)
        self._memory.keep(job.job_id, state, now=now, at_once=changes or _changes(shadow))

    async def _advise(self, job: Job, made: Made) -> None:
        """Append what the job's owner might change, where that is another thing than before."""
        advice, now = self._advice.due(job, made), made.observation.now
        if advice is None:
            return
        command = commands.AdviseJob(now, advice)
        entry = await self._log.execute(
            job.spec.project,
            job.job_id,
            lambda present: () if present is None else commands.decide(present, command),
        )
        self._advice.told(job.job_id, advice, now)
        if entry is not None:
            self._jobs.apply(entry)

    async def _append(
        self,
        decided_for: Job,
        decision: Decision,
        reasons: tuple[str, ...],
        state: PolicyState,
        now: datetime,
    ) -> bool:
        """Append the decision unless the job is no longer what it was made for; gives whether it was appended."""
        command = commands.ScaleJob(now, decision.replicas, reasons, state.to_json())

        def scaled(job: Job | None) -> tuple[Change, ...]:
            if job is None or not scalable(job) or not _same_question(job, decided_for):
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
            reasons=reasons,
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


def _busy(window: LoadWindow) -> bool:
    """Whether anybody wanted anything of the job in this period."""
    return bool(window.arrivals or window.in_flight or window.queued)


def _changes(shadow: Made | None) -> bool:
    """Whether a shadow policy goes to another number of its own."""
    return shadow is not None and shadow.decision.replicas != shadow.observation.desired


def _same_question(job: Job, other: Job) -> bool:
    return (job.status.desired_replicas, job.status.hold, job.spec.scaling) == (
        other.status.desired_replicas,
        other.status.hold,
        other.spec.scaling,
    )
