"""One request for inference, from its head to the last byte of its answer.

Made by the application for every inference route, and called from then on: by the client's connection, by the try that is under
way, by the timer wheel, and by whoever makes room in the line. It decides what comes next; keys and routes come from memory, and only
callers with limits wait for a store. What a client gets is whole: an error of its own, an answer that is complete, or a stream that
ends with `[DONE]` or with one error event.
"""

import asyncio
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from hostler_kit.ids import new_id
from hostler_router.attempt import Attempt
from hostler_router.auth import ANYONE, Caller
from hostler_router.bodies import Asked, Usage, read_request, with_model
from hostler_router.closing import put_down
from hostler_router.continuation import RUNTIMES
from hostler_router.ending import fail_reply
from hostler_router.exchange import Exchange, Outcome
from hostler_router.limit_rules import Verdict, estimated_tokens
from hostler_router.lines import Waiter
from hostler_router.openai_errors import (
    INTERNAL,
    NO_STREAM,
    ROUTER_STOPPING,
    TIMED_OUT,
    ErrorReply,
    Refused,
    ambiguous_model,
    body_too_large,
    body_too_slow,
    encoded_body,
    not_serving,
    queue_full,
    queue_timed_out,
    rate_limited,
    route_not_allowed,
    unknown_model,
)
from hostler_router.outliers import Failure, Outliers
from hostler_router.parts import RouterParts
from hostler_router.placement import choose, in_service, work_of
from hostler_router.responses_stream import ROUTE as RESPONSES_ROUTE
from hostler_router.responses_stream import error_event
from hostler_router.resume import Resume, marked
from hostler_router.resume_turns import ResumeTurns
from hostler_router.table import Ambiguous, Endpoint, Entry, NotServing, Route, Unknown, Waking
from hostler_router.tracing import Span
from hostler_router.upload_spool import FormBody
from hostler_router.upstream_head import upstream_head
from hostler_router.usage import finished
from hostler_router.waiting_line import Ticket
from hostler_router.wire.addresses import Address
from hostler_router.wire.heads import Head
from hostler_router.wire.reply import Reply
from hostler_router.wishes import Wishes, read_wishes

_KEEP_ALIVE: Final = b": keep-alive\n\n"
_NEVER: Final = float("inf")
_FIRST: Final = -(2**62)
"""A priority that goes before all that clients may give."""
_BYTES_PER_TOKEN: Final = 4
"""What a prompt is taken to be, where nobody has counted its tokens."""


class InferenceRequest:
    """A request."""

    __slots__ = (
        "_armed",
        "_asked",
        "_attempt",
        "_body_deadline",
        "_broken",
        "_caller",
        "_deadline",
        "_entered",
        "_entry",
        "_events",
        "_exchange",
        "_head",
        "_heard",
        "_may_stream",
        "_over",
        "_parts",
        "_passed",
        "_pieces",
        "_queue_deadline",
        "_reply",
        "_resume",
        "_size",
        "_span",
        "_spoke",
        "_ticket",
        "_tried",
        "_try_span",
        "_turns",
        "_verdict",
        "_wishes",
        "_wrote",
    )

    def __init__(
        self, parts: RouterParts, head: Head, reply: Reply, exchange: Exchange, *, may_stream: bool
    ) -> None:
        """Take a request by its head.

        Args:
            parts: What requests work with.
            head: What it begins with.
            reply: How it is answered.
            exchange: Where the course of it is noted.
            may_stream: Whether the route knows streams.

        Raises:
            Refused: the head says that it can't be answered.
        """
        self._parts = parts
        self._head = head
        self._reply = reply
        self._exchange = exchange
        self._may_stream = may_stream
        self._over = False
        self._asked: Asked | None = None
        self._entry: Entry | None = None
        self._attempt: Attempt | None = None
        self._tried: set[str] = set()
        self._ticket: Ticket[Waiter] | None = None
        self._verdict: Verdict | None = None
        self._resume: Resume | None = None
        self._broken: ErrorReply | None = (
            None  # why its stream broke, while another replica is to go on with it
        )
        self._turns: ResumeTurns | None = None  # where it has a turn to go on, or waits for one
        self._spoke = False
        self._entered = False
        self._events = 0
        self._passed = 0
        self._deadline = self._queue_deadline = _NEVER
        self._wrote = self._heard = exchange.started
        self._pieces: list[bytes] = []
        self._size = 0
        self._caller, self._wishes = self._admit()
        self._span = parts.tracer.begin(head.headers, exchange.started) if parts.tracer else None
        if self._span is not None:
            exchange.trace = self._span.header().decode("ascii")
        self._try_span: Span | None = None
        self._body_deadline = exchange.started + self._body_timeout_seconds
        # No deadline that a stage of a request brings with it is nearer than this, so the wheel need not hear of stages.
        self._armed = min(exchange.started + parts.look_seconds, self._body_deadline)
        parts.wheel.arm(self, self._armed)

    # The body.

    @property
    def _body_bytes_max(self) -> int:
        return self._parts.settings.body_bytes_max

    @property
    def _body_timeout_seconds(self) -> float:
        return self._parts.settings.body_timeout_seconds

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self._over:
            return
        self._size += len(data)
        if self._size > self._body_bytes_max:
            self._refuse(body_too_large(self._body_bytes_max))
            return
        try:
            self._keep(data)
        except Exception:  # noqa: BLE001  # told by what handles it
            self._handle()

    def on_end(self) -> None:
        """All of it is here."""
        if not self._over:
            self._guard(self._start)

    def _keep(self, data: bytes) -> None:
        self._pieces.append(data)

    def _read(self) -> Asked:
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces = []
        return read_request(
            body, may_stream=self._may_stream, meant=self._wishes.model, route=self._exchange.route
        )

    def _let_go(self) -> None:
        """Free what the body takes."""

    # Who asks, and for what.

    def _admit(self) -> tuple[Caller | ErrorReply, Wishes]:
        """Who asks, or why that is nobody; and what the head of the request wishes."""
        parts, headers = self._parts, self._head.headers
        caller = parts.callers.authenticate(headers, now=parts.clock.now())
        if isinstance(caller, ErrorReply) and not parts.table.has_public:
            raise Refused(caller)  # before the body: strangers get nothing held for them
        if isinstance(caller, Caller):
            parts.on_key(caller.key_id)
            self._exchange.key_id, self._exchange.key_project = caller.key_id, caller.viewer.project
        wishes = read_wishes(headers)
        encoding = headers.get(b"content-encoding", b"identity").decode("latin-1")
        if encoding.lower() != "identity":
            raise Refused(encoded_body(encoding))
        if (self._head.length or 0) > self._body_bytes_max:
            # Refused before the go-ahead: whether the body comes all the same can't be known, so the connection ends.
            self._reply.closes = self._reply.closes or b"expect" in headers
            raise Refused(body_too_large(self._body_bytes_max))
        return caller, wishes

    def _start(self) -> None:
        self._body_deadline = _NEVER
        self._enter(self._read())

    def _enter(self, asked: Asked) -> None:
        """Let the request in, now that it is known what it asks for."""
        parts, exchange = self._parts, self._exchange
        now = parts.clock.monotonic()
        exchange.body_seconds = now - exchange.started
        self._asked = asked
        exchange.stream = asked.stream
        entry = self._entry = self._resolve(asked)
        if parts.running.closed:
            raise Refused(ROUTER_STOPPING)
        self._deadline = self._deadline_from(now)
        parts.recorder.arrived(entry.job_id)
        parts.running.enter(self)
        self._entered = True
        parts.budget(entry.job_id).request(now)
        self._arm()
        caller = self._caller
        project_limits = parts.project_limits(caller.project) if isinstance(caller, Caller) else None
        if isinstance(caller, Caller) and (caller.limits or project_limits):
            tokens = estimated_tokens(
                self._head.length or self._size, asked.tokens_max, parts.settings.limits_tokens_default
            )
            parts.limiter.submit(
                caller.key_id, caller.limits, caller.project, project_limits, tokens, self._on_verdict
            )
        else:
            self._place()

    def _deadline_from(self, now: float) -> float:
        return now + self._wishes.timeout_within(self._job.request_timeout_seconds)

    def _resolve(self, asked: Asked) -> Entry:
        parts, caller = self._parts, self._caller
        target = parts.table.resolve(asked.model, caller.viewer if isinstance(caller, Caller) else ANYONE)
        if isinstance(target, Ambiguous | Unknown):
            # Without a good key nobody learns which names exist, only that a key is needed.
            if isinstance(caller, ErrorReply):
                raise Refused(caller)
            if isinstance(target, Ambiguous):
                raise Refused(ambiguous_model(asked.model, target.job_ids))
            raise Refused(unknown_model(asked.model))
        entry = target.entry
        self._exchange.job_id = entry.job_id
        if not entry.allows(self._exchange.route):
            raise Refused(route_not_allowed(self._exchange.route, entry.name))
        if isinstance(target, NotServing):
            self._exchange.outcome = Outcome.REJECTED
            parts.recorder.rejected(entry.job_id)
            raise Refused(_waiting(target, parts.clock.now()))
        return entry

    def _on_verdict(self, verdict: Verdict) -> None:
        """What the limits of the caller's key and project say."""
        if self._over:
            if verdict.lease is not None:
                verdict.lease.settle(0)
            return
        self._verdict = verdict
        if verdict.admitted:
            self._reply.extra.extend(verdict.headers)
            self._guard(self._place)
        else:
            self._exchange.outcome = Outcome.LIMITED
            self._parts.metrics.rate_limited(verdict.refused_by or "")
            self._fail(rate_limited(verdict))

    # A place on a replica.

    def on_turn(self) -> None:
        """There may be room."""
        self._leave_line()
        if not self._over:
            self._guard(self._place if self._broken is None else lambda: self._go_on_or_fail(called=True))

    def on_resume_turn(self) -> None:
        """It may go on; not within whatever has made room, since many may be called at once and some of them end by it."""
        asyncio.get_running_loop().call_soon(self._guard, self._go_on_or_fail)

    def on_evicted(self) -> None:
        """Another request goes before."""
        self._leave_line()
        if not self._over:
            self._turn_away(queue_full(self._job.name, self._retry_after()))

    @property
    def _wanted(self) -> Asked:
        if self._asked is None:
            raise RuntimeError("the body has not been read")
        return self._asked

    @property
    def _job(self) -> Entry:
        if self._entry is None:
            raise RuntimeError("the job has not been found")
        return self._entry

    def _place(self) -> None:
        """Give the request to a replica; where there is none for it, let it wait."""
        parts = self._parts
        standing = parts.table.target(self._job.job_id)
        if standing is None:
            self._turn_away(unknown_model(self._job.job_id))
            return
        self._entry = entry = standing.entry
        if isinstance(standing, NotServing):
            self._turn_away(_waiting(standing, self._parts.clock.now()))
            return
        came_from_line = self._queue_deadline != _NEVER
        if isinstance(standing, Route) and (came_from_line or not parts.lines.waiting(entry.job_id)):
            endpoint = choose(parts, entry, self._wanted, self._head, self._tried)
            if endpoint is not None:
                self._try(endpoint)
                return
        self._wait(entry, standing)

    def _wait(self, entry: Entry, standing: Route | Waking) -> None:
        parts, settings = self._parts, self._parts.settings
        now = parts.clock.monotonic()
        routing = entry.routing
        waking = isinstance(standing, Waking)
        if self._queue_deadline == _NEVER:
            self._queue_deadline = now + self._queue_timeout_seconds
        if waking:
            parts.wake(entry.job_id, self._exchange)
        if self._queue_deadline <= now:
            self._give_up_waiting(standing)
            return
        self._join_line(
            settings.queue_max if routing.queue_max is None else routing.queue_max,
            batch=self._wishes.batch or self._wanted.flex,
            priority=self._wanted.priority,
        )

    @property
    def _queue_timeout_seconds(self) -> float:
        own = self._job.routing.queue_timeout_seconds
        return self._parts.settings.queue_timeout_seconds if own is None else own

    def _join_line(self, places_max: int, *, batch: bool, priority: int) -> None:
        parts, entry = self._parts, self._job
        self._ticket = parts.lines.join(
            entry.job_id,
            self,
            places_max=places_max,
            batch=batch,
            priority=priority,
            deadline=_NEVER,  # the request looks after its own
        )
        if self._ticket is None:
            self._turn_away(queue_full(entry.name, self._retry_after()))
            return
        self._exchange.queued_at = parts.clock.monotonic()
        parts.recorder.waits(entry.job_id)
        parts.metrics.set_waiting(entry.job_id, parts.lines.waiting(entry.job_id))
        self._arm()

    def _leave_line(self) -> None:
        """Wait no more, be it for a turn or for nothing."""
        ticket, self._ticket = self._ticket, None
        if ticket is None:
            return
        parts, exchange, job_id = self._parts, self._exchange, self._job.job_id
        parts.lines.leave(job_id, ticket)
        parts.recorder.waits_no_more(job_id)
        parts.metrics.set_waiting(job_id, parts.lines.waiting(job_id))
        if exchange.queued_at is not None:
            waited = parts.clock.monotonic() - exchange.queued_at
            exchange.queue_seconds += waited
            exchange.queued_at = None
            parts.metrics.waited(job_id, waited)

    def _retry_after(self) -> int:
        return self._parts.settings.queue_retry_after_seconds

    def _give_up_waiting(self, standing: Route | Waking | NotServing | None) -> None:
        if isinstance(standing, Waking | NotServing):
            self._turn_away(_waiting(standing, self._parts.clock.now()))
        else:
            self._turn_away(queue_timed_out(self._job.name, self._retry_after()))

    def _turn_away(self, error: ErrorReply) -> None:
        """End a request that was let in, but for which there is no place."""
        self._exchange.outcome = Outcome.REJECTED
        self._fail(error)

    # On a replica.

    def _try(self, endpoint: Endpoint, body: bytes | FormBody | None = None) -> None:
        parts, asked, exchange = self._parts, self._wanted, self._exchange
        self._tried.add(endpoint.replica_id)
        exchange.replica_id = endpoint.replica_id
        exchange.tries += 1
        upstream = endpoint.upstream
        if body is not None:
            body = body if upstream is None else with_model(body, upstream.model)
        else:
            # Our own runtimes take any name; others know the model by theirs alone.
            body = asked.body if upstream is None else asked.body_naming(upstream.model)
        entry = self._job
        if self._resume is None and asked.resumable and self._may_resume(entry):
            self._resume = Resume()
        if self._span is not None:
            self._try_span = self._span.attempt(replica=endpoint.replica_id, model=asked.model)
        self._attempt = Attempt(
            self,
            parts,
            endpoint,
            head_of=self._head_for,
            body=body,
            strip_usage=asked.strip_usage,
            hold=parts.outstanding.begin(endpoint.replica_id, work_of(asked)),
            resume=self._resume if exchange.resumed else None,
            responses=exchange.route == RESPONSES_ROUTE,
        )
        self._attempt.start()

    def _may_resume(self, entry: Entry) -> bool:
        return entry.routing.resume_streams and self._wishes.resume and entry.runtime in RUNTIMES

    def _head_for(self, address: Address, key: str | None, body: bytes | FormBody) -> bytes:
        trace = None if self._try_span is None else self._try_span.header().decode("ascii")
        return upstream_head(self._wanted, self._exchange, address, key=key, body=body, trace=trace)

    # What the try says.

    def on_events(self, attempt: Attempt, data: bytes, *, speaks: bool) -> None:
        """Whole events came."""
        reply = self._reply
        if not speaks and not self._spoke:
            return  # comments ahead of the first event
        if not self._spoke:
            self._spoke = True
            exchange = self._exchange
            exchange.first_event_seconds = self._parts.clock.monotonic() - exchange.started
            if not reply.started:
                reply.open_events()
            if self._resume is None:
                self._forget_body(attempt)
        elif speaks:
            self._parts.metrics.next_event(self._job.job_id, attempt.heard - self._heard)
        if self._resume is not None:
            self._resume.passed(data)
            if self._turns is not None:
                self._end_turn()
        self._wrote = self._heard = attempt.heard
        reply.write(data)
        if not reply.writable:
            attempt.pause()

    def _forget_body(self, attempt: Attempt) -> None:
        """A stream that has begun and can't be resumed is never sent again, and may last long: its prompt takes no memory."""
        asked = self._asked
        if asked is not None and isinstance(asked.body, bytes):
            self._asked = replace(asked, body=b"", prompt_at=(0, 0))
            attempt.forget_body()

    def on_stream_done(self, attempt: Attempt, data: bytes) -> None:
        """The stream is complete."""
        self._left(attempt)
        self._succeeded(attempt)
        exchange = self._exchange
        if exchange.resumed:
            data = marked(data)
        if exchange.first_event_seconds is None:
            exchange.first_event_seconds = self._parts.clock.monotonic() - exchange.started
        self._finish(200, lambda: self._end_stream(data))

    def on_answer(self, attempt: Attempt, content: bytes) -> None:
        """The whole answer came."""
        self._left(attempt)
        self._succeeded(attempt)
        content_type = attempt.content_type
        if self._reply.started:
            self._fail(NO_STREAM)  # comments were sent meanwhile, as one does in a stream
            return
        self._finish(200, lambda: self._reply.whole(200, content, content_type=content_type))

    def on_large_answer(self, attempt: Attempt, data: bytes) -> None:
        """A piece came of an answer too large to be held back."""
        if self._reply.events:
            self._stop_trying()
            self._fail(NO_STREAM)
            return
        if not self._reply.started:
            self._reply.open(200, ((b"content-type", attempt.content_type),))
        self._reply.write(data)
        if not self._reply.writable:
            attempt.pause()

    def on_large_answer_done(self, attempt: Attempt) -> None:
        """That was all of it."""
        self._left(attempt)
        self._succeeded(attempt)
        self._finish(200, self._reply.end)

    def on_refused(self, attempt: Attempt, error: ErrorReply) -> None:
        """The replica answered with an error that is the client's to know."""
        self._left(attempt)
        if error.status >= 500:
            self._blame(attempt.endpoint.replica_id, Failure.ERROR, self._parts.clock.monotonic())
        else:
            self._succeeded(attempt)
        self._fail(error)

    def on_failed(self, attempt: Attempt, error: ErrorReply, failure: Failure) -> None:
        """The replica could not do it."""
        parts = self._parts
        self._left(attempt)
        now = parts.clock.monotonic()
        self._blame(attempt.endpoint.replica_id, failure, now)
        parts.lines.pump(self._job.job_id)
        if not self._guarded_retry(error, now):
            self._fail(error)

    def on_bug(self) -> None:
        """An exception that nobody expected is being handled."""
        self._bug()

    def _guarded_retry(self, error: ErrorReply, now: float) -> bool:
        """Go on with another replica, if that is possible; gives whether it is."""
        parts, exchange = self._parts, self._exchange
        if exchange.tries > parts.settings.retries_max or self._reply.gone:
            return False
        if self._spoke or (self._reply.started and not self._reply.events):
            if self._resume is None or self._resume.continuation(self._wanted, self._job.runtime) is None:
                return False
            # Each stream has one for free, since that many streams there are and no more. One whose replicas go on dying has to
            # share with all that are tried again.
            if exchange.resumed and not parts.budget(self._job.job_id).may_retry(now):
                return False
            self._broken = error
            self._queue_deadline = now + self._queue_timeout_seconds
            return self._go_on()
        standing = parts.table.target(self._job.job_id)
        if not isinstance(standing, Route):
            return False
        self._entry = standing.entry
        endpoint = choose(parts, standing.entry, self._wanted, self._head, self._tried, bounded=False)
        if endpoint is None or not parts.budget(self._job.job_id).may_retry(now):
            return False
        parts.metrics.retried(error.code or "")
        self._try(endpoint)
        return True

    def _go_on(self, *, called: bool = False) -> bool:
        """Have another replica go on with the broken stream, or let it wait for one; gives whether one may.

        Args:
            called: By the line, which goes on calling as long as it believes that there is room: who finds none for all that must not be
                in the line again before it is done.
        """
        parts, exchange, broken = self._parts, self._exchange, self._broken
        standing = parts.table.target(self._job.job_id)
        if self._resume is None or broken is None or not isinstance(standing, Route):
            return False
        self._entry = entry = standing.entry
        if choose(parts, entry, self._wanted, self._head, self._tried, bounded=False) is None:
            return False
        self._turns = turns = parts.resume_turns(entry.job_id)
        if not turns.take(self, in_service(parts, entry)):
            self._arm()
            return True
        endpoint = choose(parts, entry, self._wanted, self._head, self._tried)
        if endpoint is None:
            self._end_turn()
            if called:
                self.on_resume_turn()
                return True
            # Before all who have not begun, and not counted among them: there are no more of these than there were streams.
            self._join_line(parts.lines.waiting(entry.job_id) + 1, batch=False, priority=_FIRST)
            self._arm()
            return True
        body = self._resume.continuation(self._wanted, entry.runtime)
        if body is None:
            return False
        self._broken = None
        exchange.resumed = True
        parts.metrics.resumed(entry.job_id)
        parts.metrics.retried(broken.code or "")
        self._try(endpoint, body)
        return True

    def _go_on_or_fail(self, *, called: bool = False) -> None:
        """Its turn has come, or there is room."""
        if not self._over and self._broken is not None and not self._go_on(called=called):
            self._fail(self._broken)

    def _end_turn(self) -> None:
        """Have no turn any more, and wait for none."""
        turns, self._turns = self._turns, None
        if turns is not None:
            turns.leave(self, in_service(self._parts, self._job))

    def _left(self, attempt: Attempt) -> None:
        """A try is over, one way or the other."""
        exchange = self._exchange
        exchange.replica_seconds += self._parts.clock.monotonic() - attempt.began
        self._events += attempt.events
        self._passed = attempt.passed
        exchange.usage = attempt.usage or exchange.usage
        self._attempt = None
        self._end_turn()
        if self._try_span is not None:
            self._try_span.end()

    @property
    def _outliers(self) -> Outliers:
        found = self._parts.outliers.get(self._job.job_id)
        if found is None:
            found = self._parts.outliers[self._job.job_id] = Outliers()
        return found

    def _blame(self, replica_id: str, failure: Failure, now: float) -> None:
        """Count a failure against a replica, which may leave it out of the choice for a while."""
        job_id = self._job.job_id
        if self._parts.table.get(job_id) is None:
            return  # nobody is chosen for a job that is gone, and what is kept of it would stay for ever
        if self._outliers.failed(replica_id, failure, now):
            self._parts.metrics.ejected(job_id, failure.value)
            self._parts.logger.warning(
                "replica.ejected", job=job_id, replica=replica_id, reason=failure.value
            )

    def _succeeded(self, attempt: Attempt) -> None:
        found = self._parts.outliers.get(self._job.job_id)
        if found is not None:
            found.succeeded(attempt.endpoint.replica_id, self._parts.clock.monotonic())

    # The client.

    def on_drained(self) -> None:
        """It can take more."""
        if self._attempt is not None:
            self._attempt.resume()

    def on_gone(self) -> None:
        """It hung up."""
        if self._over:
            return
        self._exchange.outcome = Outcome.CLIENT_GONE
        if not self._entered:
            self._parts.metrics.client_gone()
        self._stop_trying()
        self._finish(self._reply.status, _nothing, wait=False)

    # Time.

    def due_again(self, now: float) -> float | None:
        """Look at every deadline; gives the next."""
        if self._over:
            return None
        self._guard(lambda: self._look(now))
        due = self._next_due()
        if due == _NEVER:
            return None
        self._armed = min(due, now + self._parts.look_seconds)
        return self._armed

    def _arm(self) -> None:
        """Be asked in time for the next deadline; an earlier time stays, since it finds out by itself that it is too early."""
        due = self._next_due()
        if due < self._armed:
            self._armed = due
            self._parts.wheel.arm(self, due)

    def _next_due(self) -> float:
        if self._over:
            return _NEVER
        due = min(self._deadline, self._body_deadline)
        if self._ticket is not None or self._broken is not None:
            due = min(due, self._queue_deadline)
        if self._attempt is not None:
            due = min(due, self._attempt.due())
        if self._asked is not None and self._asked.stream:
            due = min(due, self._wrote + self._parts.settings.keep_alive_comment_seconds)
        return due

    def _look(self, now: float) -> None:
        if now >= self._body_deadline:
            self._reply.closes = True
            self._refuse(self._too_slow(now))
        elif now >= self._deadline:
            self._stop_trying()
            self._fail(TIMED_OUT)
        elif self._broken is not None and now >= self._queue_deadline:
            self._fail(self._broken)
        elif self._ticket is not None and now >= self._queue_deadline:
            self._leave_line()
            self._give_up_waiting(self._parts.table.target(self._job.job_id))
        else:
            if self._attempt is not None:
                self._attempt.check(now)
            if not self._over and self._asked is not None and self._asked.stream:
                self._keep_alive(now)

    def _too_slow(self, _now: float) -> ErrorReply:
        return body_too_slow(self._body_timeout_seconds)

    def _keep_alive(self, now: float) -> None:
        """Let a client that waits for a stream know that it is not forgotten."""
        if now < self._wrote + self._parts.settings.keep_alive_comment_seconds:
            return
        self._wrote = now
        if not self._reply.started:
            self._reply.open_events()
        if self._reply.events and self._reply.writable:
            self._reply.write(_KEEP_ALIVE)

    # The end.

    def cut(self) -> None:
        """The router can't wait any longer."""
        if self._over:
            return
        self._stop_trying()
        self._exchange.outcome = Outcome.CUT
        self._fail(ROUTER_STOPPING)

    def _stop_trying(self) -> None:
        attempt = self._attempt
        if attempt is not None:
            attempt.stop()
            self._left(attempt)

    def _refuse(self, error: ErrorReply) -> None:
        """End a request that was never let in, or was refused for what is wrong with it."""
        self._stop_trying()
        if self._exchange.outcome is Outcome.ANSWERED:
            self._exchange.outcome = Outcome.REFUSED
        self._fail(error)

    def _fail(self, error: ErrorReply) -> None:
        """End with an error that nobody else can put right."""
        exchange, reply = self._exchange, self._reply
        if exchange.outcome is Outcome.ANSWERED:
            if self._spoke or (reply.started and not reply.events):
                exchange.outcome = Outcome.BROKEN
            elif error.status >= 500:
                exchange.outcome = Outcome.FAILED
        if reply.started and self._entered:
            self._parts.metrics.broken(error.code or "")
        status = reply.status or error.status
        self._finish(status, lambda: self._send_error(error), wait=False)

    def _send_error(self, error: ErrorReply) -> None:
        event = error_event(error, self._passed) if self._exchange.route == RESPONSES_ROUTE else None
        fail_reply(self._reply, error, event)

    def _end_stream(self, data: bytes) -> None:
        if not self._reply.started:
            self._reply.open_events()
        self._reply.end(data)

    def _finish(self, status: int, send: Callable[[], None], *, wait: bool = True) -> None:
        """Meter the request, note it, and let the end of the answer go.

        Args:
            status: That the client gets; 0 where it gets none.
            send: Sends the end.
            wait: Whether the end waits until the usage is stored.
        """
        if self._over:
            return
        self._over = True
        parts, exchange = self._parts, self._exchange
        parts.wheel.disarm(self)
        self._leave_line()
        self._end_turn()
        self._pieces = []
        self._let_go()
        ended = parts.clock.monotonic()

        def end() -> None:
            try:
                put_down(
                    parts,
                    exchange,
                    self._entry if self._entered else None,
                    self._asked,
                    lease=None if self._verdict is None else self._verdict.lease,
                    span=self._span,
                    status=status,
                    # Its end leaves now, after its usage is stored.
                    seconds=parts.clock.monotonic() - exchange.started,
                )
            finally:
                try:
                    send()
                finally:
                    if self._entered:
                        parts.running.leave(self)

        if self._entered:
            parts.lines.pump(self._job.job_id)
        if not self._entered or not exchange.tries:
            end()
            return
        measured = self._estimate()
        record = finished(
            exchange,
            self._job,
            status=status,
            now=parts.clock.now(),
            duration_seconds=max(ended - exchange.started, 0.0),
            # An id that was made here is nobody else's; one that a client gave may come again.
            usage_id=new_id() if exchange.named_by_client else exchange.request_id,
            measured=measured,
        )
        if wait:
            parts.committer.commit(self._job.project, self._job.job_id, record, end)
        else:
            end()
            parts.committer.commit(self._job.project, self._job.job_id, record, _nothing)

    def _estimate(self) -> bool:
        """Say what was taken where the runtime has not; gives whether it has."""
        exchange = self._exchange
        if exchange.usage is not None:
            return not exchange.resumed  # of a resumed one the sum is measured, but not how it is split
        if self._events and self._spoke:
            exchange.usage = Usage(self._size // _BYTES_PER_TOKEN, self._events)
        return False

    # Whatever nobody expected.

    def _guard(self, act: Callable[[], None]) -> None:
        """Do something that may refuse the request; a bug in it must not look like anything but a 500."""
        try:
            act()
        except Exception:  # noqa: BLE001  # the outermost frame of a request
            self._handle()

    def _handle(self) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, Refused):
            self._refuse(error.reply)
        else:
            self._bug()

    def _bug(self) -> None:
        error = sys.exc_info()[1]
        self._parts.logger.error("request.bug", exc_info=error, request_id=self._exchange.request_id)
        if self._over:  # within its end, which must come all the same
            self._send_error(INTERNAL)
            self._parts.running.leave(self)
            return
        self._stop_trying()
        self._exchange.outcome = Outcome.FAILED
        self._fail(INTERNAL)


def _nothing() -> None:
    """There is nobody to send it to."""


def _waiting(target: NotServing | Waking, now: datetime) -> ErrorReply:
    entry = target.entry
    why = f"{entry.phase}, {entry.reason}" if entry.reason else str(entry.phase)
    return not_serving(
        f"The job {entry.project}/{entry.name} has no ready replica ({why}).",
        retry_after_seconds=entry.eta_at(now) or target.retry_after_seconds,
        should_retry=target.worth_waiting,
    )
