"""The loop within the backend: look at everything, let `reconcile.py` decide, begin what it says; again whenever something changed.

It exists while the backend is open. Each object has at most one task at a time; one that failed is tried again after a pause that
grows, and one whose manifest was refused never again.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from datetime import timedelta

from hostler_domain.errors import PermanentError, TemporaryError
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_provisioner.kubevirt.backoff import backoff_seconds
from hostler_provisioner.kubevirt.machine import ClusterSettings
from hostler_provisioner.kubevirt.machines import on_slot
from hostler_provisioner.kubevirt.names import replica_name
from hostler_provisioner.kubevirt.objects import Objects
from hostler_provisioner.kubevirt.observed import Observed, SeenRecord, VmPhase, observed_from
from hostler_provisioner.kubevirt.probes import Probes, Target
from hostler_provisioner.kubevirt.reconcile import Begin, Delete, Desired, ObjectPlan, reconcile
from hostler_provisioner.kubevirt.resources import CLAIMS, CONFIG_MAPS, DATA_VOLUMES, MACHINES
from hostler_provisioner.kubevirt.settings import Patience
from hostler_provisioner.kubevirt.watches import Watches
from hostler_provisioner.kubevirt.work import JobDisks, Work

_ASKED_SECONDS = 5.0
"""A deletion that was accepted is not asked for again before the watch can have told of it."""


class Turns:
    """The loop, and what it looks at.

    Attributes:
        watches: What is known of the cluster.
        probes: What is known of the servers.
        objects: Who writes.
    """

    def __init__(
        self,
        settings: ClusterSettings,
        patience: Patience,
        watches: Watches,
        probes: Probes,
        objects: Objects,
        work: Work,
        disks: Callable[[], JobDisks | None],
        *,
        told: Callable[[], None],
        clock: Clock,
        rng: random.Random,
        logger: Logger,
    ) -> None:
        """Make the loop.

        Args:
            settings: The cluster.
            patience: How long things may take.
            watches: What is known of the cluster.
            probes: What is known of the servers.
            objects: Who writes.
            work: What was asked for.
            disks: The slots that each job may have; None while the jobs are not known.
            told: Called after every turn, and when an action has ended.
            clock: The time.
            rng: Spreads the tries.
            logger: For decisions and failures.
        """
        self.watches = watches
        self.probes = probes
        self.objects = objects
        self._settings = settings
        self._patience = patience
        self._work = work
        self._disks = disks
        self._told = told
        self._clock = clock
        self._rng = rng
        self._logger = logger
        self._woken = asyncio.Event()
        self._actions: dict[str, asyncio.Task[None]] = {}
        self._seen: Observed | None = None
        self._task: asyncio.Task[None] | None = None

    def note(self) -> None:
        """Something changed: look again."""
        self._seen = None
        self._woken.set()

    def observed(self) -> Observed:
        """What the cluster has of ours, as far as is known."""
        if self._seen is None:
            caches = self.watches.caches
            self._seen = observed_from(
                machines=caches[MACHINES].objects.values(),
                data_volumes=caches[DATA_VOLUMES].objects.values(),
                claims=caches[CLAIMS].objects.values(),
                config_maps=caches[CONFIG_MAPS].objects.values(),
            )
        return self._seen

    def under_way(self, replica_id: str) -> bool:
        """Whether something of a replica is just being made."""
        return replica_id in self._actions

    async def open(self) -> None:
        """Take in what there is, ask its servers once, and begin to turn."""
        await self.watches.open()
        self.aim()
        await self.probes.ask_all()
        self._task = asyncio.create_task(self._run(), name="kubevirt-turns")

    async def close(self) -> None:
        """Stop turning. What was sent to the cluster may still happen; whoever comes next sees it."""
        tasks = [*self._actions.values(), *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.probes.close()
        await self.watches.close()

    def aim(self) -> None:
        """Ask the servers of the machines that run, and of no others."""
        observed = self.observed()
        records = {each.replica_id: each for each in observed.records}
        targets: dict[str, Target] = {}
        for vm in observed.vms:
            record = records.get(vm.replica_id)
            running = vm.phase in (VmPhase.RUNNING, VmPhase.UNKNOWN) and vm.deleting_since is None
            if running and vm.ip and record is not None and record.noted.port is not None:
                url = f"{endpoint(vm.ip, record.noted.port)}{record.noted.health_path}"
                targets[vm.replica_id] = Target(url, vm.ready)
        self.probes.aim(targets)

    async def _run(self) -> None:
        failures = 0
        while True:
            self._woken.clear()
            pause = self._patience.turn_seconds
            try:
                pause = self._turn()
                failures = 0
            except Exception:  # the outermost loop: a bug in one turn must not end the backend
                failures += 1
                self._logger.exception("kubevirt.turn_failed")
                pause = backoff_seconds(failures, self._rng)
            self._told()
            try:
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            except TimeoutError:
                pass

    def _turn(self) -> float:
        """One look; gives the seconds after which something is due."""
        work, now = self._work, self._clock.now()
        observed = self.observed()
        for vm in observed.vms:
            start = work.starts.get(vm.replica_id)
            if start is not None and vm.phase is not VmPhase.PENDING:
                # It has had its machine; should that vanish now, the replica is gone and is not made again.
                del work.starts[vm.replica_id]
        self.aim()
        plan = reconcile(
            Desired(
                wishes=work.wishes(),
                ending=frozenset(work.ending),
                watched=frozenset(work.watched),
                draining=frozenset(work.draining),
                disks=self._disks(),
                going=frozenset(work.going),
                local_storage=self._patience.local_storage,
                deletion_deadline_seconds=self._patience.deletion_deadline_seconds,
            ),
            observed,
            now=now,
        )
        self._apply(plan, observed)
        due = [(at - now).total_seconds() for at in work.not_before.values() if at > now]
        return max(min([self._patience.turn_seconds, *due]), 0.01)

    def _apply(self, plan: ObjectPlan, observed: Observed) -> None:
        work = self._work
        for mark in plan.adopt:
            work.watched.add(mark.replica_id)
            self._logger.info("vm.adopted", replica=mark.replica_id, reason=mark.reason)
        for mark in plan.drain:
            work.draining[mark.replica_id] = mark.reason
            self._logger.info("vm.leaving", replica=mark.replica_id, reason=mark.reason)
        for begin in (*plan.create, *plan.restart):
            self._start(begin.replica_id, self._begin(begin, observed))
        records = {each.name: each for each in observed.records}
        for delete in (*plan.delete, *plan.orphans):
            self._start(f"{delete.kind}/{delete.uid}", self._delete(delete, records.get(delete.name)))
        work.keep_only(each.replica_id for each in observed.vms)

    def _start(self, key: str, action: Coroutine[None, None, None]) -> None:
        until = self._work.not_before.get(key)
        if key in self._actions or (until is not None and self._clock.now() < until):
            action.close()
            return
        task = asyncio.create_task(self._guarded(key, action), name=f"kubevirt-{key}")
        self._actions[key] = task
        task.add_done_callback(lambda _: self._ended(key))

    def _ended(self, key: str) -> None:
        self._actions.pop(key, None)
        self.note()

    async def _guarded(self, key: str, action: Coroutine[None, None, None]) -> None:
        try:
            await action
        except PermanentError as error:
            self._logger.warning("kubevirt.refused", object=key, reason=str(error))
            if key in self._work.starts:
                self._work.refusals[key] = str(error)
                self._work.jobs_of[key] = self._work.starts.pop(key).launch.job_id
            else:
                self._again(key, 0.0)
        except TemporaryError as error:
            self._logger.info("kubevirt.retry", object=key, reason=str(error))
            self._again(key, error.delay_seconds)

    def _again(self, key: str, floor_seconds: float) -> None:
        """Not at once, and later with each failure."""
        pause = backoff_seconds(self._work.failures.get(key, 0) + 1, self._rng)
        if floor_seconds > 1.0:
            pause = max(pause, floor_seconds)
        self._work.failed(key, self._clock.now() + timedelta(seconds=pause))

    async def _begin(self, begin: Begin, observed: Observed) -> None:
        start = self._work.starts[begin.replica_id]
        start.slot = begin.slot
        disk = next((each for each in observed.disks if each.slot == begin.slot), None)
        machine = on_slot(self._settings, start.machine, disk)
        self._logger.info(
            "vm.begin",
            job=machine.job_id,
            replica=machine.replica_id,
            vm=machine.name,
            slot=begin.slot,
            reason=begin.reason,
        )
        wanted = self._work.starts
        await self.objects.begin(machine, begin.slot, wanted=lambda: begin.replica_id in wanted)
        self._work.worked(begin.replica_id)

    async def _delete(self, delete: Delete, record: SeenRecord | None) -> None:
        owner = record.owner if record else None
        if owner is not None and owner.replica_id is not None:
            name = replica_name(owner.job_id, owner.replica_id, owner.generation or 0)
            if self.under_way(owner.replica_id) or not await self.objects.machine_is_gone(name):
                # A start that was under way may have made the machine a moment ago.
                raise TemporaryError(f"machine {name} is there after all")
        self._logger.info(
            "object.delete", kind=delete.kind, name=delete.name, job=delete.job_id, reason=delete.reason
        )
        await self.objects.delete(delete, secret=record.noted.secret if record else None)
        self._work.not_before[f"{delete.kind}/{delete.uid}"] = self._clock.now() + timedelta(
            seconds=_ASKED_SECONDS
        )


def endpoint(ip: str, port: int) -> str:
    """Base address of the server in a machine."""
    return f"http://[{ip}]:{port}" if ":" in ip else f"http://{ip}:{port}"
