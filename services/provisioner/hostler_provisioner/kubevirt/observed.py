"""What the cluster has of ours, as values: virtual machines, their disks, and the records of what was begun. Pure.

`backend.py` reads these from its caches for `reconcile.py`, which decides, and for `steps.py`, which says how far a replica is.
Only objects with our labels get here; one whose labels can't be read is nobody's and left alone.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from hostler_provisioner.kubevirt.names import Owner, owner_of
from hostler_provisioner.kubevirt.reading import (
    JsonObject,
    at,
    items,
    mapping,
    moment,
    name_of,
    text,
    texts,
    uid_of,
)
from hostler_provisioner.kubevirt.record import Record, read_record


class VmPhase(StrEnum):
    """KubeVirt's word for how far a machine is; an empty one is Pending, and one that is not known here Unknown."""

    PENDING = "Pending"
    SCHEDULING = "Scheduling"
    SCHEDULED = "Scheduled"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


_PHASES: Final = {each.value: each for each in VmPhase}


@dataclass(frozen=True, slots=True)
class SeenVm:
    """A virtual machine.

    Attributes:
        name: Its name.
        uid: Tells it from a namesake before or after it.
        owner: Whose it is.
        phase: How far it is.
        created_at: When it was made.
        deleting_since: When its deletion was asked for; None while it is not.
        node: Where it runs, once that is decided.
        ip: Its address, once it has one.
        agent: Whether its guest agent answers.
        ready: Whether its readiness probe succeeds.
        evicting: Whether its node is being emptied and it must go.
        detail: What the cluster says of it, a sentence.
    """

    name: str
    uid: str
    owner: Owner
    phase: VmPhase
    created_at: datetime | None = None
    deleting_since: datetime | None = None
    node: str | None = None
    ip: str | None = None
    agent: bool = False
    ready: bool = False
    evicting: bool = False
    detail: str = ""

    @property
    def replica_id(self) -> str:
        """The replica that it is."""
        return self.owner.replica_id or ""

    @property
    def ended(self) -> bool:
        """Whether it will never run again."""
        return self.phase in (VmPhase.SUCCEEDED, VmPhase.FAILED)


@dataclass(frozen=True, slots=True)
class DiskShape:
    """What a root disk is made of; two disks of one shape can stand in for each other.

    Attributes:
        source: Where its content comes from, as JSON.
        size: As the manifest has it.
        storage_class: Empty for the cluster's own.
    """

    source: str
    size: str
    storage_class: str


@dataclass(frozen=True, slots=True)
class SeenDisk:
    """A root disk: a DataVolume, and the node that its claim is bound to where the storage is local.

    Its slot is the replica that it was first made for, whose name it carries also when another one has taken it over.
    """

    name: str
    uid: str
    owner: Owner
    shape: DiskShape
    phase: str
    created_at: datetime | None = None
    fraction: float | None = None
    deleting_since: datetime | None = None
    node: str | None = None
    detail: str = ""

    @property
    def slot(self) -> str:
        """The replica that it was first made for."""
        return self.owner.replica_id or ""

    @property
    def done(self) -> bool:
        """Whether its content is whole."""
        return self.phase == "Succeeded"


@dataclass(frozen=True, slots=True)
class SeenClaim:
    """A volume of a job or of a slot that is no root disk, such as a model cache; a DataVolume or a claim."""

    name: str
    uid: str
    owner: Owner
    data_volume: bool
    deleting_since: datetime | None = None

    @property
    def slot(self) -> str:
        """The replica that it was first made for; empty for one of the whole job."""
        return self.owner.replica_id or ""


@dataclass(frozen=True, slots=True)
class SeenRecord:
    """That a replica was begun: made before everything else of it, and taken away last."""

    name: str
    uid: str
    owner: Owner
    noted: Record
    created_at: datetime | None = None
    deleting_since: datetime | None = None

    @property
    def replica_id(self) -> str:
        """The replica that was begun."""
        return self.owner.replica_id or ""


@dataclass(frozen=True, slots=True)
class SeenAnchor:
    """The object that owns everything else of a job."""

    name: str
    uid: str
    job_id: str
    deleting_since: datetime | None = None


Seen = SeenVm | SeenDisk | SeenClaim | SeenRecord | SeenAnchor


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything of ours."""

    vms: tuple[SeenVm, ...] = ()
    disks: tuple[SeenDisk, ...] = ()
    claims: tuple[SeenClaim, ...] = ()
    records: tuple[SeenRecord, ...] = ()
    anchors: tuple[SeenAnchor, ...] = ()

    @property
    def all(self) -> tuple[Seen, ...]:
        """All of it."""
        return (*self.vms, *self.disks, *self.claims, *self.records, *self.anchors)

    @property
    def begun(self) -> Mapping[str, str]:
        """The job of every replica that has a machine or a record."""
        jobs = {each.replica_id: each.owner.job_id for each in self.records}
        return jobs | {each.replica_id: each.owner.job_id for each in self.vms}

    @property
    def jobs(self) -> frozenset[str]:
        """Every job of which there is anything."""
        owned = {each.owner.job_id for each in self.disks} | {each.owner.job_id for each in self.claims}
        return frozenset(owned | set(self.begun.values()) | {each.job_id for each in self.anchors})


def observed_from(
    *,
    machines: Iterable[JsonObject],
    data_volumes: Iterable[JsonObject],
    claims: Iterable[JsonObject],
    config_maps: Iterable[JsonObject],
) -> Observed:
    """The values of these objects."""
    volumes = tuple(data_volumes)
    bound = {name_of(each): each for each in claims}
    maps = tuple(config_maps)
    return Observed(
        vms=tuple(_vm(each, owner) for each, owner in _ours(machines) if owner.replica_id),
        disks=tuple(
            _disk(each, owner, bound.get(name_of(each)))
            for each, owner in _ours(volumes)
            if owner.replica_id and not _blank(each)
        ),
        claims=tuple(
            SeenClaim(name_of(each), uid_of(each), owner, data_volume, _deleting(each))
            for found, data_volume in ((volumes, True), (tuple(bound.values()), False))
            for each, owner in _ours(found)
            if (_blank(each) if data_volume else not _made_by_cdi(each))
        ),
        records=tuple(
            record for each, owner in _ours(maps) if owner.replica_id and (record := _record(each, owner))
        ),
        anchors=tuple(
            SeenAnchor(name_of(each), uid_of(each), owner.job_id, _deleting(each))
            for each, owner in _ours(maps)
            if not owner.replica_id
        ),
    )


def shape_of(data_volume: JsonObject) -> DiskShape:
    """What a DataVolume is made of, whether it is a manifest or comes from the cluster."""
    storage = mapping(data_volume, "spec", "storage") or mapping(data_volume, "spec", "pvc")
    return DiskShape(
        source=json.dumps(at(data_volume, "spec", "source"), sort_keys=True),
        size=text(storage, "resources", "requests", "storage"),
        storage_class=text(storage, "storageClassName"),
    )


def _ours(objects: Iterable[JsonObject]) -> list[tuple[JsonObject, Owner]]:
    found = ((each, owner_of(texts(each, "metadata", "labels"))) for each in objects)
    return [(each, owner) for each, owner in found if owner is not None]


def _vm(vm: JsonObject, owner: Owner) -> SeenVm:
    status = mapping(vm, "status")
    phase = text(status, "phase") or VmPhase.PENDING
    conditions = {text(each, "type"): each for each in items(status, "conditions")}
    ips = [ip for each in items(status, "interfaces") if (ip := text(each, "ipAddress"))]
    return SeenVm(
        name=name_of(vm),
        uid=uid_of(vm),
        owner=owner,
        phase=_PHASES.get(phase, VmPhase.UNKNOWN),
        created_at=moment(vm, "metadata", "creationTimestamp"),
        deleting_since=_deleting(vm),
        node=text(status, "nodeName") or None,
        ip=ips[0] if ips else None,
        agent=text(conditions.get("AgentConnected"), "status") == "True",
        ready=text(conditions.get("Ready"), "status") == "True",
        evicting=bool(text(status, "evacuationNodeName"))
        or text(conditions.get("EvictionRequested"), "status") == "True",
        detail=_complaint(status, conditions),
    )


_COMPLAINING: Final = ("Synchronized", "PodScheduled", "DataVolumesReady", "Provisioning", "Ready")


def _complaint(status: JsonObject, conditions: dict[str, JsonObject]) -> str:
    """The first condition that is not met and says why, the more telling ones first."""
    for name in _COMPLAINING:
        condition = conditions.get(name)
        if text(condition, "status") == "False" and (message := text(condition, "message")):
            return message[:300]
    return text(status, "reason")


def _disk(volume: JsonObject, owner: Owner, claim: JsonObject | None) -> SeenDisk:
    status = mapping(volume, "status")
    failing = next(
        (
            text(each, "message")
            for each in items(status, "conditions")
            if text(each, "type") == "Running" and text(each, "reason") in ("Error", "ImagePullFailed")
        ),
        "",
    )
    return SeenDisk(
        name=name_of(volume),
        uid=uid_of(volume),
        owner=owner,
        shape=shape_of(volume),
        phase=text(status, "phase") or "Pending",
        created_at=moment(volume, "metadata", "creationTimestamp"),
        fraction=_fraction(text(status, "progress")),
        deleting_since=_deleting(volume),
        node=texts(claim, "metadata", "annotations").get("volume.kubernetes.io/selected-node"),
        detail=failing[:300],
    )


def _fraction(progress: str) -> float | None:
    """CDI writes `12.50%`, and `N/A` where it can't tell."""
    try:
        return min(max(float(progress.removesuffix("%")) / 100, 0.0), 1.0)
    except ValueError:
        return None


def _blank(volume: JsonObject) -> bool:
    """Whether a DataVolume is made empty: a cache, not a root disk."""
    return at(volume, "spec", "source", "blank") is not None


def _made_by_cdi(claim: JsonObject) -> bool:
    """Whether the claim is CDI's own, for a DataVolume whose labels it copied."""
    return any(text(each, "kind") == "DataVolume" for each in items(claim, "metadata", "ownerReferences"))


def _record(config_map: JsonObject, owner: Owner) -> SeenRecord | None:
    noted = read_record(texts(config_map, "data"))
    if noted is None:
        return None
    return SeenRecord(
        name=name_of(config_map),
        uid=uid_of(config_map),
        owner=owner,
        noted=noted,
        created_at=moment(config_map, "metadata", "creationTimestamp"),
        deleting_since=_deleting(config_map),
    )


def _deleting(found: JsonObject) -> datetime | None:
    return moment(found, "metadata", "deletionTimestamp")
