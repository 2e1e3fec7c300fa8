"""The `kubevirt` backend: each replica is a virtual machine with GPUs by PCI passthrough, in one KubeVirt cluster.

The reconciler calls it through the port of `hostler_provisioner.backend`. Everything it knows is in the cluster: it lists and watches
what carries its labels, so a provisioner that was killed finds its replicas again, also one that it had begun and not finished. What it
is asked for is noted and carried out by a loop of its own (`turns.py`).

It connects at the first call. While the cluster has not answered for a while, observing raises `Unreachable`, and nothing is deleted.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

from hostler_domain.errors import HostlerError, TemporaryError
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_provisioner.backend import Launch, LogPart, NodeFacts, ObservedReplica, Unreachable
from hostler_provisioner.kubevirt.client import Client
from hostler_provisioner.kubevirt.console import ConsoleLogs
from hostler_provisioner.kubevirt.guest import Guest
from hostler_provisioner.kubevirt.guests.runtimes import MODELS_BY_RUNTIME
from hostler_provisioner.kubevirt.inventory import node_facts
from hostler_provisioner.kubevirt.machine import ClusterSettings
from hostler_provisioner.kubevirt.machines import machine_of
from hostler_provisioner.kubevirt.manifests import replica_objects
from hostler_provisioner.kubevirt.names import cluster_selector
from hostler_provisioner.kubevirt.objects import Objects
from hostler_provisioner.kubevirt.observed import shape_of
from hostler_provisioner.kubevirt.probes import Probes
from hostler_provisioner.kubevirt.resources import MACHINES, NODES, PODS, WATCHED
from hostler_provisioner.kubevirt.settings import Access, Patience
from hostler_provisioner.kubevirt.steps import stage_of
from hostler_provisioner.kubevirt.storage import root_disk
from hostler_provisioner.kubevirt.turns import Turns, endpoint
from hostler_provisioner.kubevirt.watches import Watches
from hostler_provisioner.kubevirt.work import JobDisks, Start, Work

_LOOK_SECONDS = 1.0
"""While something ends it is looked at this often, should a wake-up be lost."""


class KubeVirtBackend:
    """Replicas as virtual machines. See `hostler_provisioner.backend.Backend` for what each call promises.

    Attributes:
        cluster: Its name in placements.
        changed: Set whenever a replica came to another step; whoever waits on it clears it.
    """

    def __init__(
        self,
        settings: ClusterSettings,
        access: Access,
        patience: Patience,
        *,
        connect: Callable[[], Awaitable[Client]],
        guest_of: Callable[[Launch], Guest],
        disks: Callable[[], JobDisks | None],
        clock: Clock,
        rng: random.Random,
        logger: Logger,
    ) -> None:
        """Make a backend that connects when it is first used.

        Args:
            settings: What is made in the cluster.
            access: How patient to be with its API server.
            patience: How long the rest may take.
            connect: Makes a client.
            guest_of: What runs in a replica's machine; raises `PermanentError` where that can't be.
            disks: The slots that each living job may have; None while the jobs are not known.
            clock: The time.
            rng: Spreads tries.
            logger: For decisions and failures.
        """
        self.cluster = settings.cluster
        self.changed = asyncio.Event()
        self._settings = settings
        self._access = access
        self._patience = patience
        self._connect = connect
        self._guest_of = guest_of
        self._console = ConsoleLogs(settings.cluster)
        self._disks = disks
        self._clock = clock
        self._rng = rng
        self._logger = logger.bind(cluster=settings.cluster)
        self._work = Work()
        self._turned = asyncio.Event()
        self._opening = asyncio.Lock()
        self._client: Client | None = None
        self._turns: Turns | None = None
        self._heart: asyncio.Task[None] | None = None
        self._silent_since: float | None = None
        self._may_write: Callable[[], bool] = lambda: True

    def fence(self, may_act: Callable[[], bool]) -> None:
        """Ask `may_act` before every write from now on."""
        self._may_write = may_act

    async def nodes(self) -> tuple[NodeFacts, ...]:
        """What there is to place machines on."""
        await self._open()
        client = self._connected()
        nodes, _ = await client.listed(NODES)
        pods, _ = await client.listed(PODS, everywhere=True)
        # Without an image nothing of a kind can be started, whatever the code knows.
        runtimes = {
            name: models for name, models in MODELS_BY_RUNTIME.items() if name in self._settings.images
        }
        return node_facts(nodes, pods, runtimes)

    async def start(self, launch: Launch) -> None:
        """Check the launch and note the wish; nothing when the machine is there, even gone: none is revived."""
        machine = machine_of(self._settings, launch, self._guest_of(launch))
        # Everything of it is made once for the sake of what would be refused.
        replica_objects(self._settings, machine, "")
        turns = await self._open()
        known = self._work.starts.get(launch.replica_id)
        there = any(each.replica_id == launch.replica_id for each in turns.observed().vms)
        if known is not None or there or launch.replica_id in self._work.refusals:
            return
        disk = root_disk(self._settings, machine, "")
        shape = None if disk is None else shape_of(disk)
        self._work.starts[launch.replica_id] = Start(launch, machine, shape)
        turns.note()
        self.changed.set()

    async def observe(self) -> tuple[ObservedReplica, ...]:
        """Every replica of which there is a machine, a record or a wish, by id."""
        turns = await self._open()
        self._refuse_unreachable()
        observed, work, now = turns.observed(), self._work, self._clock.now()
        vms = {each.replica_id: each for each in observed.vms}
        records = {each.replica_id: each for each in observed.records}
        disks = {each.slot: each for each in observed.disks}
        jobs = {replica_id: start.launch.job_id for replica_id, start in work.starts.items()} | work.jobs_of
        jobs |= observed.begun
        found: list[ObservedReplica] = []
        for replica_id, job_id in sorted(jobs.items()):
            vm, record = vms.get(replica_id), records.get(replica_id)
            start = work.starts.get(replica_id)
            slot = record.noted.slot if record else start.slot if start else None
            stage = stage_of(
                vm=vm,
                record=record,
                disk=disks.get(slot or replica_id),
                health=turns.probes.health(replica_id),
                wished=start is not None,
                refusal=work.refusals.get(replica_id),
            )
            port = record.noted.port if record else None
            going = vm.deleting_since if vm else None
            overdue_seconds = 0.0 if going is None else (now - going).total_seconds()
            found.append(
                ObservedReplica(
                    replica_id=replica_id,
                    job_id=job_id,
                    step=stage.step,
                    fraction=stage.fraction,
                    endpoint_url=endpoint(vm.ip, port) if vm and vm.ip and port is not None else None,
                    detail=stage.detail,
                    exit_code=None,
                    since=work.since(replica_id, stage.step, now),
                    incomplete=stage.incomplete,
                    leaving=work.draining.get(replica_id, ""),
                    stuck=overdue_seconds > self._patience.deletion_deadline_seconds,
                )
            )
        return tuple(found)

    async def stop(self, replica_id: str, grace_seconds: float) -> None:  # noqa: ARG002  # the machine's own grace period counts
        """Delete the machine, then its Secret and record; come back when the cluster says that they are gone. Its disks stay."""
        turns = await self._open()
        self._work.starts.pop(replica_id, None)
        self._work.ending.add(replica_id)
        await self._console.keep(self._connected(), replica_id)
        turns.note()
        while self._left_of(replica_id):
            await self._next_turn()
        self._work.ending.discard(replica_id)
        self._work.forget(replica_id)
        self.changed.set()

    async def forget(self, job_id: str) -> None:
        """Delete the job's anchor, with all that it owns, and what is left by label; come back when nothing is."""
        turns = await self._open()
        if job_id not in turns.observed().jobs:
            return
        self._work.going.add(job_id)
        turns.note()
        while left := await self._turning().objects.left_of(job_id):
            self._logger.debug("job.left", job=job_id, objects=left)
            await self._next_turn()
        self._work.going.discard(job_id)

    async def log(self, replica_id: str, *, tail_lines: int, after: int | None) -> LogPart | None:
        """What the guest wrote to its console; the end of it is kept for a while after the machine is gone."""
        await self._open()
        return await self._console.read(self._connected(), replica_id, tail_lines=tail_lines, after=after)

    async def close(self) -> None:
        """Let go of the cluster; the next call connects again."""
        async with self._opening:
            if self._heart is not None:
                self._heart.cancel()
                await asyncio.gather(self._heart, return_exceptions=True)
                self._heart = None
            if self._turns is not None:
                await self._turns.close()
                self._turns = None
            if self._client is not None:
                await self._client.close()
                self._client = None
            self._work = Work()
            self._silent_since = None

    def _left_of(self, replica_id: str) -> bool:
        turns = self._turning()
        return replica_id in turns.observed().begun or turns.under_way(replica_id)

    async def _next_turn(self) -> None:
        """Wait until the loop has looked again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._turned.wait()

    def _told(self) -> None:
        """The loop has looked: whoever waits for a change sees for itself."""
        self.changed.set()
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()

    async def _open(self) -> Turns:
        """Connect, list and adopt, unless that has been done."""
        return self._turns or await self._open_once()

    async def _open_once(self) -> Turns:
        async with self._opening:
            if self._turns is not None:
                return self._turns
            if self._silent_since is None:
                self._silent_since = self._clock.monotonic()
            if self._client is None:
                self._client = await self._connect()
            turns = self._assemble(self._client)
            try:
                await turns.open()
            except TemporaryError as error:
                await turns.close()
                self._refuse_unreachable(str(error))
                raise
            self._turns = turns
            self._heart = asyncio.create_task(self._beat(self._client), name="kubevirt-heartbeat")
            return turns

    def _assemble(self, client: Client) -> Turns:
        def note() -> None:
            turns.note()

        watches = Watches(
            client,
            WATCHED,
            selector=cluster_selector(self.cluster),
            changed=note,
            clock=self._clock,
            rng=self._rng,
            logger=self._logger,
            watch_seconds=self._access.watch_seconds,
            relist_seconds=self._access.relist_seconds,
        )
        probes = Probes(
            changed=note,
            clock=self._clock,
            period_seconds=self._patience.probe_period_seconds,
            timeout_seconds=self._patience.probe_timeout_seconds,
        )
        objects = Objects(client, watches.caches, self._settings, may_write=self._fenced)
        turns = Turns(
            self._settings,
            self._patience,
            watches,
            probes,
            objects,
            self._work,
            self._disks,
            told=self._told,
            clock=self._clock,
            rng=self._rng,
            logger=self._logger,
        )
        return turns

    async def _beat(self, client: Client) -> None:
        """Ask a server that has been silent for a sign of life, so that silence means something."""
        while True:
            await self._clock.sleep(self._access.heartbeat_seconds / 2)
            if self._silence_seconds() > self._access.heartbeat_seconds:
                # Its silence is what is being measured.
                with suppress(HostlerError):
                    await client.ping(MACHINES)

    def _fenced(self) -> bool:
        return self._may_write()

    def _silence_seconds(self) -> float:
        contact = None if self._client is None else self._client.contact_at
        since = contact if contact is not None else self._silent_since
        return 0.0 if since is None else self._clock.monotonic() - since

    def _refuse_unreachable(self, reason: str = "it does not answer") -> None:
        silence = self._silence_seconds()
        if silence > self._access.unreachable_seconds:
            raise Unreachable(f"cluster {self.cluster} has not answered for {silence:.0f} s: {reason}")

    def _turning(self) -> Turns:
        if self._turns is None:
            raise TemporaryError(f"cluster {self.cluster} was let go")
        return self._turns

    def _connected(self) -> Client:
        if self._client is None:
            raise TemporaryError(f"cluster {self.cluster} was let go")
        return self._client
