"""Watches: the events of one kind from a revision on, as lines of JSON."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from typing import Any

from tests.support.kubernetes.catalog import Resource
from tests.support.kubernetes.listing import revision_in
from tests.support.kubernetes.refusals import expired, invalid
from tests.support.kubernetes.selectors import Matcher, matcher
from tests.support.kubernetes.store import Body, Change, Store

Event = dict[str, Any]
_TIMEOUT_SECONDS = 1800.0


def _true(params: Mapping[str, str], name: str) -> bool:
    return params.get(name, "").lower() in ("true", "1")


class Watch:
    """One watch, checked when it is made; then iterate over its events."""

    def __init__(
        self,
        store: Store,
        resource: Resource,
        namespace: str,
        params: Mapping[str, str],
        *,
        bookmark_seconds: float,
        gone_as_status: bool,
    ) -> None:
        self._store = store
        self._resource = resource
        self._namespace = namespace
        self._meant: Matcher = matcher(
            resource, params.get("labelSelector", ""), params.get("fieldSelector", "")
        )
        self._bookmarks = _true(params, "allowWatchBookmarks")
        self._bookmark_seconds = bookmark_seconds
        self._timeout_seconds = float(params.get("timeoutSeconds") or _TIMEOUT_SECONDS)
        self._initial = _true(params, "sendInitialEvents")
        self._asked = revision_in(params)
        self._over = False
        if self._initial and params.get("resourceVersionMatch") != "NotOlderThan":
            raise invalid(
                resource,
                "",
                [
                    (
                        "resourceVersionMatch",
                        "FieldValueForbidden",
                        "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                    )
                ],
            )
        if gone_as_status and self._too_old(self._asked):
            raise self._gone()

    def end(self) -> None:
        """Let the stream end before its time; whoever waits for news must be woken."""
        self._over = True

    def _too_old(self, revision: int) -> bool:
        return 0 < revision < self._store.floor and not self._initial

    def _gone(self) -> Exception:
        return expired(f"too old resource version: {self._asked} ({self._store.floor})")

    async def events(self) -> AsyncIterator[Event]:
        position = self._asked
        if self._initial or not position:
            position = self._store.revision
            for event in self._present(position):
                yield event
        ends = time.monotonic() + self._timeout_seconds
        bookmark_at = time.monotonic() + self._bookmark_seconds
        while time.monotonic() < ends and not self._over:
            if self._store.floor > position and self._store.revision > position:
                yield gone_event(f"too old resource version: {position} ({self._store.floor})")
                return
            for change in self._store.since(position):
                position = max(position, change.revision)
                if event := self._event(change):
                    yield event
            if self._bookmarks and time.monotonic() >= bookmark_at:
                bookmark_at = time.monotonic() + self._bookmark_seconds
                yield self._bookmark(position)
            await self._news(position, min(ends, bookmark_at) if self._bookmarks else ends)
        if self._bookmarks:
            yield self._bookmark(position)

    def _present(self, revision: int) -> Iterator[Event]:
        for stored in self._store.each(self._resource, self._namespace):
            if self._meant(stored.body):
                yield {"type": "ADDED", "object": stored.body}
        if self._initial:
            yield self._bookmark(revision, initial_end=True)

    async def _news(self, position: int, until: float) -> None:
        """Wait for a change, unless one came while the events before it were sent."""
        if self._store.revision > position:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(until - time.monotonic(), 0)):
                await self._store.changed()

    def _event(self, change: Change) -> Event | None:
        """The event as this watcher sees it: what leaves its selection is deleted for it, what enters it is added."""
        if change.resource.store_key != self._resource.store_key:
            return None
        if self._namespace and change.namespace != self._namespace:
            return None
        was = change.before is not None and self._meant(change.before)
        is_now = change.kind != "DELETED" and self._meant(change.after)
        if is_now:
            return {"type": "MODIFIED" if was else "ADDED", "object": change.after}
        return {"type": "DELETED", "object": change.after} if was else None

    def _bookmark(self, revision: int, *, initial_end: bool = False) -> Event:
        metadata: Body = {"resourceVersion": str(revision)}
        if initial_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        return {
            "type": "BOOKMARK",
            "object": {
                "apiVersion": self._resource.api_version,
                "kind": self._resource.kind,
                "metadata": metadata,
            },
        }


def gone_event(message: str) -> Event:
    """A 410 inside a stream whose own status was 200."""
    return {"type": "ERROR", "object": expired(message).body()}
