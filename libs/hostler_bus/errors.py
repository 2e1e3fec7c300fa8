"""What can go wrong on the bus, in Hostler's own words.

Adapters translate at their edge, so nobody above them ever catches a foreign exception.
"""

from hostler_domain.errors import Conflict, HostlerError, PermanentError, TemporaryError


class BusError(HostlerError):
    """Root of everything that the bus raises."""


class BusUnavailable(BusError, TemporaryError):
    """No answer in time. For a write this means *unknown*, never *no*: the same message id may be sent again."""


class BusClosed(BusError, PermanentError):
    """The bus was drained; nothing more goes through it."""


class BusRefused(BusError, PermanentError):
    """The server does not let us do this: wrong credentials, or a stream that can't be made as it was declared."""


class StreamFull(BusError, TemporaryError):
    """The stream has no room and keeps what it has. Nothing was stored."""


class MessageTooLarge(BusError, PermanentError):
    """The server takes no message of this size. Nothing was stored."""


class BadSubject(BusError, PermanentError):
    """No declared stream takes this subject, or it is not one subject but a pattern."""


class BadKey(BusError, PermanentError):
    """Not a key that a bucket can hold."""


class UnknownBucket(BusError, PermanentError):
    """A bucket that the topology does not declare."""


class SequenceConflict(BusError, Conflict):
    """Somebody else appended first. Nothing was stored.

    Attributes:
        actual_seq: Sequence of the last message under the expected subjects, where the server told it.
    """

    def __init__(self, message: str, *, actual_seq: int | None = None) -> None:
        super().__init__(message)
        self.actual_seq = actual_seq


class RevisionConflict(BusError, Conflict):
    """The key's value is not, or is no longer, of the revision that was expected. Nothing was stored."""


class NoResponder(BusError, TemporaryError):
    """Nobody serves the subject at the moment."""


class RequestTimeout(BusError, TemporaryError):
    """Somebody serves the subject but has not answered in time."""


class HandlerFailed(BusError, TemporaryError):
    """Whoever serves the subject answered that it could not."""
