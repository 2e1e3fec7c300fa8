"""From the errors of NATS to our own. Only the other `nats_*` modules use it."""

import re

import nats.errors
from nats.js.errors import APIError, NoStreamResponseError

from hostler_bus.errors import (
    BusClosed,
    BusError,
    BusRefused,
    BusUnavailable,
    MessageTooLarge,
    SequenceConflict,
    StreamFull,
)

FOREIGN = (nats.errors.Error, OSError, TimeoutError)
"""Everything that the library raises on purpose. Its own errors are not all `nats.errors.TimeoutError` where time ran out."""

WRONG_LAST_SEQUENCE = frozenset({10071, 10164})
_FULL = frozenset({10023, 10047, 10077})
_REFUSED = frozenset({10052, 10054, 10058, 10065, 10165, 10166})
_NUMBER = re.compile(r"\d+$")


def translate(error: BaseException, doing: str) -> BusError:
    """What went wrong while `doing`, for our callers."""
    match error:
        case APIError(err_code=int(code)) if code in WRONG_LAST_SEQUENCE:
            number = _NUMBER.search(error.description or "")
            return SequenceConflict(
                f"{doing}: somebody else was faster", actual_seq=int(number.group()) if number else None
            )
        case APIError(err_code=int(code)) if code in _FULL:
            return StreamFull(f"{doing}: {error.description}")
        case APIError(err_code=int(code)) if code in _REFUSED:
            return BusRefused(f"{doing}: {error.description}")
        case APIError():
            return BusUnavailable(f"{doing}: {error.description or error}")
        case nats.errors.MaxPayloadError():
            return MessageTooLarge(f"{doing}: larger than the server takes")
        case nats.errors.ConnectionDrainingError():
            return BusClosed(f"{doing}: the connection is being closed")
        case NoStreamResponseError() | nats.errors.NoRespondersError():
            return BusUnavailable(f"{doing}: no JetStream, or not that stream, at the moment")
        case TimeoutError():
            return BusUnavailable(f"{doing}: no answer in time")
        case _:
            return BusUnavailable(f"{doing}: {error}")
