"""Carrying out what `reconcile.py` decided: the writes to the cluster, in an order that a crash at any point leaves readable.

Every write may be repeated. What is applied stays the same when it is applied again; a machine and its disks, whose manifests must not
change once they are made, are created, and one that is there already is taken for ours only if its labels say so.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final

from hostler_domain.errors import PermanentError, TemporaryError
from hostler_provisioner.kubevirt.cache import Cache
from hostler_provisioner.kubevirt.client import Client
from hostler_provisioner.kubevirt.documents import replica_metadata
from hostler_provisioner.kubevirt.errors import AlreadyExists, Conflicting
from hostler_provisioner.kubevirt.machine import ClusterSettings, Machine, grace_seconds
from hostler_provisioner.kubevirt.manifests import anchor, job_objects, replica_objects
from hostler_provisioner.kubevirt.names import Owner, job_selector, owner_of
from hostler_provisioner.kubevirt.reading import JsonObject, name_of, text, texts, uid_of
from hostler_provisioner.kubevirt.reconcile import Delete, Kind
from hostler_provisioner.kubevirt.record import Record, record_data, record_name
from hostler_provisioner.kubevirt.resources import (
    CLAIMS,
    CONFIG_MAPS,
    DATA_VOLUMES,
    MACHINES,
    OF_A_JOB,
    SECRETS,
    Resource,
    resource_of,
)

_RESOURCE_OF: Final[Mapping[Kind, Resource]] = {
    Kind.VM: MACHINES,
    Kind.DISK: DATA_VOLUMES,
    Kind.CLAIM: CLAIMS,
    Kind.RECORD: CONFIG_MAPS,
    Kind.ANCHOR: CONFIG_MAPS,
}
_CREATED: Final = (MACHINES, DATA_VOLUMES)


class Objects:
    """Writes objects, and tells the caches what was written."""

    def __init__(
        self,
        client: Client,
        caches: Mapping[Resource, Cache],
        settings: ClusterSettings,
        *,
        may_write: Callable[[], bool],
    ) -> None:
        """Make the hands of a backend.

        Args:
            client: To write with.
            caches: What is told of the writes.
            settings: The cluster.
            may_write: Asked before every write; a provisioner that lost its lease in the middle of a start stops there.
        """
        self._client = client
        self._caches = caches
        self._settings = settings
        self._may_write = may_write
        # Two replicas of a job would otherwise apply its anchor at once, and one of them would lose.
        self._of_job: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def begin(self, machine: Machine, slot: str, *, wanted: Callable[[], bool]) -> None:
        """Make everything of a replica that is not there yet, its machine at the end; stop where it is not `wanted` any more.

        Raises:
            PermanentError: the cluster refuses a manifest, or a name is a stranger's.
            TemporaryError: not now.
        """
        async with self._of_job[machine.job_id]:
            owner = await self._apply(CONFIG_MAPS, anchor(self._settings, machine.project, machine.job_id))
            if text(owner, "metadata", "deletionTimestamp"):
                raise TemporaryError("what its job had before is still being taken away")
            record = self._record(machine, slot, uid_of(owner))
            await self._apply(CONFIG_MAPS, record)
            for manifest in job_objects(
                self._settings, machine.project, machine.job_id, machine.guest.port, uid_of(owner)
            ):
                await self._apply(_resource(manifest), manifest)
        for manifest in replica_objects(self._settings, machine, uid_of(owner)):
            if not wanted():
                return
            resource = _resource(manifest)
            if resource in _CREATED:
                await self._create(resource, manifest)
            else:
                await self._apply(resource, manifest)

    async def delete(self, action: Delete, *, secret: str | None) -> None:
        """Begin to delete an object; before a record goes, the Secret that it names."""
        if action.kind is Kind.RECORD:
            await self._delete_secret(action, secret)
        self._check()
        try:
            await self._client.delete(
                _RESOURCE_OF[action.kind], action.name, action.uid, foreground=action.kind is Kind.ANCHOR
            )
        except Conflicting:
            # Another object has the name by now; the one that was meant is gone.
            return

    async def machine_is_gone(self, name: str) -> bool:
        """Whether the cluster itself says so, now, whatever the cache knows; a stranger of the name is none of ours."""
        found = await self._client.get(MACHINES, name)
        if found is None or _owner(found) is None:
            return True
        self._caches[MACHINES].written(found)
        return False

    async def left_of(self, job_id: str) -> tuple[str, ...]:
        """Names of what is left of a job, by a look at every kind."""
        selector = job_selector(self._settings.cluster, job_id)
        lists = await asyncio.gather(*(self._client.listed(each, selector=selector) for each in OF_A_JOB))
        return tuple(
            f"{resource.kind} {name_of(each)}"
            for resource, (found, _) in zip(OF_A_JOB, lists, strict=True)
            for each in found
        )

    async def _delete_secret(self, action: Delete, secret: str | None) -> None:
        """The Secret of a replica: it can't be found by its labels, but it must have them."""
        found = await self._client.get(SECRETS, secret) if secret else None
        owner = None if found is None else _owner(found)
        if found is None or owner is None or owner.job_id != action.job_id:
            return
        self._check()
        try:
            await self._client.delete(SECRETS, name_of(found), uid_of(found))
        except Conflicting as error:
            raise TemporaryError(f"its Secret is another than was looked at: {error}") from error

    async def _apply(self, resource: Resource, manifest: JsonObject) -> JsonObject:
        self._check()
        found = await self._client.apply(resource, manifest)
        self._written(resource, found)
        return found

    async def _create(self, resource: Resource, manifest: JsonObject) -> None:
        """Make it, or see that the one of its name is ours.

        The answer may have been lost on the way the last time, so that "it exists already" is the ordinary answer to a second try.
        """
        name = name_of(manifest)
        if resource is DATA_VOLUMES and name in self._caches[resource].objects:
            return
        self._check()
        try:
            found: JsonObject | None = await self._client.create(resource, manifest)
        except AlreadyExists:
            found = await self._client.get(resource, name)
            if found is None:
                raise TemporaryError(f"{resource.kind} {name} went while it was looked at") from None
            if not _same(_owner(found), _owner(manifest), resource):
                raise PermanentError(f"{resource.kind} {name} is there and is not ours") from None
            if text(found, "metadata", "deletionTimestamp"):
                self._written(resource, found)
                raise TemporaryError(f"{resource.kind} {name} of before is not gone yet") from None
        if found is not None:
            self._written(resource, found)

    def _record(self, machine: Machine, slot: str, anchor_uid: str) -> JsonObject:
        name = record_name(machine.job_id, machine.replica_id, machine.generation)
        health = machine.guest.health
        record = Record(
            slot=slot,
            port=machine.guest.port,
            health_path=health.path if health else "",
            secret=machine.name,
            grace_seconds=grace_seconds(machine, self._settings),
        )
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": replica_metadata(self._settings, name, machine, anchor_uid),
            "data": record_data(record),
        }

    def _written(self, resource: Resource, found: JsonObject) -> None:
        cache = self._caches.get(resource)
        if cache is not None:
            cache.written(found)

    def _check(self) -> None:
        if not self._may_write():
            raise TemporaryError("another provisioner acts for this cluster now")


def _resource(manifest: JsonObject) -> Resource:
    return resource_of(text(manifest, "apiVersion"), text(manifest, "kind"))


def _owner(found: JsonObject) -> Owner | None:
    return owner_of(texts(found, "metadata", "labels"))


def _same(there: Owner | None, ours: Owner | None, resource: Resource) -> bool:
    """Whether an object that was found is the one that was to be made. A disk may have been made for another replica of the job."""
    if there is None or ours is None or (there.cluster, there.job_id) != (ours.cluster, ours.job_id):
        return False
    return resource is DATA_VOLUMES or there == ours
