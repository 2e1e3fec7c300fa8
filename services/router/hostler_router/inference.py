"""One request for inference, from its head to the last byte of its answer.

Called by the application for every inference route: who asks, what for, which job, then the relay, while the client and the
service's stop are watched. Keys and routes come from memory; nothing is waited for but the body, the replica and the client.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Receive

from hostler_contracts.catalogue import ApiKey
from hostler_kit.clock import Clock
from hostler_kit.ids import new_id
from hostler_router.auth import ANYONE, Caller, authenticate
from hostler_router.bodies import Asked, read_request
from hostler_router.edge import Reply, Request, read_body, wait_gone
from hostler_router.exchange import Exchange, Outcome
from hostler_router.metrics import RouterMetrics
from hostler_router.openai_errors import (
    ROUTER_STOPPING,
    ErrorReply,
    Refused,
    ambiguous_model,
    not_serving,
    unknown_model,
)
from hostler_router.relay import Relay
from hostler_router.running import Running
from hostler_router.table import Ambiguous, Entry, NotServing, Route, RouteTable, Unknown, Waking
from hostler_router.uploads import UploadLimits, upload
from hostler_router.usage import UsageRecorder, finished
from hostler_router.windows import WindowRecorder
from hostler_router.wishes import Wishes, read_wishes

FindKey = Callable[[str], ApiKey | None]
OnKey = Callable[[str], None]
"""Told of the id of every key that is used."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bounds of a request body; the settings of the same names say more."""

    body_bytes_max: int
    body_timeout_seconds: float


class Inference:
    """Handles requests for inference."""

    def __init__(
        self,
        table: RouteTable,
        find_key: FindKey,
        relay: Relay,
        *,
        limits: BodyLimits,
        upload_limits: UploadLimits,
        recorder: WindowRecorder,
        usage: UsageRecorder,
        on_key: OnKey,
        running: Running,
        metrics: RouterMetrics,
        clock: Clock,
    ) -> None:
        self._table = table
        self._find_key = find_key
        self._relay = relay
        self._limits = limits
        self._upload_limits = upload_limits
        self._recorder = recorder
        self._usage = usage
        self._on_key = on_key
        self._running = running
        self._metrics = metrics
        self._clock = clock

    async def handle(
        self, request: Request, receive: Receive, *, may_stream: bool, exchange: Exchange, reply: Reply
    ) -> None:
        """Answer the request.

        Raises:
            Refused: it ends before it reaches a replica.
            ClientGone: its body never came in full.
        """
        caller, wishes = self._admit(request, exchange)
        body = await read_body(
            request,
            receive,
            body_bytes_max=self._limits.body_bytes_max,
            body_timeout_seconds=self._limits.body_timeout_seconds,
        )
        asked = read_request(body, may_stream=may_stream, meant=wishes.model)
        await self._pass(asked, caller, wishes, receive, exchange, reply)

    async def handle_upload(
        self, request: Request, receive: Receive, *, exchange: Exchange, reply: Reply
    ) -> None:
        """Answer a request that is a form with a file in it.

        Raises:
            Refused: it ends before it reaches a replica.
            ClientGone: its body never came in full.
        """
        caller, wishes = self._admit(request, exchange)
        async with upload(request, receive, self._upload_limits) as asked:
            await self._pass(asked, caller, wishes, receive, exchange, reply)

    def _admit(self, request: Request, exchange: Exchange) -> tuple[Caller | ErrorReply, Wishes]:
        """Who asks, or why that is nobody; and what the head of the request wishes."""
        caller = authenticate(request.headers, self._find_key, now=self._clock.now())
        if isinstance(caller, ErrorReply) and not self._table.has_public:
            raise Refused(caller)  # before the body: strangers get nothing held for them
        if isinstance(caller, Caller):
            self._on_key(caller.key_id)
            exchange.key_id, exchange.key_project = caller.key_id, caller.viewer.project
        return caller, read_wishes(request.headers)

    async def _pass(
        self,
        asked: Asked,
        caller: Caller | ErrorReply,
        wishes: Wishes,
        receive: Receive,
        exchange: Exchange,
        reply: Reply,
    ) -> None:
        """Find the job and relay, once the body is there."""
        exchange.body_seconds = self._clock.monotonic() - exchange.started
        exchange.stream = asked.stream
        entry = self._resolve(asked, caller, exchange)
        await self._relay_watched(entry, asked, wishes, receive, exchange, reply)

    def _resolve(self, asked: Asked, caller: Caller | ErrorReply, exchange: Exchange) -> Entry:
        target = self._table.resolve(asked.model, caller.viewer if isinstance(caller, Caller) else ANYONE)
        if isinstance(caller, ErrorReply) and isinstance(target, Ambiguous | Unknown):
            # Without a good key nobody learns which names exist, only that a key is needed.
            raise Refused(caller)
        match target:
            case Unknown():
                raise Refused(unknown_model(asked.model))
            case Ambiguous():
                raise Refused(ambiguous_model(asked.model, target.job_ids))
            case NotServing() | Waking():
                exchange.job_id = target.entry.job_id
                exchange.outcome = Outcome.REJECTED
                self._recorder.rejected(target.entry.job_id)
                raise Refused(_waiting(target))
            case Route():
                exchange.job_id = target.entry.job_id
                return target.entry

    async def _relay_watched(
        self,
        entry: Entry,
        asked: Asked,
        wishes: Wishes,
        receive: Receive,
        exchange: Exchange,
        reply: Reply,
    ) -> None:
        """Relay, and stop at once when the client hangs up or the service can't wait any longer."""
        if self._running.closed:
            raise Refused(ROUTER_STOPPING)
        self._recorder.arrived(entry.job_id)
        self._show_in_flight(entry.job_id)
        work = asyncio.create_task(
            self._relay.run(
                asked,
                lambda: self._table.endpoints(entry.job_id),
                timeout_seconds=wishes.timeout_within(entry.request_timeout_seconds),
                exchange=exchange,
                reply=reply,
            )
        )
        gone = asyncio.create_task(wait_gone(receive))
        self._running.enter(work, exchange)
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                exchange.outcome = Outcome.CLIENT_GONE
                work.cancel()
                await asyncio.wait({work})
            if not work.cancelled():
                work.result()
            elif exchange.outcome is Outcome.CUT:
                await reply.fail(ROUTER_STOPPING)
        finally:
            if not work.done() or (not work.cancelled() and work.exception() is not None):
                exchange.outcome = (
                    Outcome.FAILED
                )  # by a bug, or because the server could not wait even for the error
            work.cancel()
            gone.cancel()
            self._running.leave(work)
            self._record(entry.job_id, exchange)
            ended = finished(
                exchange,
                entry,
                status=reply.status,
                now=self._clock.now(),
                duration_seconds=max(self._clock.monotonic() - exchange.started, 0.0),
                usage_id=new_id(),
            )
            self._usage.ended(entry.project, entry.job_id, ended)

    def _record(self, job_id: str, exchange: Exchange) -> None:
        self._recorder.left(job_id)
        self._show_in_flight(job_id)
        if exchange.usage is not None:
            self._recorder.used(job_id, exchange.replica_id, exchange.usage)
        if exchange.first_event_seconds is not None:
            self._recorder.first_token(job_id, exchange.replica_id, exchange.first_event_seconds * 1000)
            self._metrics.first_event(exchange.first_event_seconds)
        match exchange.outcome:
            case Outcome.ANSWERED:
                latency_ms = (self._clock.monotonic() - exchange.started) * 1000
                self._recorder.completed(job_id, exchange.replica_id, latency_ms)
            case Outcome.FAILED | Outcome.BROKEN | Outcome.CUT:
                self._recorder.failed(job_id, exchange.replica_id)
            case _:  # its client hung up; the others end before they get here
                self._metrics.client_gone()

    def _show_in_flight(self, job_id: str) -> None:
        if self._table.get(job_id) is not None:  # a figure for a job that is gone would stay for ever
            self._metrics.set_in_flight(job_id, self._recorder.in_flight(job_id))


def _waiting(target: NotServing | Waking) -> ErrorReply:
    entry = target.entry
    why = f"{entry.phase}, {entry.reason}" if entry.reason else str(entry.phase)
    return not_serving(
        f"The job {entry.project}/{entry.name} has no ready replica ({why}).",
        retry_after_seconds=target.retry_after_seconds,
        should_retry=target.worth_waiting,
    )
