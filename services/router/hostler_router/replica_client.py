"""The replicas' side of HTTP: one pooled client, whose failures come out as two kinds.

The relay is the only caller. `ReplicaUnreachable` means that the replica never had the request; `ReplicaBroken` that it may
have had it. Leaving `open` before the answer is read closes the connection, which is how a runtime learns to stop.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from io import BytesIO
from types import SimpleNamespace
from typing import Final

import aiohttp

from hostler_domain.errors import HostlerError
from hostler_router.forms import FormBody
from hostler_router.table import Endpoint

_STALE_CONNECTIONS_MAX: Final = 8
_SETTLE_SECONDS: Final = 0.2
_LARGE_BODY_BYTES: Final = 512 * 1024


class ReplicaUnreachable(HostlerError):
    """No connection could be made."""


class ReplicaBroken(HostlerError):
    """The connection broke, or what came over it was no HTTP."""


class ReplicaStalled(ReplicaBroken):
    """Nothing came for too long in the middle of an answer."""


class Answer:
    """A replica's answer, head read, body still to come."""

    def __init__(self, response: aiohttp.ClientResponse, stall_timeout_seconds: float) -> None:
        self._response = response
        self._stall_timeout_seconds = stall_timeout_seconds
        self.status = response.status
        self.content_type = response.headers.get("content-type", "application/octet-stream")

    @property
    def is_events(self) -> bool:
        """Whether the body is a stream of events."""
        return self.status == 200 and self.content_type.lower().startswith("text/event-stream")

    @property
    def is_json(self) -> bool:
        """Whether the body should be JSON."""
        return self.content_type.lower().startswith("application/json")

    @property
    def retry_after(self) -> str | None:
        """What the replica said about trying again."""
        return self._response.headers.get("retry-after")

    @property
    def audio_seconds(self) -> str:
        """Length of the audio that was listened to, where the replica says it."""
        return self._response.headers.get("x-audio-seconds", "")

    async def next_bytes(self, *, patient: bool = False) -> bytes:
        """What has come since the last call, waiting for it if need be; empty at the end.

        Args:
            patient: Wait for as long as it takes.

        Raises:
            ReplicaStalled: nothing came in time.
            ReplicaBroken: the connection broke before the end.
        """
        try:
            async with asyncio.timeout(None if patient else self._stall_timeout_seconds):
                return await self._response.content.readany()
        except aiohttp.ClientError as error:
            raise ReplicaBroken(str(error)) from error
        except TimeoutError:
            raise ReplicaStalled(f"no byte for {self._stall_timeout_seconds:g} seconds") from None

    async def settle(self) -> None:
        """After the last event: take in the end of the body, so that the connection can be used again."""
        with suppress(ReplicaBroken, TimeoutError):
            async with asyncio.timeout(_SETTLE_SECONDS):
                await self.next_bytes(patient=True)


class ReplicaClient:
    """Connections to all replicas."""

    def __init__(
        self,
        *,
        key_of: Callable[[Endpoint], Awaitable[str | None]],
        connect_timeout_seconds: float,
        stall_timeout_seconds: float,
        keep_alive_seconds: float,
    ) -> None:
        """Make a client; must be called within the event loop.

        Args:
            key_of: The key that a replica asks for; None where it asks for none.
            connect_timeout_seconds: For making a connection.
            stall_timeout_seconds: Longest silence in the middle of an answer.
            keep_alive_seconds: How long an unused connection is kept.
        """
        self._key_of = key_of
        self._stall_timeout_seconds = stall_timeout_seconds
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_note_reuse)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=keep_alive_seconds),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
            headers={"user-agent": "hostler-router", "accept-encoding": "identity"},
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    @asynccontextmanager
    async def open(
        self, endpoint: Endpoint, path: str, body: bytes | FormBody, headers: Mapping[str, str]
    ) -> AsyncIterator[Answer]:
        """Send a request and give its answer once the head is there.

        Raises:
            ReplicaUnreachable: the replica never had the request.
            ReplicaBroken: it may have had it.
        """
        response = await self._post(endpoint, path, body, headers)
        try:
            yield Answer(response, self._stall_timeout_seconds)
        finally:
            if response.content.at_eof():
                response.release()
            else:
                response.close()

    async def _post(
        self, endpoint: Endpoint, path: str, body: bytes | FormBody, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        key = await self._key_of(endpoint)
        own = {**headers} if key is None else {**headers, "authorization": f"Bearer {key}"}
        if isinstance(body, FormBody):
            own["content-length"] = str(body.length)
        last: Exception | None = None
        for _ in range(_STALE_CONNECTIONS_MAX):
            connection = SimpleNamespace(reused=False)
            try:
                return await self._session.post(
                    endpoint.url.rstrip("/") + path,
                    data=_payload(body),
                    headers=own,
                    allow_redirects=False,
                    trace_request_ctx=connection,
                )
            except (
                aiohttp.ClientConnectorError,
                aiohttp.ConnectionTimeoutError,
                aiohttp.InvalidURL,
            ) as error:
                raise ReplicaUnreachable(str(error)) from error
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if not connection.reused:
                    raise ReplicaBroken(str(error)) from error
                # A kept connection that the replica had closed meanwhile says nothing about the replica: again, on another.
                last = error
            except aiohttp.ClientError as error:
                raise ReplicaBroken(str(error)) from error
        raise ReplicaBroken(str(last)) from last


def _payload(body: bytes | FormBody) -> bytes | BytesIO | AsyncIterator[bytes]:
    """The body in the form that the client sends best: a large one in pieces, so that nobody else waits for it."""
    if isinstance(body, FormBody):
        return _pieces(body)
    return body if len(body) < _LARGE_BODY_BYTES else BytesIO(body)


async def _pieces(body: FormBody) -> AsyncIterator[bytes]:
    for piece in body.pieces():
        yield piece


async def _note_reuse(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceConnectionReuseconnParams
) -> None:
    context.trace_request_ctx.reused = True
