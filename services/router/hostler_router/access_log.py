"""A line in the log for every request, at little cost: noted at once, written ten times a second, many in one write.

The request path calls `note`. Where the log is JSON the lines are encoded here, with the fields that `hostler_kit.logs` gives every
line; a contract test compares the two. Where people read along, each goes through the logger as any other line does. Who is
killed loses the lines of the last tenth of a second.
"""

import asyncio
import json
import logging
import os
import stat
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import BinaryIO, Final

import msgspec

from hostler_domain.redaction import redact
from hostler_kit.logs import Logger
from hostler_router.access_line import AccessLine
from hostler_router.answers import Ended
from hostler_router.exchange import Exchange, Outcome

_PERIOD_SECONDS: Final = 0.1
_LINES_MAX: Final = 2000
"""Written at once when so many wait, so that they do not pile up."""
_PIPE_BYTES: Final = 4096
"""What a pipe takes in one piece (PIPE_BUF): several workers may write to one."""

_at: Final = datetime.fromtimestamp

Value = str | int | float | bool | None
Fields = dict[str, Value]
_Line = tuple[float, Exchange, int, float, Fields | None]
"""When it was noted, the request, its status, how long it took, and what only some lines have."""


class AccessLog:
    """The lines of one router.

    Attributes:
        lost: Lines that could not be written.
    """

    __slots__ = (
        "_encoder",
        "_logger",
        "_noted",
        "_off",
        "_piece_bytes",
        "_service",
        "_stream",
        "_timer",
        "_wall",
        "lost",
    )

    def __init__(
        self,
        logger: Logger,
        stream: BinaryIO | None,
        *,
        service: str = "",
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`stream` takes JSON; None sends every line through `logger`. `service` is the process's name, as in its other lines."""
        self.lost = 0
        self._logger = logger
        self._stream = stream
        self._service = service
        self._wall = wall
        self._off = not logger.is_enabled_for(logging.INFO)
        self._noted: list[_Line] = []
        self._timer: asyncio.TimerHandle | None = None
        self._encoder = msgspec.json.Encoder(enc_hook=str)
        self._piece_bytes = _piece_bytes(stream)

    def note(
        self,
        request_id: str,
        route: str,
        job_id: str,
        replica_id: str,
        status: int,
        outcome: Outcome,
        stream: bool,
        tries: int,
        seconds: float,
        **more: Value,
    ) -> None:
        """A request ended. `more` is what only some lines have; texts among it may be the client's own words."""
        if self._off:
            return
        exchange = Exchange(request_id, route, 0.0)
        exchange.job_id, exchange.replica_id = job_id, replica_id
        exchange.outcome, exchange.stream, exchange.tries = outcome, stream, tries
        self._take((self._wall(), exchange, status, seconds, more))

    def note_ended(self, exchange: Exchange, status: int, seconds: float) -> None:
        """A request ended, of which nothing changes any more."""
        if not self._off:
            self._take((self._wall(), exchange, status, seconds, None))

    def note_all(self, ended: Sequence[Ended], status: int, *, ahead_seconds: float) -> None:
        """Write that requests ended; `ahead_seconds` is the time of day less that of the clock by which they began."""
        if self._off or not ended:
            return
        lines: list[_Line] = [
            (exchange.started + seconds + ahead_seconds, exchange, status, seconds, None)
            for exchange, seconds in ended
        ]
        if self._stream is None:
            for line in lines:
                self._logger.info("request", **_fields(line))
        else:
            self._noted += lines
            self.flush()

    def _take(self, line: _Line) -> None:
        if self._stream is None:
            self._logger.info("request", **_fields(line))
            return
        noted = self._noted
        noted.append(line)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PERIOD_SECONDS, self.flush)
        elif len(noted) >= _LINES_MAX:
            self.flush()

    def flush(self) -> None:
        """Write what was noted; also to be called once at the end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._noted = self._noted, []
        if not lines or self._stream is None:
            return
        service = self._service
        encoded = self._encode([_document(line, service) for line in lines])
        try:
            for piece in encoded:
                self._stream.write(piece)
                # A write per piece: of a pipe's readers none sees it mixed with another process's.
                self._stream.flush()
        except (OSError, ValueError):  # a full disk, a closed pipe; the requests were answered all the same
            self.lost += len(lines)

    def _encode(self, documents: list[Fields | AccessLine]) -> list[bytes]:
        """Texts that may go out in one write each."""
        try:
            if self._piece_bytes is None:
                return [self._encoder.encode_lines(documents)]
            encode = self._encoder.encode
            return _pieces([encode(document) + b"\n" for document in documents], self._piece_bytes)
        except (
            ValueError
        ):  # a text that is no Unicode, out of some header: msgspec refuses it, json writes it down
            plain = [msgspec.to_builtins(each) for each in documents]
            lines = [json.dumps(document, default=str).encode() + b"\n" for document in plain]
            return lines if self._piece_bytes is None else _pieces(lines, self._piece_bytes)


def _document(line: _Line, service: str) -> Fields | AccessLine:
    at, exchange, status, seconds, more = line
    if more:
        timestamp = _at(at, UTC).isoformat().replace("+00:00", "Z")
        place = {"event": "request", "service": service, "level": "info", "timestamp": timestamp}
        return {**_fields(line), **place}
    return AccessLine(
        # A client may have chosen it.
        redact(exchange.request_id) if exchange.named_by_client else exchange.request_id,
        exchange.route, exchange.job_id or None, exchange.replica_id or None, status, exchange.outcome, exchange.stream,
        exchange.tries, round(seconds * 1000, 1), "request", service, "info", _at(at, UTC),
    )  # fmt: skip  # one name a line would take a screen


def _fields(line: _Line) -> Fields:
    _, exchange, status, seconds, more = line
    fields: Fields = {
        "request_id": redact(exchange.request_id),
        "route": exchange.route,
        "job": exchange.job_id or None,
        "replica": exchange.replica_id or None,
        "status": status,
        "outcome": exchange.outcome,
        "stream": exchange.stream,
        "tries": exchange.tries,
        "ms": round(seconds * 1000, 1),
    }
    for name, value in (more or {}).items():
        fields[name] = redact(value) if isinstance(value, str) else value
    return fields


def _piece_bytes(stream: BinaryIO | None) -> int | None:
    """How much may be written at once so that nothing of others gets between; None for any amount."""
    try:
        is_pipe = stream is not None and stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):  # no file of the system
        is_pipe = False
    return _PIPE_BYTES if is_pipe else None


def _pieces(lines: list[bytes], bytes_max: int) -> list[bytes]:
    """Whole lines, together no longer than this; a longer line alone."""
    pieces: list[bytes] = []
    gathered: list[bytes] = []
    size = 0
    for line in lines:
        if gathered and size + len(line) > bytes_max:
            pieces.append(b"".join(gathered))
            gathered, size = [], 0
        gathered.append(line)
        size += len(line)
    return [*pieces, b"".join(gathered)]
