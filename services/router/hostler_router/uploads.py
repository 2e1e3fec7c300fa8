"""A request for inference that is a form with a file in it.

It is sent to a replica while it arrives, as soon as the model is known, a file has begun, and more has come than one read brings; what
is smaller, or says its model behind its file, goes out when it can. All that came is kept as well, so that another replica can be
sent the same when one fails before it has answered. The client is never made to wait for a slower replica: what that has not taken yet
lies with the rest, within the cap on uploads, and a client that is not read from could hang up unnoticed.
"""

from typing import Final

from hostler_router.bodies import Asked, read_form
from hostler_router.exchange import Exchange
from hostler_router.forms import FormReader
from hostler_router.inference import InferenceRequest
from hostler_router.openai_errors import ErrorReply, Refused, body_stalled, body_too_slow
from hostler_router.parts import RouterParts
from hostler_router.upload_spool import FormBody, UploadSpool
from hostler_router.wire.heads import Head
from hostler_router.wire.reply import Reply

_AT_ONCE_BYTES: Final = 64 * 1024
"""What is shorter is sent when all of it is here, with its length, and holds no replica before."""
_NEVER: Final = float("inf")


class UploadRequest(InferenceRequest):
    """A request with a file."""

    def __init__(
        self, parts: RouterParts, head: Head, reply: Reply, exchange: Exchange, *, may_stream: bool
    ) -> None:
        self._spool: UploadSpool | None = None
        self._body_ends = exchange.started + parts.settings.upload_timeout_seconds
        super().__init__(parts, head, reply, exchange, may_stream=may_stream)
        try:
            self._reader = FormReader(head.headers.get(b"content-type", b"").decode("latin-1"))
        except Refused:
            parts.wheel.disarm(self)  # it is answered by whoever made it, and must not be heard of again
            raise
        self._spool = UploadSpool(memory_bytes=parts.settings.upload_memory_bytes, expected=head.length or 0)
        self._wait_for_more()

    @property
    def _body_bytes_max(self) -> int:
        return self._parts.settings.upload_bytes_max

    @property
    def _body_timeout_seconds(self) -> float:
        settings = self._parts.settings
        return min(settings.upload_timeout_seconds, settings.upload_stall_seconds)

    @property
    def _kept(self) -> UploadSpool:
        if self._spool is None:
            raise RuntimeError("the request is over")
        return self._spool

    def _keep(self, data: bytes) -> None:
        spool, reader = self._kept, self._reader
        spool.write(reader.feed(data))
        self._wait_for_more()
        if self._asked is None:
            known = reader.model_known or self._wishes.model is not None
            if known and reader.file_begun and spool.size > _AT_ONCE_BYTES:
                self._enter(self._understood())
        elif self._attempt is not None:
            self._attempt.more()

    def _start(self) -> None:
        """All of it is here."""
        entered = self._asked is not None
        spool = self._kept
        asked = self._read()
        spool.whole = True
        self._body_deadline = _NEVER
        if not entered:
            self._enter(asked)
            return
        # A field behind the file may have said that the answer is to come as events.
        self._asked = asked
        self._exchange.stream = asked.stream
        self._wrote = now = self._parts.clock.monotonic()
        self._deadline = self._deadline_from(now)
        if self._attempt is not None:
            self._attempt.more()
        self._arm()

    def _read(self) -> Asked:
        self._reader.close()
        return self._understood()

    def _understood(self) -> Asked:
        reader, meant = self._reader, self._wishes.model
        values = reader.values if meant is None else {**reader.values, b"model": meant.encode()}
        return read_form(values, FormBody(self._kept, reader.content_type, reader.delimiter))

    def _let_go(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    # Time.

    def _wait_for_more(self) -> None:
        """Only an assignment for each piece: the wheel asks again when the earlier time has come."""
        stalls = self._parts.clock.monotonic() + self._parts.settings.upload_stall_seconds
        self._body_deadline = min(self._body_ends, stalls)

    def _deadline_from(self, now: float) -> float:
        # The job's time is for its work; how long the form may take to arrive has a bound of its own.
        return super()._deadline_from(now) if self._kept.whole else _NEVER

    def _too_slow(self, now: float) -> ErrorReply:
        if now >= self._body_ends:
            return body_too_slow(self._parts.settings.upload_timeout_seconds)
        return body_stalled(self._parts.settings.upload_stall_seconds)

    def _keep_alive(self, now: float) -> None:
        if self._kept.whole:
            super()._keep_alive(now)
        else:
            self._wrote = now  # a client that still speaks is not waiting, and may yet be told an error
