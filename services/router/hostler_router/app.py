"""The public port: which request goes where, what is answered at once, and what is noted when a request has ended.

Called by the server for each head. Every reply carries `x-request-id`, every error has OpenAI's shape, and every request but a probe's
leaves one line in the log, without a word of what was in it. Paths are an allow-list.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from hostler_domain.redaction import redact
from hostler_kit.ids import new_id
from hostler_kit.ops import Readiness
from hostler_kit.trace_context import read_trace
from hostler_router.admission import admit
from hostler_router.arriving import WholeBody, refuse_too_long
from hostler_router.auth import ANYONE, Caller
from hostler_router.cors import Cors
from hostler_router.direct import DirectRequest
from hostler_router.ending import fail_reply
from hostler_router.exchange import Exchange, Outcome
from hostler_router.inference import InferenceRequest
from hostler_router.models import models_list, one_model
from hostler_router.openai_errors import (
    INTERNAL,
    ROUTER_STARTING,
    ErrorReply,
    Refused,
    ambiguous_model,
    not_offered,
    unknown_model,
    unknown_route,
    wrong_method,
)
from hostler_router.parts import RouterParts
from hostler_router.proxied import Owners, ProxiedRequest
from hostler_router.table import Ambiguous, Entry
from hostler_router.uploads import ArrivingForm
from hostler_router.wire.heads import Head
from hostler_router.wire.reply import Reply, Sink
from hostler_router.wishes import Wishes, canonical

MAY_STREAM: Final[Mapping[str, bool]] = {
    "/v1/chat/completions": True,
    "/v1/completions": True,
    "/v1/embeddings": False,
    "/v1/responses": True,
    "/v1/rerank": False,
    "/v1/score": False,
    "/v1/tokenize": False,
    "/v1/detokenize": False,
}
"""Routes that are relayed as they are, and whether they know streams."""
UPLOADS: Final = frozenset({"/v1/audio/transcriptions", "/v1/audio/translations"})
"""Routes that take a form with a file in it."""
_PLAIN: Final = {route.encode(): route for route in (*MAY_STREAM, *UPLOADS)}
"""How nearly everybody spells them."""
_MODELS: Final = "/v1/models"
_OTHER: Final = "other"
_PROBES: Final = frozenset({"/healthz", "/readyz"})
_HARMLESS_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Known:
    """What a head has said that began a plain request, for the next ones with the same headers.

    Attributes:
        target: Which it asked for, as it was spelled.
        route: What that is.
        may_stream: Whether it knows streams.
        caller: Whose key it is, which may have been revoked since.
        wishes: What else the headers said.
    """

    target: bytes
    route: str
    may_stream: bool
    caller: Caller
    wishes: Wishes


class RouterApp:
    """What the server hands heads to."""

    def __init__(self, parts: RouterParts, *, readiness: Readiness, cors: Cors, owners: Owners) -> None:
        """Make it.

        Args:
            parts: What requests work with.
            readiness: For the probe.
            cors: Which pages may call from browsers.
            owners: Who answers the routes that are only passed on.
        """
        self._parts = parts
        self._readiness = readiness
        self._cors = cors
        self._owners = owners

    def begin(self, head: Head, reply: Reply) -> Sink | None:
        """Take a request by its head."""
        known = head.headers.known
        if known is not None and (sink := self._begin_again(known, head, reply)) is not None:
            return sink
        path = route = _PLAIN.get(head.target)
        if path is None or route is None:
            path = canonical(_path(head.target))
            if path in _PROBES:
                self._probe(head, path, reply)
                return None
            route = _label(path)
        given_id = request_id_of(head)
        request_id = given_id or new_id()
        reply.lines = b"x-request-id: %b\r\n" % request_id.encode()
        if self._cors.some:
            reply.extra += tuple(self._cors.headers(head))
            if self._cors.is_preflight(head):
                reply.whole(204, b"", headers=self._cors.preflight(head))
                return None
        exchange = Exchange(request_id, route, self._parts.clock.monotonic())
        exchange.named_by_client = given_id is not None
        if b"traceparent" in head.headers and (trace := read_trace(head.headers)) is not None:
            exchange.trace, exchange.tracestate = trace
        try:
            if path in MAY_STREAM and head.method == "POST" and self._parts.caught_up():
                return self._infer(head, path, reply, exchange)
            return self._dispatch(head, path, reply, exchange)
        except Refused as refused:
            exchange.outcome = Outcome.REFUSED if exchange.outcome is Outcome.ANSWERED else exchange.outcome
            self._answer_error(refused.reply, exchange, reply)
        except Exception:  # the outermost frame: a bug in one request must not look like anything but a 500
            self._parts.logger.exception("request.bug", request_id=request_id)
            exchange.outcome = Outcome.FAILED
            self._answer_error(INTERNAL, exchange, reply)
        return None

    def _begin_again(self, known: object, head: Head, reply: Reply) -> Sink | None:
        """Take a request whose head says what that of an earlier one said; None where it has to be looked at all the same."""
        parts = self._parts
        if (
            not isinstance(known, Known)
            or known.target != head.target
            or head.method != "POST"
            or (head.length or 0) > parts.settings.body_bytes_max
            or not parts.callers.holds(known.caller, now=parts.clock.now)
        ):
            return None
        caller, request_id = known.caller, new_id()
        parts.on_key(caller.key_id)
        reply.lines = b"x-request-id: %b\r\n" % request_id.encode()
        exchange = Exchange(request_id, known.route, parts.clock.monotonic())
        exchange.named_by_client = False
        exchange.key_id, exchange.key_project = caller.key_id, caller.viewer.project
        return self._begun(
            head, reply, exchange, caller=caller, wishes=known.wishes, may_stream=known.may_stream
        )

    def _dispatch(self, head: Head, path: str, reply: Reply, exchange: Exchange) -> Sink | None:
        if path in MAY_STREAM or path in UPLOADS:
            if head.method != "POST":
                raise Refused(wrong_method(head.method, path, "POST"))
            if not self._parts.caught_up():
                raise Refused(ROUTER_STARTING)
            return self._infer(head, path, reply, exchange)
        if exchange.route == _MODELS:
            if head.method != "GET":
                raise Refused(wrong_method(head.method, path, "GET"))
            if not self._parts.caught_up():
                raise Refused(ROUTER_STARTING)
            content = self._models(head, path)
            self._parts.ended(exchange, 200, self._parts.clock.monotonic() - exchange.started)
            reply.whole(200, content)
            return None
        owned = self._owners.of(path)
        if owned is None or ".." in path:
            raise Refused(unknown_route(head.method, path))
        exchange.route = owned.route
        if owned.url is None:
            raise Refused(not_offered(owned.route))
        return ProxiedRequest(
            self._parts, head, reply, exchange, owned.url, target=_target(head.target, path)
        )

    def _infer(self, head: Head, path: str, reply: Reply, exchange: Exchange) -> Sink:
        parts = self._parts
        caller, wishes = admit(parts, head, exchange)
        may_stream = MAY_STREAM.get(path)
        if may_stream is not None:
            if head.length is not None:
                refuse_too_long(head, reply, parts.settings.body_bytes_max)
            if (
                isinstance(caller, Caller)
                and not exchange.named_by_client
                and exchange.trace is None
                and not self._cors.some
            ):
                head.headers.known = Known(head.target, path, may_stream, caller, wishes)
            return self._begun(head, reply, exchange, caller=caller, wishes=wishes, may_stream=may_stream)
        form = ArrivingForm(parts, head, reply, exchange, wishes.model)
        span = None if parts.tracer is None else parts.tracer.begin(head.headers, exchange.started)
        return InferenceRequest(
            parts, head, reply, exchange, caller=caller, wishes=wishes, body=form, span=span
        )

    def _begun(
        self,
        head: Head,
        reply: Reply,
        exchange: Exchange,
        *,
        caller: Caller | ErrorReply,
        wishes: Wishes,
        may_stream: bool,
    ) -> Sink:
        """What takes a request that is no form; one whose trace is kept is told of in stages, which only the longer way has."""
        parts = self._parts
        span = None if parts.tracer is None else parts.tracer.begin(head.headers, exchange.started)
        if span is None:
            return DirectRequest(
                parts, head, reply, exchange, caller=caller, wishes=wishes, may_stream=may_stream
            )
        body = WholeBody(parts, head, reply, exchange, wishes.model, may_stream=may_stream)
        return InferenceRequest(
            parts, head, reply, exchange, caller=caller, wishes=wishes, body=body, span=span
        )

    def _models(self, head: Head, path: str) -> bytes:
        parts = self._parts
        caller = parts.callers.authenticate(head.headers, now=parts.clock.now())
        if isinstance(caller, Caller):
            parts.on_key(caller.key_id)
        model = path.removeprefix(_MODELS).strip("/")
        if not model:
            if isinstance(caller, ErrorReply):
                raise Refused(caller)
            return models_list(parts.table.listed(caller.viewer))
        found = parts.table.find(model, caller.viewer if isinstance(caller, Caller) else ANYONE)
        if isinstance(found, Entry):
            return one_model(found)
        if isinstance(caller, ErrorReply):
            raise Refused(caller)
        raise Refused(
            ambiguous_model(model, found.job_ids) if isinstance(found, Ambiguous) else unknown_model(model)
        )

    def _answer_error(self, error: ErrorReply, exchange: Exchange, reply: Reply) -> None:
        seconds = self._parts.clock.monotonic() - exchange.started
        self._parts.ended(exchange, error.status, seconds)
        fail_reply(reply, error)

    def _probe(self, head: Head, path: str, reply: Reply) -> None:
        if head.method not in ("GET", "HEAD"):
            fail_reply(reply, wrong_method(head.method, path, "GET, HEAD"))
            return
        if path == "/healthz":
            reply.whole(200, json.dumps({"status": "ok"}).encode())
            return
        # Which check says no is told on the ops port; strangers only learn that one does.
        ready = all(check.ok for check in self._readiness.report().values())
        status = "ready" if ready else "not ready"
        reply.whole(200 if ready else 503, json.dumps({"status": status}).encode())


def request_id_of(head: Head) -> str | None:
    """The client's own id of its request if it is short and harmless."""
    given = head.headers.get(b"x-request-id")
    if given is None or not _HARMLESS_ID.fullmatch(given):
        return None
    text = given.decode("latin-1")
    return text if redact(text) == text else None


def _path(target: bytes) -> str:
    path = target.partition(b"?")[0]
    if path.startswith((b"http://", b"https://")):
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    return (unquote_to_bytes(path) if b"%" in path else path).decode("utf-8", "replace")


def _target(target: bytes, path: str) -> bytes:
    """What an owner is asked for: the route that was looked at, in no other spelling, and the query as it came."""
    _, mark, query = target.partition(b"?")
    return quote(path, safe="/").encode() + mark + query


def _label(path: str) -> str:
    """The path as one of few words, for figures."""
    if path in MAY_STREAM or path in UPLOADS:
        return path
    return _MODELS if path == _MODELS or path.startswith(f"{_MODELS}/") else _OTHER
