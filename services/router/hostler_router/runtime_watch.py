"""Asks the runtimes of ready replicas for their own figures, so that load windows can tell of them.

Only routers may reach replicas, so it is done here. Every replica is asked by one router, or worker of one, of all that are alive:
each works out by itself which, from their names. What is not answered in time, is too large or says nothing is left out, and
whoever said nothing is asked again later only.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from hashlib import blake2b
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from hostler_contracts.load import RuntimeLoad
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_router.replica_keys import KeyUnavailable, ReplicaKeys
from hostler_router.runtime_metrics import read_runtime
from hostler_router.table import Endpoint

_BYTES_MAX: Final = 2 * 2**20
_AT_ONCE: Final = 16
_REST_SECONDS: Final = 120.0
"""Until a server is asked again that has no such figures, or did not answer."""


def asks(name: str, routers: Collection[str], replica_id: str) -> bool:
    """Whether the router of this name is the one that asks the replica.

    Each router draws a number for each replica and the largest draw asks, so that one that comes or goes moves no more than its share.
    """
    return max({*routers, name}, key=lambda each: (_draw(each, replica_id), each)) == name


class RuntimeWatch:
    """The figures of the replicas that this router asks.

    Attributes:
        figures: What they said last, by replica.
    """

    def __init__(
        self,
        endpoints: Callable[[], Iterable[Endpoint]],
        keys: ReplicaKeys,
        *,
        name: str,
        routers: Callable[[], Collection[str]],
        period_seconds: float,
        timeout_seconds: float,
        clock: Clock,
        logger: Logger,
    ) -> None:
        """Make one that has asked nobody yet.

        Args:
            endpoints: The ready replicas.
            keys: What they ask for.
            name: Of this router.
            routers: Names of those that are alive.
            period_seconds: How often to ask.
            timeout_seconds: For one answer.
            clock: The time.
            logger: For what goes wrong.
        """
        self.figures: Mapping[str, RuntimeLoad] = {}
        self._endpoints = endpoints
        self._keys = keys
        self._name = name
        self._routers = routers
        self._period_seconds = period_seconds
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._clock = clock
        self._logger = logger
        self._rests_until: dict[str, float] = {}

    async def run(self) -> None:
        """Ask each period, until cancelled."""
        # Replicas come and go, so connections are not kept; no answer is larger than its bound, packed or not.
        connector = aiohttp.TCPConnector(limit=_AT_ONCE, force_close=True)
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        ) as session:
            while True:
                await self._clock.sleep(self._period_seconds)
                await self.ask_all(session)

    async def ask_all(self, session: aiohttp.ClientSession) -> None:
        """Ask every replica that is this router's to ask."""
        now, routers = self._clock.monotonic(), self._routers()
        mine = [each for each in self._endpoints() if asks(self._name, routers, each.replica_id)]
        known = {each.replica_id for each in mine}
        self._rests_until = {
            replica_id: until
            for replica_id, until in self._rests_until.items()
            if replica_id in known and until > now
        }
        due = [each for each in mine if each.replica_id not in self._rests_until]
        answers = await asyncio.gather(*(self._ask(session, each) for each in due))
        figures: dict[str, RuntimeLoad] = {}
        for endpoint, answer in zip(due, answers, strict=True):
            if answer is None:
                self._rests_until[endpoint.replica_id] = now + _REST_SECONDS
            else:
                figures[endpoint.replica_id] = answer
        self.figures = figures

    async def _ask(self, session: aiohttp.ClientSession, endpoint: Endpoint) -> RuntimeLoad | None:
        try:
            await self._keys.fetch(endpoint)
            key = self._keys.known(endpoint)
            headers = {} if key is None else {"authorization": f"Bearer {key}"}
            async with session.get(
                _metrics_url(endpoint.url), headers=headers, timeout=self._timeout, allow_redirects=False
            ) as response:
                if response.status != 200:
                    return None
                body = await _read(response.content)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyUnavailable) as error:
            self._logger.debug("runtime.not_asked", replica=endpoint.replica_id, reason=type(error).__name__)
            return None
        return None if body is None else read_runtime(body.decode("utf-8", "replace"))


async def _read(content: aiohttp.StreamReader) -> bytes | None:
    """All of a body; None where it is too large."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > _BYTES_MAX:
            return None
    return bytes(body)


def _metrics_url(url: str) -> str:
    """Where the server at `url` shows its figures: at its root, whatever path its routes lie beneath."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, "/metrics", "", ""))


def _draw(name: str, replica_id: str) -> bytes:
    return blake2b(f"{name}/{replica_id}".encode(), digest_size=8).digest()
