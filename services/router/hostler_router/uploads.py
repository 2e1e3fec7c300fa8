"""The body of a request that is a form with a file in it.

It is understood while it arrives, as soon as the model is known, a file has begun, and more has come than one read brings, so that it is
sent to a replica meanwhile; what is smaller, or says its model behind its file, goes out when it can. All that came is kept as well, so that
another replica can be sent the same when one fails before it has answered. The client is never made to wait for a slower replica: what
that has not taken yet lies with the rest, within the cap on uploads, and a client that is not read from could hang up unnoticed.
"""

from typing import Final

from hostler_router.arriving import refuse_too_long
from hostler_router.asked import Asked
from hostler_router.bodies import read_form
from hostler_router.exchange import Exchange
from hostler_router.forms import FormReader
from hostler_router.openai_errors import ErrorReply, Refused, body_stalled, body_too_large, body_too_slow
from hostler_router.parts import RouterParts
from hostler_router.upload_spool import FormBody, UploadSpool
from hostler_router.wire.heads import Head
from hostler_router.wire.reply import Reply

_AT_ONCE_BYTES: Final = 64 * 1024
"""What is shorter is sent when all of it is here, with its length, and holds no replica before."""
_NEVER: Final = float("inf")


class ArrivingForm:
    """A form; an `ArrivingBody`."""

    __slots__ = (
        "_clock",
        "_ends",
        "_meant",
        "_reader",
        "_settings",
        "_spool",
        "_told",
        "due",
        "size",
        "whole",
    )

    def __init__(
        self, parts: RouterParts, head: Head, reply: Reply, exchange: Exchange, meant: str | None
    ) -> None:
        """Begin one.

        Args:
            parts: What requests work with.
            head: Of the request.
            reply: Its answer.
            exchange: The course of it.
            meant: The model that its head names.

        Raises:
            Refused: the head announces too much, or something else than a form.
        """
        settings = self._settings = parts.settings
        refuse_too_long(head, reply, settings.upload_bytes_max)
        self._clock = parts.clock
        self._meant = meant
        self._reader = FormReader(head.headers.get(b"content-type", b"").decode("latin-1"))
        self._spool = UploadSpool(memory_bytes=settings.upload_memory_bytes, expected=head.length or 0)
        self._told = False
        self._ends = exchange.started + settings.upload_timeout_seconds
        self.size = 0
        self.whole = False
        self.due = self._due()

    def feed(self, data: bytes) -> Asked | None:
        """A piece has come."""
        self.size += len(data)
        if self.size > self._settings.upload_bytes_max:
            raise Refused(body_too_large(self._settings.upload_bytes_max))
        reader, spool = self._reader, self._spool
        spool.write(reader.feed(data))
        self.due = (
            self._due()
        )  # only an assignment for each piece: the wheel asks again when the earlier time has come
        known = reader.model_known or self._meant is not None
        if self._told or not known or not reader.file_begun or spool.size <= _AT_ONCE_BYTES:
            return None
        self._told = True
        return self._asked()

    def close(self) -> Asked:
        """All of it has come; a field behind the file may say that the answer is to come as events."""
        self._reader.close()
        asked = self._asked()
        self._spool.whole = self.whole = True
        self.due = _NEVER
        return asked

    def late(self, now: float) -> ErrorReply:
        """What is said of a form that was too slow."""
        if now >= self._ends:
            return body_too_slow(self._settings.upload_timeout_seconds)
        return body_stalled(self._settings.upload_stall_seconds)

    def free(self) -> None:
        """Nothing of it is wanted any more."""
        self._spool.close()

    def _asked(self) -> Asked:
        reader, meant = self._reader, self._meant
        values = reader.values if meant is None else {**reader.values, b"model": meant.encode()}
        return read_form(values, FormBody(self._spool, reader.content_type, reader.delimiter))

    def _due(self) -> float:
        return min(self._ends, self._clock.monotonic() + self._settings.upload_stall_seconds)
