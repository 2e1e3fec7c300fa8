"""One request to one replica or, when that fails in time, to another, and the answer back to the client.

Called by the inference handler. A retry happens only before the first byte to the client, on a replica not tried yet. What a
client gets is whole: an answer is held back until it is complete, a stream is passed on in whole events and ends with
`[DONE]` or with one error event.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pydantic_core

from hostler_kit.clock import Clock
from hostler_router.answer_stream import AnswerStream
from hostler_router.balance import Rng, pick
from hostler_router.bodies import Asked, as_object, read_audio_seconds, read_usage, with_model
from hostler_router.edge import Reply
from hostler_router.exchange import Exchange, Outcome
from hostler_router.metrics import RouterMetrics
from hostler_router.openai_errors import (
    BROKEN_OFF,
    REPLICA_FAILED,
    REPLICAS_UNREACHABLE,
    STALLED,
    TIMED_OUT,
    ErrorReply,
)
from hostler_router.outstanding import Outstanding
from hostler_router.replica_client import (
    Answer,
    ReplicaBroken,
    ReplicaClient,
    ReplicaStalled,
    ReplicaUnreachable,
)
from hostler_router.table import Endpoint
from hostler_router.upstream_errors import TRY_ELSEWHERE, normalised

_ERROR_BYTES_MAX: Final = 64 * 1024
_PLAIN_ACCEPT: Final = {"application/json": "application/json"}
"""What is asked for by the type of the body; who sends a form may also ask for subtitles."""


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """Bounds of every relay; the settings of the same names say more."""

    answer_bytes_max: int
    event_bytes_max: int
    retries_max: int


class Relay:
    """Relays requests."""

    def __init__(
        self,
        client: ReplicaClient,
        outstanding: Outstanding,
        *,
        limits: RelayLimits,
        rng: Rng,
        clock: Clock,
        metrics: RouterMetrics,
    ) -> None:
        self._client = client
        self._outstanding = outstanding
        self._limits = limits
        self._rng = rng
        self._clock = clock
        self._metrics = metrics

    async def run(
        self,
        asked: Asked,
        candidates: Callable[[], tuple[Endpoint, ...]],
        *,
        timeout_seconds: float,
        exchange: Exchange,
        reply: Reply,
    ) -> None:
        """Bring the request to an end, good or bad; `exchange` says which.

        Args:
            asked: The request.
            candidates: Gives the job's ready replicas as of now.
            timeout_seconds: For all of it.
            exchange: Where the course of it is noted.
            reply: To the client.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                failure = await self._try_replicas(asked, candidates, exchange, reply)
        except TimeoutError:
            failure = TIMED_OUT
        if failure is not None:
            await self._fail(failure, exchange, reply)

    async def _try_replicas(
        self,
        asked: Asked,
        candidates: Callable[[], tuple[Endpoint, ...]],
        exchange: Exchange,
        reply: Reply,
    ) -> ErrorReply | None:
        """Try replicas until one has answered; gives the error when none has."""
        tried: set[str] = set()
        failure = REPLICAS_UNREACHABLE
        while len(tried) <= self._limits.retries_max:
            endpoint = pick(
                candidates(),
                outstanding=self._outstanding.counts,
                rng=self._rng,
                exclude=tried,
            )
            if endpoint is None:
                break
            if tried:
                self._metrics.retried(failure.code or "")
            tried.add(endpoint.replica_id)
            failed = await self._attempt(endpoint, asked, exchange, reply)
            if failed is None:
                return None
            failure = failed
        return failure

    async def _attempt(
        self, endpoint: Endpoint, asked: Asked, exchange: Exchange, reply: Reply
    ) -> ErrorReply | None:
        """Ask one replica; gives an error when another one may be asked."""
        exchange.replica_id = endpoint.replica_id
        exchange.tries += 1
        headers = {
            "content-type": asked.content_type,
            "accept": "text/event-stream" if asked.stream else _PLAIN_ACCEPT.get(asked.content_type, "*/*"),
            "x-request-id": exchange.request_id,
        }
        began = self._clock.monotonic()
        self._outstanding.begin(endpoint.replica_id)
        try:
            upstream = endpoint.upstream
            # Our own runtimes take any name; others know the model by theirs alone.
            body = asked.body if upstream is None else with_model(asked.body, upstream.model)
            async with self._client.open(endpoint, exchange.route, body, headers) as answer:
                if answer.status in TRY_ELSEWHERE:
                    return normalised(answer.status, b"")
                if answer.is_events:
                    return await self._pass_events(answer, asked, exchange, reply)
                return await self._pass_whole(answer, exchange, reply)
        except ReplicaUnreachable:
            return REPLICAS_UNREACHABLE
        except ReplicaBroken as error:
            if not reply.started:
                return REPLICA_FAILED
            await self._fail(STALLED if isinstance(error, ReplicaStalled) else BROKEN_OFF, exchange, reply)
            return None
        finally:
            self._outstanding.end(endpoint.replica_id)
            exchange.replica_seconds += self._clock.monotonic() - began

    async def _pass_events(
        self, answer: Answer, asked: Asked, exchange: Exchange, reply: Reply
    ) -> ErrorReply | None:
        stream = AnswerStream(strip_usage=asked.strip_usage, event_bytes_max=self._limits.event_bytes_max)
        while True:
            # Until the first event the runtime may be at work on a long prompt; from there on it must keep talking.
            data = await answer.next_bytes(patient=not reply.started)
            passed = stream.feed(data) if data else stream.close()
            exchange.usage = stream.usage
            if passed.speaks and not reply.started:
                exchange.first_event_seconds = self._clock.monotonic() - exchange.started
                await reply.open_events()
            # Comments ahead of the first event are dropped: they would commit this answer to this replica.
            if passed.out and reply.started:
                await reply.write(passed.out)
            if passed.done:
                # The end comes last of all: once it is sent, the request counts as over for everyone.
                await answer.settle()
                await reply.end()
                return None
            if passed.error is BROKEN_OFF and not reply.started:
                return REPLICA_FAILED
            if passed.error is not None:
                await self._fail(passed.error, exchange, reply)
                return None

    async def _pass_whole(self, answer: Answer, exchange: Exchange, reply: Reply) -> ErrorReply | None:
        content = bytearray()
        bytes_max = self._limits.answer_bytes_max if answer.status < 400 else _ERROR_BYTES_MAX
        while data := await answer.next_bytes():
            content += data
            if len(content) > bytes_max:
                break
        if answer.status != 200:
            await self._fail(normalised(answer.status, bytes(content), answer.retry_after), exchange, reply)
            return None
        if data:
            await self._pass_on(bytes(content), answer, reply)
            return None
        exchange.usage = read_audio_seconds(answer.audio_seconds)
        if answer.is_json:
            try:
                payload = as_object(pydantic_core.from_json(content))
            except ValueError:
                return REPLICA_FAILED  # cut off where the length was not announced
            exchange.usage = exchange.usage if payload is None else read_usage(payload) or exchange.usage
        await reply.whole(200, bytes(content), content_type=answer.content_type.encode("latin-1"))
        return None

    async def _pass_on(self, begun: bytes, answer: Answer, reply: Reply) -> None:
        """Pass an answer on that is too large to be held back."""
        await reply.open(200, answer.content_type.encode("latin-1"))
        data = begun
        while data:
            await reply.write(data)
            data = await answer.next_bytes()
        await reply.end()

    async def _fail(self, error: ErrorReply, exchange: Exchange, reply: Reply) -> None:
        """End with an error that nobody else can put right."""
        if reply.started:
            exchange.outcome = Outcome.BROKEN
            self._metrics.broken(error.code or "")
        elif error.status >= 500:
            exchange.outcome = Outcome.FAILED
        await reply.fail(error)
