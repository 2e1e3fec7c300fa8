"""What the backend remembers of the replicas and jobs that it was told to start, end or forget. Values that change; no I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hostler_provisioner.backend import Launch, Step
from hostler_provisioner.kubevirt.machine import Machine
from hostler_provisioner.kubevirt.observed import DiskShape
from hostler_provisioner.kubevirt.reconcile import Wish


@dataclass(slots=True)
class Start:
    """A replica whose machine is to be made; forgotten once the machine is seen to have left Pending, or the replica ends.

    Attributes:
        launch: What it is started from; holds its key.
        machine: The same as a machine with disks of its own.
        shape: Of its root disk; None where it boots without one.
        slot: The slot that it was given, once that was decided.
    """

    launch: Launch = field(repr=False)
    machine: Machine
    shape: DiskShape | None
    slot: str | None = None


@dataclass(slots=True)
class Work:
    """Everything under way."""

    starts: dict[str, Start] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    """Why a replica will never have a machine, until it is ended."""
    jobs_of: dict[str, str] = field(default_factory=dict)
    """The job of every replica that was refused before anything of it was made."""
    ending: set[str] = field(default_factory=set)
    going: set[str] = field(default_factory=set)
    watched: set[str] = field(default_factory=set)
    draining: dict[str, str] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    not_before: dict[str, datetime] = field(default_factory=dict)
    stages: dict[str, tuple[Step, datetime]] = field(default_factory=dict)

    def wishes(self) -> tuple[Wish, ...]:
        """The starts as the reconciler of objects takes them."""
        return tuple(
            Wish(
                replica_id=replica_id,
                job_id=start.launch.job_id,
                shape=start.shape,
                node=start.launch.node or None,
                not_before=self.not_before.get(replica_id),
                slot=start.slot,
            )
            for replica_id, start in sorted(self.starts.items())
        )

    def since(self, replica_id: str, step: Step, now: datetime) -> datetime:
        """When a replica came to this step, as far as this process has seen."""
        known = self.stages.get(replica_id)
        if known is None or known[0] is not step:
            known = self.stages[replica_id] = (step, now)
        return known[1]

    def failed(self, key: str, until: datetime) -> None:
        """What `key` names did not work and is not tried before `until`."""
        self.failures[key] = self.failures.get(key, 0) + 1
        self.not_before[key] = until

    def worked(self, key: str) -> None:
        """What `key` names has worked."""
        self.failures.pop(key, None)
        self.not_before.pop(key, None)

    def forget(self, replica_id: str) -> None:
        """Nothing is left of a replica."""
        self.starts.pop(replica_id, None)
        self.refusals.pop(replica_id, None)
        self.jobs_of.pop(replica_id, None)
        self.draining.pop(replica_id, None)
        self.stages.pop(replica_id, None)
        self.watched.discard(replica_id)
        self.worked(replica_id)

    def keep_only(self, replicas: Iterable[str]) -> None:
        """Drop what is remembered of machines that are not there any more."""
        there = set(replicas)
        self.watched &= there
        for replica_id in [each for each in self.draining if each not in there]:
            del self.draining[replica_id]


JobDisks = Mapping[str, int]
"""How many slots each living job may have, by its id."""
