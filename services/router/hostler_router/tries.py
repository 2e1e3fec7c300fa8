"""What is tried for one request that was let in: a place on a replica, its answer, another replica where one fails.

Made by the request, which has the last word on its end. It decides where a request goes, when it waits (`place_in_line`) and whether
it is tried again; a stream that broke goes on by `broken_stream`.
"""

from typing import Final

from msgspec.structs import replace

from hostler_router.admission import no_replica
from hostler_router.asked import Asked
from hostler_router.attempt import Attempt
from hostler_router.bodies import body_naming, with_model
from hostler_router.broken_stream import BrokenStream
from hostler_router.client_answer import ClientAnswer
from hostler_router.continuation import RUNTIMES
from hostler_router.exchange import Exchange
from hostler_router.openai_errors import NO_STREAM, ErrorReply, unknown_model
from hostler_router.outliers import Failure
from hostler_router.outstanding import Hold
from hostler_router.parts import RouterParts
from hostler_router.place_in_line import PlaceInLine, waits_until
from hostler_router.placement import blame, choose, praise, work_of
from hostler_router.responses_stream import ROUTE as RESPONSES_ROUTE
from hostler_router.resume import Resume, marked
from hostler_router.stages import Request
from hostler_router.table import Endpoint, Entry, NotServing, Route, Waking
from hostler_router.tracing import Span
from hostler_router.upload_spool import FormBody
from hostler_router.upstream_head import upstream_head
from hostler_router.wire.addresses import Address
from hostler_router.wire.heads import Head
from hostler_router.wire.replica_connection import ReplicaConnection
from hostler_router.wishes import Wishes

_NEVER: Final = float("inf")


class Tries:
    """The tries of a request.

    Attributes:
        asked: What is asked for.
        entry: The job, as last looked at.
    """

    __slots__ = (
        "_answer",
        "_attempt",
        "_broken",
        "_exchange",
        "_head",
        "_parts",
        "_place",
        "_request",
        "_resume",
        "_span",
        "_tried",
        "_try_span",
        "_wishes",
        "asked",
        "entry",
    )

    def __init__(
        self,
        request: Request,
        parts: RouterParts,
        exchange: Exchange,
        answer: ClientAnswer,
        *,
        head: Head,
        wishes: Wishes,
        span: Span | None,
        asked: Asked,
        entry: Entry,
    ) -> None:
        """Begin without any.

        Args:
            request: The request.
            parts: What requests work with.
            exchange: The course of it.
            answer: What its client gets.
            head: What it began with.
            wishes: What that wishes.
            span: Its trace, if that is kept.
            asked: What is asked for.
            entry: The job.
        """
        self._request = request
        self._parts = parts
        self._exchange = exchange
        self._answer = answer
        self._head = head
        self._wishes = wishes
        self._span = span
        self.asked = asked
        self.entry = entry
        self._attempt: Attempt | None = None
        self._tried: set[str] = set()
        self._place: PlaceInLine | None = None
        self._resume: Resume | None = None
        self._broken: BrokenStream | None = None
        self._try_span: Span | None = None

    # A place on a replica.

    def begin(self) -> None:
        """Give the request to a replica; where there is none for it, let it wait."""
        parts, job_id = self._parts, self.entry.job_id
        standing = parts.table.target(job_id)
        if standing is None:
            self._request.turn_away(unknown_model(job_id))
            return
        self.entry = standing.entry
        if isinstance(standing, NotServing):
            self._request.turn_away(no_replica(standing, parts.clock.now()))
            return
        if isinstance(standing, Route) and (self._place is not None or not parts.lines.waiting(job_id)):
            endpoint = self.choose()
            if endpoint is not None:
                self.go(endpoint)
                return
        self._wait(standing)

    def choose(self, *, bounded: bool = True) -> Endpoint | None:
        """A replica that has not failed at it; `bounded` ones have room as well."""
        return choose(self._parts, self.entry, self.asked, self._head, self._tried, bounded=bounded)

    def look_again(self) -> Entry | None:
        """The job as of now; None where it has no ready replica."""
        standing = self._parts.table.target(self.entry.job_id)
        if not isinstance(standing, Route):
            return None
        self.entry = standing.entry
        return standing.entry

    def _wait(self, standing: Route | Waking) -> None:
        parts, now = self._parts, self._parts.clock.monotonic()
        if self._place is None:
            deadline = waits_until(parts, self.entry, now)
            self._place = PlaceInLine(self._request, parts, self._exchange, self.entry, deadline)
        batch = self._wishes.batch or self.asked.flex
        self._place.wait(standing, self.begin, now, batch=batch, priority=self.asked.priority)

    # On a replica.

    def go(self, endpoint: Endpoint, body: bytes | None = None) -> None:
        """Ask this replica, with `body` instead of the request's own."""
        parts, asked, exchange, entry = self._parts, self.asked, self._exchange, self.entry
        self._tried.add(endpoint.replica_id)
        exchange.replica_id = endpoint.replica_id
        exchange.tries += 1
        upstream = endpoint.upstream
        # Our own runtimes take any name; others know the model by theirs alone.
        sent: bytes | FormBody
        if body is not None:
            sent = body if upstream is None else with_model(body, upstream.model)
        else:
            sent = asked.body if upstream is None else body_naming(asked, upstream.model)
        if self._resume is None and asked.resumable and self._may_resume(entry):
            self._resume = Resume()
        if self._span is not None:
            self._try_span = self._span.attempt(replica=endpoint.replica_id, model=asked.model)
        self._attempt = Attempt(
            self,
            parts,
            endpoint,
            head_of=self._head_for,
            body=sent,
            strip_usage=asked.strip_usage,
            hold=parts.outstanding.begin(endpoint.replica_id, work_of(asked)),
            resume=self._resume if exchange.resumed else None,
            responses=exchange.route == RESPONSES_ROUTE,
        )
        self._attempt.start()

    def adopt(
        self,
        endpoint: Endpoint,
        connection: ReplicaConnection | None,
        hold: Hold,
        *,
        began: float,
        heard: float,
    ) -> Attempt:
        """Go on with a first try that somebody else has begun: one without a stream or a trace.

        Args:
            endpoint: The replica that has the request.
            connection: By which it was sent; None once that has brought all that it will.
            hold: The place that it has there.
            began: When it was sent.
            heard: When the replica last said anything.
        """
        asked, upstream = self.asked, endpoint.upstream
        self._tried.add(endpoint.replica_id)
        self._attempt = attempt = Attempt(
            self,
            self._parts,
            endpoint,
            head_of=self._head_for,
            body=asked.body if upstream is None else body_naming(asked, upstream.model),
            strip_usage=asked.strip_usage,
            hold=hold,
        )
        attempt.take_over(connection, began=began, heard=heard)
        return attempt

    def _may_resume(self, entry: Entry) -> bool:
        return entry.routing.resume_streams and self._wishes.resume and entry.runtime in RUNTIMES

    def _head_for(self, address: Address, key: str | None, body: bytes | FormBody) -> bytes:
        trace = None if self._try_span is None else self._try_span.header().decode("ascii")
        return upstream_head(self.asked, self._exchange, address, key=key, body=body, trace=trace)

    def send_more(self) -> None:
        """More of the request's body has come, or its end."""
        if self._attempt is not None:
            self._attempt.more()

    def take_more(self) -> None:
        """The client can take more."""
        if self._attempt is not None:
            self._attempt.resume()

    # What the try says.

    def on_events(self, attempt: Attempt, data: bytes, *, speaks: bool) -> None:
        """Whole events came."""
        answer, resume = self._answer, self._resume
        if not (speaks or answer.spoke):
            return  # comments ahead of the first event
        if resume is not None:
            resume.passed(data)
            if self._broken is not None:
                self._broken.end_turn()
                self._broken = None
        elif not answer.spoke:
            self._forget_body(attempt)
        answer.pass_on(attempt, data, speaks=speaks)

    def _forget_body(self, attempt: Attempt) -> None:
        """A stream that has begun and can't be resumed is never sent again, and may last long: its prompt takes no memory."""
        if isinstance(self.asked.body, bytes):
            self.asked = replace(self.asked, body=b"", members=None, prompt_at=(0, 0))
            attempt.forget_body()

    def on_stream_done(self, attempt: Attempt, data: bytes) -> None:
        """The stream is complete."""
        self._served(attempt)
        answer = self._answer
        end = marked(data) if self._exchange.resumed else data
        answer.note_first_event()
        self._request.answered(lambda: answer.end_events(end))

    def on_answer(self, attempt: Attempt, content: bytes) -> None:
        """The whole answer came."""
        self._served(attempt)
        reply, content_type = self._answer.reply, attempt.content_type
        if reply.started:
            self._request.fail(NO_STREAM)  # comments were sent meanwhile, as one does in a stream
            return
        self._request.answered(lambda: reply.whole(200, content, content_type=content_type))

    def on_large_answer(self, attempt: Attempt, data: bytes) -> None:
        """A piece came of an answer too large to be held back."""
        if self._answer.reply.events:
            self.stop()
            self._request.fail(NO_STREAM)
            return
        self._answer.pass_piece(attempt, data)

    def on_large_answer_done(self, attempt: Attempt) -> None:
        """That was all of it."""
        self._served(attempt)
        self._request.answered(self._answer.reply.end)

    def on_refused(self, attempt: Attempt, error: ErrorReply) -> None:
        """The replica answered with an error that is the client's to know."""
        if error.status >= 500:
            self._left(attempt)
            now = self._parts.clock.monotonic()
            blame(self._parts, self.entry.job_id, attempt.endpoint.replica_id, Failure.ERROR, now)
        else:
            self._served(attempt)
        self._request.fail(error)

    def on_failed(self, attempt: Attempt, error: ErrorReply, failure: Failure) -> None:
        """The replica could not do it."""
        parts, job_id = self._parts, self.entry.job_id
        self._left(attempt)
        now = parts.clock.monotonic()
        blame(parts, job_id, attempt.endpoint.replica_id, failure, now)
        parts.lines.pump(job_id)
        if not self._try_again(error, now):
            self._request.fail(error)

    def on_bug(self) -> None:
        """An exception that nobody expected is being handled."""
        self._request.bug()

    def _served(self, attempt: Attempt) -> None:
        """A try is over, and the replica has done what it is there for."""
        self._left(attempt)
        praise(self._parts, self.entry.job_id, attempt.endpoint.replica_id)

    def _left(self, attempt: Attempt) -> None:
        """A try is over, one way or the other."""
        exchange, answer = self._exchange, self._answer
        exchange.replica_seconds += self._parts.clock.monotonic() - attempt.began
        answer.events += attempt.events
        answer.passed = attempt.passed
        exchange.usage = attempt.usage or exchange.usage
        self._attempt = None
        if self._broken is not None:
            self._broken.end_turn()
        if self._try_span is not None:
            self._try_span.end()

    # Another replica.

    def _try_again(self, error: ErrorReply, now: float) -> bool:
        """Go on with another replica, if that is possible; gives whether it is."""
        parts = self._parts
        if self._exchange.tries > parts.settings.retries_max or self._answer.reply.gone:
            return False
        if self._answer.partial:
            return self._mend(error, now)
        if self.look_again() is None:
            return False
        endpoint = self.choose(bounded=False)
        if endpoint is None or not parts.budget(self.entry.job_id).may_retry(now):
            return False
        parts.metrics.retried(error.code or "")
        self.go(endpoint)
        return True

    def _mend(self, error: ErrorReply, now: float) -> bool:
        """Have another replica go on with a stream of which the client has had a part; gives whether one may."""
        # What was no stream can't be gone on with, whatever was asked for.
        if not self._answer.spoke or self.rest() is None:
            return False
        # Each stream has one for free, since that many streams there are and no more. One whose replicas go on dying has to
        # share with all that are tried again.
        if self._exchange.resumed and not self._parts.budget(self.entry.job_id).may_retry(now):
            return False
        self._broken = BrokenStream(
            self._request,
            self,
            self._parts,
            self._exchange,
            error,
            deadline=waits_until(self._parts, self.entry, now),
        )
        return self._broken.go_on()

    def rest(self) -> bytes | None:
        """What to ask for, to get the rest of the stream; None where that can't be had."""
        return None if self._resume is None else self._resume.continuation(self.asked, self.entry.runtime)

    # Time, and the end.

    def due(self) -> float:
        """When to look at them again."""
        due = _NEVER if self._place is None else self._place.due
        if self._broken is not None:
            due = min(due, self._broken.due)
        if self._attempt is not None:
            due = min(due, self._attempt.due())
        return due

    def look(self, now: float) -> None:
        """Look at every deadline."""
        if self._broken is not None and now >= self._broken.due:
            self._request.fail(self._broken.error)
        elif self._place is not None and now >= self._place.due:
            self._place.leave()
            self._place.give_up(self._parts.table.target(self.entry.job_id))
        elif self._attempt is not None:
            self._attempt.check(now)

    def stop(self) -> None:
        """Give up the try that is under way."""
        attempt = self._attempt
        if attempt is not None:
            attempt.stop()
            self._left(attempt)

    def leave(self) -> None:
        """The request is over: wait for nothing any more."""
        if self._place is not None:
            self._place.leave()
        if self._broken is not None:
            self._broken.leave()
            self._broken = None
