"""The application on the public port: which handler a request goes to, and what is noted when it has ended.

Raw ASGI. Every reply carries `x-request-id`, every error has OpenAI's shape, and every request but a probe's leaves one line
in the log, without a word of what was in it.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from starlette.types import Receive, Scope, Send

from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_kit.ops import Readiness
from hostler_router.auth import ANYONE, Caller, authenticate
from hostler_router.edge import ClientGone, Reply, Request, read_head, request_id_of
from hostler_router.exchange import Exchange, Outcome
from hostler_router.inference import FindKey, Inference, OnKey
from hostler_router.metrics import RouterMetrics
from hostler_router.models import models_list, one_model
from hostler_router.openai_errors import (
    INTERNAL,
    ROUTER_STARTING,
    ErrorReply,
    Refused,
    ambiguous_model,
    unknown_model,
    unknown_route,
    wrong_method,
)
from hostler_router.table import Ambiguous, Entry, RouteTable
from hostler_router.wishes import canonical

MAY_STREAM: Final = {"/v1/chat/completions": True, "/v1/completions": True, "/v1/embeddings": False}
"""Routes that are relayed as they are, and whether they know streams."""
UPLOADS: Final = frozenset({"/v1/audio/transcriptions", "/v1/audio/translations"})
"""Routes that take a form with a file in it."""
_MODELS: Final = "/v1/models"
_OTHER: Final = "other"
_PROBES: Final = frozenset({"/healthz", "/readyz"})
_CLIENT_GONE_CODE: Final = 499
"""The code by which logs and figures, nginx's first, call a request whose client hung up."""


class RouterApp:
    """The ASGI application."""

    def __init__(
        self,
        inference: Inference,
        table: RouteTable,
        find_key: FindKey,
        *,
        on_key: OnKey,
        caught_up: Callable[[], bool],
        readiness: Readiness,
        metrics: RouterMetrics,
        clock: Clock,
        logger: Logger,
    ) -> None:
        """Make the application.

        Args:
            inference: Takes the requests that go to replicas.
            table: Where they may go.
            find_key: Gives a stored API key by its hash.
            on_key: Told of the id of every key that is used.
            caught_up: Whether table and keys are known in full; until then nothing can be said to be unknown.
            readiness: For the probe.
            metrics: The figures.
            clock: The time.
            logger: For one line per request.
        """
        self._inference = inference
        self._table = table
        self._find_key = find_key
        self._on_key = on_key
        self._caught_up = caught_up
        self._readiness = readiness
        self._metrics = metrics
        self._clock = clock
        self._logger = logger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        head = read_head(scope)
        request = replace(head, path=canonical(head.path))
        reply = Reply(send, request_id_of(request))
        if request.path in _PROBES:
            await self._probe(request, reply)
            return
        exchange = Exchange(reply.request_id, _label(request.path), self._clock.monotonic())
        try:
            await self._dispatch(request, receive, exchange, reply)
        except Refused as refused:
            if exchange.outcome is Outcome.ANSWERED:
                exchange.outcome = Outcome.REFUSED
            await reply.fail(refused.reply)
        except ClientGone:
            exchange.outcome = Outcome.CLIENT_GONE
            self._metrics.client_gone()
        except (
            Exception
        ):  # the outermost frame of a request: a bug in one must not look like anything but a 500
            self._logger.exception("request.bug", request_id=exchange.request_id)
            exchange.outcome = Outcome.FAILED
            await reply.fail(INTERNAL)
        finally:
            self._note(exchange, reply)

    async def _dispatch(self, request: Request, receive: Receive, exchange: Exchange, reply: Reply) -> None:
        path = request.path
        allowed = "GET" if _label(path) == _MODELS else "POST"
        if _label(path) == _OTHER:
            raise Refused(unknown_route(request.method, path))
        if request.method != allowed:
            raise Refused(wrong_method(request.method, path, allowed))
        if not self._caught_up():
            raise Refused(ROUTER_STARTING)
        if path in MAY_STREAM:
            await self._inference.handle(
                request, receive, may_stream=MAY_STREAM[path], exchange=exchange, reply=reply
            )
        elif path in UPLOADS:
            await self._inference.handle_upload(request, receive, exchange=exchange, reply=reply)
        else:
            await reply.whole(200, self._models(request))

    def _models(self, request: Request) -> bytes:
        caller = authenticate(request.headers, self._find_key, now=self._clock.now())
        if isinstance(caller, Caller):
            self._on_key(caller.key_id)
        model = request.path.removeprefix(_MODELS).strip("/")
        if not model:
            if isinstance(caller, ErrorReply):
                raise Refused(caller)
            return models_list(self._table.listed(caller.viewer))
        found = self._table.find(model, caller.viewer if isinstance(caller, Caller) else ANYONE)
        if isinstance(found, Entry):
            return one_model(found)
        if isinstance(caller, ErrorReply):
            raise Refused(caller)
        raise Refused(
            ambiguous_model(model, found.job_ids) if isinstance(found, Ambiguous) else unknown_model(model)
        )

    async def _probe(self, request: Request, reply: Reply) -> None:
        if request.method not in ("GET", "HEAD"):
            await reply.fail(wrong_method(request.method, request.path, "GET, HEAD"))
            return
        if request.path == "/healthz":
            await reply.whole(200, json.dumps({"status": "ok"}).encode())
            return
        # Which check says no is told on the ops port; strangers only learn that one does.
        ready = all(check.ok for check in self._readiness.report().values())
        status = "ready" if ready else "not ready"
        await reply.whole(200 if ready else 503, json.dumps({"status": status}).encode())

    def _note(self, exchange: Exchange, reply: Reply) -> None:
        seconds = self._clock.monotonic() - exchange.started
        code = reply.status or _CLIENT_GONE_CODE
        self._metrics.ended(exchange.route, code, seconds)
        if exchange.job_id and self._table.get(exchange.job_id) is not None:
            self._metrics.job_ended(exchange.job_id, exchange.outcome)
        if exchange.tries and not exchange.stream and exchange.outcome is Outcome.ANSWERED:
            self._metrics.overhead(seconds - exchange.body_seconds - exchange.replica_seconds)
        self._logger.info(
            "request",
            request_id=exchange.request_id,
            route=exchange.route,
            job=exchange.job_id or None,
            replica=exchange.replica_id or None,
            status=code,
            outcome=exchange.outcome,
            stream=exchange.stream,
            tries=exchange.tries,
            ms=round(seconds * 1000, 1),
        )


def _label(path: str) -> str:
    """The path as one of few words, for figures."""
    if path in MAY_STREAM or path in UPLOADS:
        return path
    return _MODELS if path == _MODELS or path.startswith(f"{_MODELS}/") else _OTHER
