"""The provisioner's shell: look at the jobs and at the backend, plan, apply; and report the node.

One provisioner per cluster acts, by lease; the others hold themselves ready. Replicas keep serving while none does.
"""

import asyncio

from hostler_bus.job_log import JobEntry
from hostler_bus.leases import Lease
from hostler_bus.port import Bus
from hostler_bus.projection import JobProjection
from hostler_contracts import catalogue, subjects
from hostler_domain.capacity import Node, Resources
from hostler_domain.errors import TemporaryError
from hostler_domain.replica_states import ReplicaState
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_kit.reconcile import Reconciler
from hostler_provisioner.backend import Backend, NodeFacts, ObservedReplica, Step, Unreachable
from hostler_provisioner.effects import Effects
from hostler_provisioner.metrics import ProvisionerMetrics
from hostler_provisioner.plan import Limits, View, plan
from hostler_provisioner.routers import in_flight
from hostler_provisioner.settings import ProvisionerSettings

_MOVING_LOOK_SECONDS = 0.2
"""While something drains the routers are asked this often, while something starts its progress is looked at."""
_STARTING = (Step.IMPORTING, Step.BOOTING, Step.LOADING)


class Provisioner:
    """Reconciles one cluster."""

    def __init__(
        self,
        bus: Bus,
        jobs: JobProjection,
        backend: Backend,
        lease: Lease,
        settings: ProvisionerSettings,
        clock: Clock,
        logger: Logger,
        metrics: ProvisionerMetrics,
    ) -> None:
        self._bus = bus
        self._jobs = jobs
        self._backend = backend
        self._lease = lease
        self._settings = settings
        self._clock = clock
        self._logger = logger
        self._limits = Limits(settings.drain_timeout_seconds, settings.unhealthy_timeout_seconds)
        self._effects: Effects | None = None
        self._stopping = False
        self._nodes: tuple[Node, ...] = ()
        self._metrics = metrics
        self.loop = Reconciler(self._look, resync_seconds=settings.resync_seconds, logger=logger)
        jobs.on_change(self._changed)
        jobs.on_caught_up(self.loop.note)

    def use(self, effects: Effects) -> None:
        """Act through `effects`, which was made to wake this provisioner's loop."""
        self._effects = effects

    def _changed(self, _: JobEntry) -> None:
        self.loop.note()

    async def _look(self) -> float | None:
        if not self._lease.held:
            # Whoever leads now needs the backend; it is opened again with the next observation. Every time, because an effect
            # that was under way when the lease was lost may have opened it once more.
            await self._backend.close()
            return None
        if self._stopping or self._effects is None or not self._jobs.caught_up:
            return None
        observed: tuple[ObservedReplica, ...] = ()
        unreachable = ""
        try:
            observed = await self._backend.observe()
            self._metrics.observed(self._backend.cluster, observed)
        except Unreachable as error:
            unreachable = str(error)
            self._metrics.unreachable(self._backend.cluster)
        draining = {
            replica.replica_id: entry.seq
            for entry in self._jobs.jobs.values()
            for replica in entry.job.replicas
            if replica.state is ReplicaState.DRAINING and replica.placement.cluster == self._backend.cluster
        }
        view = View(
            cluster=self._backend.cluster,
            capacity={node.key: node.capacity for node in self._nodes},
            jobs=tuple(entry.job for entry in self._jobs.jobs.values()),
            observed=observed,
            in_flight=await in_flight(self._bus, draining),
            busy=self._effects.busy,
            unreachable=unreachable,
        )
        actions = plan(view, self._limits, now=self._clock.now())
        for action in actions:
            self._metrics.acted(self._backend.cluster, action)
        await self._effects.apply(actions)
        moving = draining or any(each.step in _STARTING for each in observed)
        return _MOVING_LOOK_SECONDS if moving else None

    async def watch_backend(self) -> None:
        """Wake the loop whenever the backend sees a replica change."""
        while True:
            await self._backend.changed.wait()
            self._backend.changed.clear()
            self.loop.note()

    async def watch_lease(self) -> None:
        """Wake the loop whenever the lease is won or lost."""
        while True:
            await self._lease.changed()
            self.loop.note()

    async def report_nodes(self) -> None:
        """Write what the nodes have, again and again; the time in each is the node's sign of life."""
        bucket = self._bus.bucket(subjects.BUCKET_NODES)
        while True:
            if not self._lease.held:
                await asyncio.sleep(_MOVING_LOOK_SECONDS)
                continue
            try:
                facts = await self._backend.nodes()
                self._nodes = tuple(self._node(each) for each in facts)
                for node in self._nodes:
                    await bucket.put(node.key, catalogue.NODES.encode(node))
            except TemporaryError as error:
                # Said the next time; meanwhile the scheduler sees the nodes grow old.
                self._logger.warning("nodes.retry", reason=str(error))
            await asyncio.sleep(self._settings.node_report_seconds)

    def _node(self, facts: NodeFacts) -> Node:
        listed = facts.models_by_runtime.values()
        return Node(
            name=facts.hostname,
            cluster=self._backend.cluster,
            capacity=Resources(
                cpu_cores=self._settings.node_cpu_cores or facts.cpu_cores,
                memory_bytes=facts.memory_bytes,
                gpus=facts.gpus,
            ),
            gpu_model=facts.gpu_model,
            device_name=facts.device_name,
            runtimes=tuple(facts.models_by_runtime),
            models=tuple(sorted({model for models in listed for model in models or ()})),
            reported_at=self._clock.now(),
            location=self._settings.location,
            models_by_runtime=facts.models_by_runtime,
        )

    async def stop_replicas(self) -> None:
        """End every replica of the backend, all at once, and start none any more."""
        self._stopping = True
        observed = await self._backend.observe()
        await asyncio.gather(
            *(self._backend.stop(each.replica_id, self._settings.stop_grace_seconds) for each in observed)
        )
