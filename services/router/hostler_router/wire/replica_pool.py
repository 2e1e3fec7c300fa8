"""Connections to all replicas: kept open between requests, the one used last first, so that the others can go.

Called by every attempt. Making a connection is the only thing here that takes a task.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from hostler_router.wire.addresses import Address, BadAddress, read_address
from hostler_router.wire.outbox import Outbox
from hostler_router.wire.replica_connection import ReplicaConnection

_ADDRESSES_MAX: Final = 10_000

OnConnection = Callable[[ReplicaConnection | None], None]
"""Told of the connection, or of None where none could be made."""


class ReplicaPool:
    """The pool."""

    def __init__(
        self,
        *,
        connect_timeout_seconds: float,
        keep_alive_seconds: float,
        idle_max: int,
        now: Callable[[], float],
        outbox: Outbox,
        on_open: Callable[[], None],
        on_close: Callable[[], None],
    ) -> None:
        """Make an empty pool.

        Args:
            connect_timeout_seconds: For making a connection.
            keep_alive_seconds: How long an unused connection is kept.
            idle_max: How many unused ones are kept for each replica.
            now: Monotonic seconds.
            outbox: Takes what is written to the connections.
            on_open: Told of every connection that was made.
            on_close: Told of every one that ended.
        """
        self._connect_timeout_seconds = connect_timeout_seconds
        self._keep_alive_seconds = keep_alive_seconds
        self._idle_max = idle_max
        self._now = now
        self.outbox = outbox
        self._on_open, self._on_close = on_open, on_close
        self._idle: dict[str, list[ReplicaConnection]] = {}
        self._addresses: dict[str, Address] = {}
        self._open: set[ReplicaConnection] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def size(self) -> int:
        """Open connections."""
        return len(self._open)

    def address(self, url: str) -> Address:
        """The server that `url` names.

        Raises:
            BadAddress: it names none.
        """
        known = self._addresses.get(url)
        if known is None:
            if len(self._addresses) >= _ADDRESSES_MAX:
                self._addresses.clear()
            known = self._addresses[url] = read_address(url)
        return known

    def take(self, url: str) -> ReplicaConnection | None:
        """A free connection; None when there is none."""
        idle = self._idle.get(url)
        if idle:
            oldest = self._now() - self._keep_alive_seconds
            while idle:
                connection = idle.pop()
                if connection.idle_since >= oldest and connection.usable:
                    return connection
                connection.close()
        return None

    def connect(self, url: str, then: OnConnection) -> Callable[[], None]:
        """Make a connection; gives what calls it off."""
        task = asyncio.create_task(self._connect(url, then))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

        def call_off() -> None:
            task.cancel()

        return call_off

    def put_back(self, connection: ReplicaConnection) -> None:
        """It is free."""
        idle = self._idle.get(connection.url)
        if idle is None:
            idle = self._idle[connection.url] = []
        if self._closed or len(idle) >= self._idle_max:
            connection.close()
            return
        connection.idle_since = self._now()
        idle.append(connection)

    def forget(self, connection: ReplicaConnection) -> None:
        """It is gone."""
        if connection in self._open:
            self._open.discard(connection)
            self._on_close()

    def sweep(self) -> None:
        """Close what was not used for too long; to be called every second or so."""
        oldest = self._now() - self._keep_alive_seconds
        for url, idle in tuple(self._idle.items()):
            stale = [each for each in idle if each.idle_since < oldest or not each.usable]
            if stale:
                idle[:] = [each for each in idle if each.idle_since >= oldest and each.usable]
                for connection in stale:
                    connection.close()
            if not idle:
                del self._idle[url]

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        for task in tuple(self._connecting):
            task.cancel()
        for connection in tuple(self._open):
            connection.close()
        await asyncio.sleep(0)

    async def _connect(self, url: str, then: OnConnection) -> None:
        made: ReplicaConnection | None = None
        try:
            address = self.address(url)
            async with asyncio.timeout(self._connect_timeout_seconds):
                _, made = await asyncio.get_running_loop().create_connection(
                    lambda: ReplicaConnection(url, self), address.host, address.port, ssl=address.tls
                )
        except (OSError, TimeoutError, BadAddress):  # a TLS error is an OSError
            pass
        except Exception:
            then(None)  # nobody may wait for ever, whatever went wrong
            raise
        else:
            self._open.add(made)
            self._on_open()
        then(made)
