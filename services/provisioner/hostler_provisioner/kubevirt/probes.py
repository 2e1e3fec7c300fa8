"""Asking the servers in the machines whether they serve: one task per machine that runs and has an address."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp

from hostler_kit.clock import Clock
from hostler_provisioner.backend import Step
from hostler_provisioner.local.steps import Answer, Health, next_health


@dataclass(frozen=True, slots=True)
class Target:
    """A server to ask.

    Attributes:
        url: Its health page.
        served: Whether it was known to serve before it was asked for the first time.
    """

    url: str
    served: bool


@dataclass(slots=True)
class _Asked:
    target: Target
    health: Health
    task: asyncio.Task[None] | None = None


class Probes:
    """The tasks, and what they know."""

    def __init__(
        self,
        *,
        changed: Callable[[], None],
        clock: Clock,
        period_seconds: float,
        timeout_seconds: float,
    ) -> None:
        """Make them; `changed` is called whenever a server came to another step."""
        self._changed = changed
        self._clock = clock
        self._period_seconds = period_seconds
        self._timeout_seconds = timeout_seconds
        self._asked: dict[str, _Asked] = {}
        self._session: aiohttp.ClientSession | None = None

    def health(self, replica_id: str) -> Health | None:
        """What is known of a replica's server; None where none is asked."""
        asked = self._asked.get(replica_id)
        return None if asked is None else asked.health

    def aim(self, targets: Mapping[str, Target]) -> None:
        """Ask exactly these from now on, by replica."""
        for replica_id in [each for each in self._asked if each not in targets]:
            self._drop(replica_id)
        for replica_id, target in targets.items():
            asked = self._asked.get(replica_id)
            if asked is None:
                health = Health(Step.UNHEALTHY if target.served else Step.BOOTING)
                asked = self._asked[replica_id] = _Asked(target, health)
            elif asked.target.url != target.url:
                # The machine has got another address: whether it served at the old one says nothing.
                self._drop(replica_id)
                asked = self._asked[replica_id] = _Asked(target, Health(Step.BOOTING))
            if asked.task is None:
                asked.task = asyncio.create_task(self._ask_on(asked), name=f"probe-{replica_id}")

    async def ask_all(self) -> None:
        """Ask every server once, now."""
        await asyncio.gather(*(self._ask(asked) for asked in tuple(self._asked.values())))

    async def close(self) -> None:
        """Ask nobody any more."""
        for replica_id in tuple(self._asked):
            self._drop(replica_id)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _drop(self, replica_id: str) -> None:
        asked = self._asked.pop(replica_id)
        if asked.task is not None:
            asked.task.cancel()

    async def _ask_on(self, asked: _Asked) -> None:
        while True:
            await self._ask(asked)
            # One that serves and missed an answer is asked again soon, so that one that is gone is left out soon.
            missed = asked.health.misses > 0
            await self._clock.sleep(self._period_seconds / 2 if missed else self._period_seconds)

    async def _ask(self, asked: _Asked) -> None:
        answer = await self._answer(asked.target.url)
        before = asked.health.step
        asked.health = next_health(asked.health, alive=True, answer=answer)
        if asked.health.step is not before:
            self._changed()

    async def _answer(self, url: str) -> Answer:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        timeout = aiohttp.ClientTimeout(total=self._timeout_seconds)
        try:
            async with self._session.get(url, timeout=timeout, allow_redirects=False) as response:
                return Answer.OK if response.status == 200 else Answer.NOT_READY
        except (aiohttp.ClientError, OSError, TimeoutError):
            return Answer.NONE
