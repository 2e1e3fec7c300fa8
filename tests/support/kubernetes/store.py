"""The state of the fake cluster: objects, one revision counter, and a bounded history that watches replay.

Everything here happens in one thread without waiting, so each write is atomic. Stored objects are never changed in place.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.support.kubernetes.catalog import Resource
from tests.support.kubernetes.fields import Managers, rendered
from tests.support.kubernetes.journal import Journal, written_of
from tests.support.kubernetes.refusals import already_exists, not_found

Body = dict[str, Any]
Key = tuple[str, str, str, str]
"""Group, plural, namespace, name."""


@dataclass(frozen=True, slots=True)
class Stored:
    resource: Resource
    body: Body
    managers: Managers = field(default_factory=dict)

    @property
    def uid(self) -> str:
        uid: str = self.body["metadata"]["uid"]
        return uid


@dataclass(frozen=True, slots=True)
class Change:
    """One write, as watches see it."""

    revision: int
    kind: str
    """`ADDED`, `MODIFIED` or `DELETED`."""
    resource: Resource
    namespace: str
    before: Body | None
    after: Body


def timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    def __init__(self, journal: Journal, history_max: int) -> None:
        self.journal = journal
        self.revision = 1
        self.history: list[Change] = []
        self.floor = 1
        """Revisions up to this one can't be watched from any more, but for the floor itself."""
        self._history_max = history_max
        self._objects: dict[Key, Stored] = {}
        self._by_uid: dict[str, Key] = {}
        self._changed = asyncio.Event()
        self._listeners: list[Callable[[Change], None]] = []

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call this after each change; what it writes is written after the present write is complete."""
        self._listeners.append(listener)

    def find(self, resource: Resource, namespace: str, name: str) -> Stored | None:
        return self._objects.get((*resource.store_key, namespace, name))

    def get(self, resource: Resource, namespace: str, name: str) -> Stored:
        stored = self.find(resource, namespace, name)
        if stored is None:
            raise not_found(resource, name)
        return stored

    def with_uid(self, uid: str) -> Stored | None:
        key = self._by_uid.get(uid)
        return self._objects[key] if key else None

    def all(self) -> Iterator[Stored]:
        yield from list(self._objects.values())

    def each(self, resource: Resource, namespace: str = "") -> list[Stored]:
        """Objects of one kind in the order of their names."""
        found = [
            (key, stored)
            for key, stored in self._objects.items()
            if key[:2] == resource.store_key and (not namespace or key[2] == namespace)
        ]
        return [stored for _, stored in sorted(found, key=lambda each: each[0])]

    def add(self, resource: Resource, body: Body, managers: Managers) -> Body:
        metadata = body["metadata"]
        key = (*resource.store_key, metadata.get("namespace", ""), metadata["name"])
        if key in self._objects:
            raise already_exists(resource, metadata["name"])
        metadata = {**metadata, "uid": str(uuid.uuid4()), "creationTimestamp": timestamp()}
        if resource.counts_generations:
            metadata["generation"] = 1
        return self._commit("ADDED", resource, key, None, {**body, "metadata": metadata}, managers)

    def replace(self, stored: Stored, body: Body, managers: Managers | None = None) -> Body:
        """Put a changed object in the place of one; an equal one leaves everything as it is."""
        managers = stored.managers if managers is None else managers
        if body == stored.body and managers == stored.managers:
            return stored.body
        metadata = stored.body["metadata"]
        key = (*stored.resource.store_key, metadata.get("namespace", ""), metadata["name"])
        return self._commit("MODIFIED", stored.resource, key, stored.body, body, managers)

    def remove(self, stored: Stored) -> Body:
        metadata = stored.body["metadata"]
        key = (*stored.resource.store_key, metadata.get("namespace", ""), metadata["name"])
        return self._commit("DELETED", stored.resource, key, stored.body, stored.body, None)

    def _commit(
        self,
        kind: str,
        resource: Resource,
        key: Key,
        before: Body | None,
        body: Body,
        managers: Managers | None,
    ) -> Body:
        self.revision += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.revision)}
        if managers is not None:
            metadata["managedFields"] = rendered(managers, resource.api_version, timestamp())
        after = {**body, "metadata": metadata}
        if managers is None:
            del self._objects[key]
            del self._by_uid[metadata["uid"]]
        else:
            self._objects[key] = Stored(resource, after, managers)
            self._by_uid[metadata["uid"]] = key
        what = {"ADDED": "created", "MODIFIED": "updated", "DELETED": "deleted"}[kind]
        self.journal.add(written_of(self.revision, what, resource.full_name, after))
        change = Change(self.revision, kind, resource, key[2], before, after)
        self.history.append(change)
        if len(self.history) > self._history_max:
            self.forget(self.history[len(self.history) - self._history_max].revision - 1)
        self.wake()
        for listener in self._listeners:
            listener(change)
        return after

    def wake(self) -> None:
        """Let those who wait for a change look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    def forget(self, revision: int) -> None:
        """Compact: what happened up to this revision can't be replayed any more."""
        self.history = [each for each in self.history if each.revision > revision]
        self.floor = max(self.floor, revision)

    def since(self, revision: int) -> list[Change]:
        """What happened after a revision that is not below the floor."""
        if not self.history:
            return []
        # Revisions rise by one, so the place of each in the history is known.
        return self.history[max(revision + 1 - self.history[0].revision, 0) :]

    async def changed(self) -> None:
        """Wait for the next change."""
        await self._changed.wait()
