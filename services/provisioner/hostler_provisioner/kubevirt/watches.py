"""Keeping caches up to date: list, then watch on from the list, and list again when the server has forgotten where we were.

The backend runs one of these per kind. A watch that ends in order goes on from its last event or bookmark. `410 Gone`, be it the
status or an event in the stream, means a new list and never "the last version seen". Every so often there is a new list anyway,
which repairs what no watch has told.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import aclosing

from hostler_domain.errors import TemporaryError
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_provisioner.kubevirt.backoff import backoff_seconds
from hostler_provisioner.kubevirt.cache import Cache
from hostler_provisioner.kubevirt.client import Client
from hostler_provisioner.kubevirt.errors import Expired
from hostler_provisioner.kubevirt.resources import Resource


class Watches:
    """Caches of several kinds, and the tasks that feed them.

    Attributes:
        caches: By kind.
    """

    def __init__(
        self,
        client: Client,
        resources: tuple[Resource, ...],
        *,
        selector: str,
        changed: Callable[[], None],
        clock: Clock,
        rng: random.Random,
        logger: Logger,
        watch_seconds: int,
        relist_seconds: float,
    ) -> None:
        """Make them; `changed` is called whenever an object changed."""
        self.caches: Mapping[Resource, Cache] = {resource: Cache() for resource in resources}
        self._client = client
        self._selector = selector
        self._changed = changed
        self._clock = clock
        self._rng = rng
        self._logger = logger
        self._watch_seconds = watch_seconds
        self._relist_seconds = relist_seconds
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every kind was listed once."""
        return all(cache.listed for cache in self.caches.values())

    async def open(self) -> None:
        """List every kind, then follow.

        Raises:
            TemporaryError: the cluster does not answer.
        """
        await asyncio.gather(*(self._list(resource) for resource in self.caches))
        self._tasks = tuple(
            asyncio.create_task(self._follow(resource), name=f"watch-{resource.plural}")
            for resource in self.caches
        )

    async def close(self) -> None:
        """Stop following."""
        tasks, self._tasks = self._tasks, ()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _list(self, resource: Resource) -> None:
        found, version = await self._client.listed(resource, selector=self._selector)
        if self.caches[resource].replace(found, version):
            self._changed()

    async def _follow(self, resource: Resource) -> None:
        cache = self.caches[resource]
        failures = 0
        listed_at = self._clock.monotonic()
        while True:
            try:
                if not cache.version or self._clock.monotonic() - listed_at > self._relist_seconds:
                    await self._list(resource)
                    listed_at = self._clock.monotonic()
                await self._watch(resource, cache)
                failures = 0
            except Expired as error:
                self._logger.info("watch.expired", kind=resource.plural, reason=str(error))
                cache.expired()
                # A server that calls its own list too old would otherwise be asked without a pause.
                failures += 1
                await self._pause(failures - 1)
            except TemporaryError as error:
                failures += 1
                self._logger.warning("watch.retry", kind=resource.plural, reason=str(error))
                await self._pause(failures, error.delay_seconds if failures == 1 else 0.0)
            except Exception:  # the outermost loop: an answer that nobody foresaw must not end the watching
                failures += 1
                self._logger.exception("watch.failed", kind=resource.plural)
                cache.expired()
                await self._pause(failures)

    async def _watch(self, resource: Resource, cache: Cache) -> None:
        stream = self._client.watch(
            resource, selector=self._selector, version=cache.version, seconds=self._watch_seconds
        )
        async with aclosing(stream) as events:
            async for event in events:
                if cache.take(event):
                    self._changed()

    async def _pause(self, failures: int, floor_seconds: float = 0.0) -> None:
        await self._clock.sleep(max(backoff_seconds(failures, self._rng), floor_seconds))
