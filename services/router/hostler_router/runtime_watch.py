"""Asks the runtimes of ready replicas for their own figures, so that load windows can tell of them.

Only routers may reach replicas, so it is done here. Every replica is asked by one router, or worker of one, of all that are alive:
each works out by itself which, from their names. What is not answered in time, is too large or says nothing is left out, and
whoever said nothing is asked again later only.
"""

import asyncio
import http.client
import socket
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from hashlib import blake2b
from typing import Final
from urllib.parse import urlsplit

from hostler_contracts.load import RuntimeLoad
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_router.replica_keys import KeyUnavailable, ReplicaKeys
from hostler_router.runtime_metrics import read_runtime
from hostler_router.table import Endpoint

_PATHS: Final = ("/metrics", "/v1/metrics")
"""Where runtimes show their figures; the second is NIM's."""
_BYTES_MAX: Final = 2 * 2**20
_AT_ONCE: Final = 8
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
        self._timeout_seconds = timeout_seconds
        # Plain blocking calls beside the loop: what is asked a few times a minute is not worth a client library's memory.
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="runtimes")
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._clock = clock
        self._logger = logger
        self._rests_until: dict[str, float] = {}

    async def run(self) -> None:
        """Ask each period, until cancelled."""
        while True:
            await self._clock.sleep(self._period_seconds)
            await self.ask_all()

    async def ask_all(self) -> None:
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
        answers = await asyncio.gather(*(self._ask(each) for each in due))
        figures: dict[str, RuntimeLoad] = {}
        for endpoint, answer in zip(due, answers, strict=True):
            if answer is None:
                self._rests_until[endpoint.replica_id] = now + _REST_SECONDS
            else:
                figures[endpoint.replica_id] = answer
        self.figures = figures

    async def _ask(self, endpoint: Endpoint) -> RuntimeLoad | None:
        try:
            await self._keys.fetch(endpoint)
            key = self._keys.known(endpoint)
            headers = {} if key is None else {"authorization": f"Bearer {key}"}
            async with self._turns:
                body = await self._get(endpoint.url, headers)
        except (http.client.HTTPException, OSError, TimeoutError, ValueError, KeyUnavailable) as error:
            self._logger.debug("runtime.not_asked", replica=endpoint.replica_id, reason=type(error).__name__)
            return None
        return None if body is None else read_runtime(body.decode("utf-8", "replace"))

    async def _get(self, url: str, headers: Mapping[str, str]) -> bytes | None:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        # At the root of the server, whatever path its routes lie beneath.
        connection = kind(parts.hostname or "", parts.port, timeout=self._timeout_seconds)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await loop.run_in_executor(self._threads, _get, connection, headers)
        except (TimeoutError, asyncio.CancelledError):
            # Its thread waits for one byte after the other otherwise, for as long as they come.
            if connection.sock is not None:
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
            raise


def _get(connection: http.client.HTTPConnection, headers: Mapping[str, str]) -> bytes | None:
    """What a server shows, in a thread of its own; None where that is nothing, or too large. The connection is closed then."""
    with closing(connection):
        for path in _PATHS:
            connection.request("GET", path, headers=dict(headers))
            response = connection.getresponse()
            body = response.read(_BYTES_MAX + 1)
            if response.status == 200:
                return body if len(body) <= _BYTES_MAX else None
            if response.status != 404 or len(body) > _BYTES_MAX:
                return None
        return None


def _draw(name: str, replica_id: str) -> bytes:
    return blake2b(f"{name}/{replica_id}".encode(), digest_size=8).digest()
