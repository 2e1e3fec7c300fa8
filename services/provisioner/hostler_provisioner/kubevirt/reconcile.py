"""What to do next in the cluster: desired and observed objects in, a plan out. Pure.

The reconciler above (`hostler_provisioner.plan`) decides which replicas start and end; here is what that means for objects. The
backend runs this whenever anything changed and carries out what comes, so each step may be repeated and a crash loses nothing:

* A replica's record is made before anything else of it and taken away after everything else, so whatever there is of a replica
  can be found by looking.
* A machine's name is made once for each replica; nothing is made under it while its predecessor, told by its UID, is there.
* Disks belong to a job's slots, not to machines: a new replica takes over a whole one that is free and fits. This is what makes
  a restart one on the same disks.
* Only what carries our labels is deleted, and only under the UID that was seen.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from hostler_provisioner.kubevirt.observed import (
    DiskShape,
    Observed,
    SeenClaim,
    SeenDisk,
    SeenRecord,
    SeenVm,
)


@dataclass(frozen=True, slots=True)
class Wish:
    """A replica that shall run.

    Attributes:
        replica_id: Its name.
        job_id: The job it serves.
        shape: Of its root disk; None for one that lives only as long as the machine.
        node: Where it was placed; None for anywhere.
        not_before: When it may be tried again after a failure; None for now.
        slot: The slot that it was given, while that is being written down.
    """

    replica_id: str
    job_id: str
    shape: DiskShape | None = None
    node: str | None = None
    not_before: datetime | None = None
    slot: str | None = None


@dataclass(frozen=True, slots=True)
class Desired:
    """What there shall be.

    Attributes:
        wishes: Replicas to run.
        ending: Replicas to end.
        watched: Replicas whose machine is being watched already.
        draining: Replicas of which it is known that they must leave their node.
        disks: Slots that each living job may have, by its id; None while the jobs are not known, and nothing is swept.
        going: Jobs that are to go with everything they have.
        local_storage: Whether a disk can only be used on the node where it was made.
        deletion_deadline_seconds: A deletion that takes longer is stuck.
    """

    wishes: tuple[Wish, ...] = ()
    ending: frozenset[str] = frozenset()
    watched: frozenset[str] = frozenset()
    draining: frozenset[str] = frozenset()
    disks: Mapping[str, int] | None = None
    going: frozenset[str] = frozenset()
    local_storage: bool = False
    deletion_deadline_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Begin:
    """Make everything of a replica, with the disks of `slot`."""

    replica_id: str
    slot: str
    reason: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Watch a replica's machine from now on (adopt), or tell of it that it must go (drain)."""

    replica_id: str
    reason: str


class Kind(StrEnum):
    """What is deleted."""

    VM = "vm"
    DISK = "disk"
    CLAIM = "claim"
    RECORD = "record"
    ANCHOR = "anchor"


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object of this name, if it still has this UID."""

    kind: Kind
    name: str
    uid: str
    job_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done about `name` now; `stuck` when it takes longer than it may."""

    name: str
    reason: str
    stuck: bool = False


@dataclass(frozen=True, slots=True)
class ObjectPlan:
    """What to do, each bucket in order of names. Apart from `wait` it is empty when all is as desired."""

    create: tuple[Begin, ...] = ()
    adopt: tuple[Mark, ...] = ()
    restart: tuple[Begin, ...] = ()
    drain: tuple[Mark, ...] = ()
    delete: tuple[Delete, ...] = ()
    orphans: tuple[Delete, ...] = ()
    wait: tuple[Wait, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        buckets = (self.create, self.adopt, self.restart, self.drain, self.delete, self.orphans)
        return not any(buckets)


@dataclass(slots=True)
class _Draft:
    """A plan in the making."""

    create: list[Begin] = field(default_factory=list)
    adopt: list[Mark] = field(default_factory=list)
    restart: list[Begin] = field(default_factory=list)
    drain: list[Mark] = field(default_factory=list)
    delete: list[Delete] = field(default_factory=list)
    orphans: list[Delete] = field(default_factory=list)
    wait: list[Wait] = field(default_factory=list)

    def done(self) -> ObjectPlan:
        return ObjectPlan(
            create=tuple(sorted(self.create, key=lambda each: each.replica_id)),
            adopt=tuple(sorted(self.adopt, key=lambda each: each.replica_id)),
            restart=tuple(sorted(self.restart, key=lambda each: each.replica_id)),
            drain=tuple(sorted(self.drain, key=lambda each: each.replica_id)),
            delete=tuple(sorted(self.delete, key=lambda each: (each.kind, each.name))),
            orphans=tuple(sorted(self.orphans, key=lambda each: (each.kind, each.name))),
            wait=tuple(sorted(self.wait, key=lambda each: (each.name, each.reason))),
        )


def reconcile(desired: Desired, observed: Observed, *, now: datetime) -> ObjectPlan:
    """The steps that bring what is nearer to what is desired."""
    draft = _Draft()
    vms = {each.replica_id: each for each in observed.vms}
    records = {each.replica_id: each for each in observed.records}
    deadline = timedelta(seconds=desired.deletion_deadline_seconds)
    _deletions(draft, observed, now, deadline)
    slots = _slots(desired, observed)
    for wish in desired.wishes:
        if wish.replica_id not in desired.ending:
            there = vms.get(wish.replica_id), records.get(wish.replica_id)
            _begin(draft, wish, *there, slots, observed, now)
    for replica_id in desired.ending:
        _end(draft, vms.get(replica_id), records.get(replica_id))
    _marks(draft, desired, observed.vms)
    if desired.disks is not None:
        _sweep(draft, desired, desired.disks, observed, frozenset(slots.values()))
    return draft.done()


def _deletions(draft: _Draft, observed: Observed, now: datetime, deadline: timedelta) -> None:
    """What is being deleted is waited for, and told of when that takes too long."""
    for each in observed.all:
        if each.deleting_since is not None:
            stuck = now - each.deleting_since > deadline
            since = f"being deleted since {each.deleting_since:%Y-%m-%d %H:%M:%S}"
            draft.wait.append(Wait(each.name, f"{since}, longer than it may" if stuck else since, stuck))


def _begin(
    draft: _Draft,
    wish: Wish,
    vm: SeenVm | None,
    record: SeenRecord | None,
    slots: Mapping[str, str],
    observed: Observed,
    now: datetime,
) -> None:
    """A replica that shall run.

    | machine  | anchor, record or disk going | too early | disk of its slot | then                              |
    | -------- | ---------------------------- | --------- | ---------------- | --------------------------------- |
    | any      |                              |           |                  | nothing: it is there, or has been |
    | none     | yes                          | any       | any              | wait                              |
    | none     | no                           | any       | another's        | wait                              |
    | none     | no                           | yes       | any              | wait                              |
    | none     | no                           | no        | whole            | restart                           |
    | none     | no                           | no        | other or none    | create                            |

    A machine that ended stays as it is: the reconciler above is told, and ends the replica.
    """
    if vm is not None:
        return
    slot = slots.get(wish.replica_id, wish.replica_id)
    disk = next((each for each in observed.disks if each.slot == slot), None)
    anchor = next((each for each in observed.anchors if each.job_id == wish.job_id), None)
    for part in (anchor, record, disk):
        if part is not None and part.deleting_since is not None:
            draft.wait.append(Wait(wish.replica_id, f"{part.name} of before is not gone yet"))
            return
    noted = {each.replica_id: each.noted.slot for each in observed.records}
    holders = [
        each.replica_id for each in observed.vms if noted.get(each.replica_id, each.replica_id) == slot
    ]
    holders += [replica_id for replica_id, taken in slots.items() if taken == slot]
    if any(each != wish.replica_id for each in holders):
        draft.wait.append(Wait(wish.replica_id, f"the disk of {slot} is another's"))
        return
    if wish.not_before is not None and now < wish.not_before:
        draft.wait.append(Wait(wish.replica_id, "the last try failed; the next one waits"))
        return
    if disk is not None and disk.done:
        whose = "its" if slot == wish.replica_id else f"the free disk of {slot}"
        draft.restart.append(Begin(wish.replica_id, slot, f"it has no machine, and {whose} disk is whole"))
    else:
        draft.create.append(Begin(wish.replica_id, slot, "it has no machine"))


def _end(draft: _Draft, vm: SeenVm | None, record: SeenRecord | None) -> None:
    """A replica that shall end: the machine first, its Secret and record when the machine is known to be gone."""
    if vm is not None:
        if vm.deleting_since is None:
            draft.delete.append(Delete(Kind.VM, vm.name, vm.uid, vm.owner.job_id, "its replica ends"))
    elif record is not None and record.deleting_since is None:
        draft.delete.append(
            Delete(Kind.RECORD, record.name, record.uid, record.owner.job_id, "its machine is gone")
        )


def _marks(draft: _Draft, desired: Desired, vms: Iterable[SeenVm]) -> None:
    for vm in vms:
        replica_id = vm.replica_id
        if replica_id in desired.ending or vm.ended or vm.deleting_since is not None:
            continue
        if replica_id not in desired.watched:
            draft.adopt.append(Mark(replica_id, f"its machine {vm.name} is there"))
        if vm.evicting and replica_id not in desired.draining:
            draft.drain.append(Mark(replica_id, f"node {vm.node or 'of its machine'} is being emptied"))


def _slots(desired: Desired, observed: Observed) -> dict[str, str]:
    """Whose disks each replica has or gets, by its id.

    One that has a record keeps what stands there. The others, in order of their ids, get the oldest of the free ones that fit, and
    disks of their own where none does. So no two replicas ever share one.
    """
    present = {each.slot for each in observed.disks}
    chosen = [(each.replica_id, each.slot) for each in desired.wishes if each.slot is not None]
    chosen += [(each.replica_id, each.noted.slot) for each in observed.records]
    # A disk that was taken over and has been lost since is chosen anew.
    slots = {replica_id: slot for replica_id, slot in chosen if slot == replica_id or slot in present}
    taken = set(slots.values()) | {each.replica_id for each in observed.vms}
    free: dict[str, list[SeenDisk]] = defaultdict(list)
    for disk in sorted(observed.disks, key=_by_age):
        if disk.slot not in taken and disk.done and disk.deleting_since is None:
            free[disk.owner.job_id].append(disk)
    for wish in sorted(desired.wishes, key=lambda each: each.replica_id):
        if wish.replica_id in slots or wish.replica_id in desired.ending or wish.shape is None:
            continue
        candidates = free[wish.job_id]
        fit = next((disk for disk in candidates if _fits(disk, wish, desired.local_storage)), None)
        if fit is not None:
            candidates.remove(fit)
        slots[wish.replica_id] = wish.replica_id if fit is None else fit.slot
    return slots


def _fits(disk: SeenDisk, wish: Wish, local_storage: bool) -> bool:
    here = not local_storage or wish.node is None or disk.node is None or disk.node == wish.node
    return here and disk.shape == wish.shape


def _sweep(
    draft: _Draft, desired: Desired, allowed: Mapping[str, int], observed: Observed, taken: frozenset[str]
) -> None:
    """Take away what nobody needs any more: free disks beyond what a job may have, and all of a job that is no more."""
    busy = set(observed.begun.values())
    busy |= {each.job_id for each in desired.wishes if each.replica_id not in desired.ending}
    for job_id in sorted(observed.jobs):
        if job_id in desired.going or job_id not in allowed:
            if job_id not in busy:
                bucket = draft.delete if job_id in desired.going else draft.orphans
                bucket.extend(_all_of(job_id, observed))
        else:
            draft.delete.extend(_surplus(job_id, allowed[job_id], observed, taken))


def _surplus(job_id: str, allowed: int, observed: Observed, taken: frozenset[str]) -> Iterator[Delete]:
    """Free slots beyond the allowed number, the youngest first to go; a volume without a root disk goes with no disk's company."""
    disks = sorted((each for each in observed.disks if each.owner.job_id == job_id), key=_by_age)
    in_use = {each.replica_id for each in observed.vms} | taken
    free = [each for each in disks if each.slot not in in_use]
    used = {each.slot for each in disks} & in_use
    whole = [each for each in free if each.done and each.deleting_since is None]
    kept = {each.slot for each in whole[: max(allowed - len(used), 0)]}
    for disk in free:
        if disk.slot not in kept and disk.deleting_since is None:
            yield Delete(Kind.DISK, disk.name, disk.uid, job_id, "no replica needs it")
    for claim in observed.claims:
        needed = not claim.slot or claim.slot in in_use or claim.slot in kept
        if claim.owner.job_id == job_id and not needed and claim.deleting_since is None:
            yield _delete_claim(claim, "no replica needs it")


def _all_of(job_id: str, observed: Observed) -> Iterator[Delete]:
    """The anchor, with which the cluster takes all it owns; what is left when it is gone, one by one."""
    why = "its job is gone"
    anchors = [each for each in observed.anchors if each.job_id == job_id]
    for anchor in anchors:
        if anchor.deleting_since is None:
            yield Delete(Kind.ANCHOR, anchor.name, anchor.uid, job_id, why)
    if anchors:
        return
    for disk in observed.disks:
        if disk.owner.job_id == job_id and disk.deleting_since is None:
            yield Delete(Kind.DISK, disk.name, disk.uid, job_id, why)
    for claim in observed.claims:
        if claim.owner.job_id == job_id and claim.deleting_since is None:
            yield _delete_claim(claim, why)


def _delete_claim(claim: SeenClaim, why: str) -> Delete:
    kind = Kind.DISK if claim.data_volume else Kind.CLAIM
    return Delete(kind, claim.name, claim.uid, claim.owner.job_id, why)


def _by_age(disk: SeenDisk) -> tuple[float, str]:
    return (disk.created_at.timestamp() if disk.created_at else 0.0, disk.name)
