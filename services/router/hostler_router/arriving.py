"""A request's body while it arrives, and what is known of it by then.

Made by the application, fed by the request. Here is the body that is read when all of it is here; `uploads` has the one of a form,
which is understood before that.
"""

from typing import Final, Protocol

from hostler_router.asked import Asked
from hostler_router.bodies import read_request
from hostler_router.exchange import Exchange
from hostler_router.openai_errors import ErrorReply, Refused, body_too_large, body_too_slow
from hostler_router.parts import RouterParts
from hostler_router.wire.heads import Head
from hostler_router.wire.reply import Reply

_NEVER: Final = float("inf")


class ArrivingBody(Protocol):
    """A body.

    Attributes:
        size: How much has come.
        whole: All of it has.
        due: When it has been too slow, in monotonic seconds; infinity once it is whole.
    """

    size: int
    whole: bool
    due: float

    def feed(self, data: bytes) -> Asked | None:
        """A piece has come; gives what is asked for, once, where that is known ahead of the end.

        Raises:
            Refused: it is too long, or makes no sense.
        """

    def close(self) -> Asked:
        """All of it has come; gives what is asked for, as all of it says.

        Raises:
            Refused: it makes no sense.
        """

    def late(self, now: float) -> ErrorReply:
        """What is said of a body that was too slow."""

    def free(self) -> None:
        """Nothing of it is wanted any more."""


class WholeBody:
    """A body that is read when all of it is here."""

    __slots__ = (
        "_bytes_max",
        "_may_stream",
        "_meant",
        "_pieces",
        "_route",
        "_seconds",
        "due",
        "size",
        "whole",
    )

    def __init__(
        self,
        parts: RouterParts,
        head: Head,
        reply: Reply,
        exchange: Exchange,
        meant: str | None,
        *,
        may_stream: bool,
    ) -> None:
        """Begin one.

        Args:
            parts: What requests work with.
            head: Of the request.
            reply: Its answer.
            exchange: The course of it.
            meant: The model that its head names.
            may_stream: Whether its route knows streams.

        Raises:
            Refused: the head announces too much.
        """
        self._bytes_max = parts.settings.body_bytes_max
        self._seconds = parts.settings.body_timeout_seconds
        self._meant = meant
        self._route = exchange.route
        self._may_stream = may_stream
        self._pieces: list[bytes] = []
        self.size = 0
        self.whole = False
        self.due = exchange.started + self._seconds
        refuse_too_long(head, reply, self._bytes_max)

    def feed(self, data: bytes) -> Asked | None:
        """A piece has come."""
        self.size += len(data)
        if self.size > self._bytes_max:
            raise Refused(body_too_large(self._bytes_max))
        self._pieces.append(data)
        return None

    def close(self) -> Asked:
        """All of it has come."""
        self.whole, self.due = True, _NEVER
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces = []
        return read_request(body, may_stream=self._may_stream, meant=self._meant, route=self._route)

    def late(self, _now: float) -> ErrorReply:
        """What is said of a body that was too slow."""
        return body_too_slow(self._seconds)

    def free(self) -> None:
        """Nothing of it is wanted any more."""
        self._pieces = []


class ReadBody:
    """A body that came and was read before."""

    __slots__ = ("due", "size", "whole")

    def __init__(self, size: int) -> None:
        self.size = size
        self.whole = True
        self.due = _NEVER

    def feed(self, _data: bytes) -> Asked | None:
        """There is nothing more of it."""
        return None

    def close(self) -> Asked:
        """It has ended before."""
        raise TypeError("this body has been read")

    def late(self, _now: float) -> ErrorReply:
        """It is never late."""
        return body_too_slow(0.0)

    def free(self) -> None:
        """Nothing of it is kept here."""


def refuse_too_long(head: Head, reply: Reply, bytes_max: int) -> None:
    """Refuse a body that is announced with too many bytes.

    Raises:
        Refused: it is.
    """
    if (head.length or 0) > bytes_max:
        # Refused before the go-ahead: whether the body comes all the same can't be known, so the connection ends.
        reply.closes = reply.closes or b"expect" in head.headers
        raise Refused(body_too_large(bytes_max))
