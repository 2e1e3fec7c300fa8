"""One streamed answer as it passes through: which bytes the client gets, what was learnt from them, and whether it ended well.

Pure; fed by the try. An answer ends well with `[DONE]` and in no other way.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from hostler_router.answer_usage import JsonObject, Usage, as_object, read_usage
from hostler_router.openai_errors import BROKEN_OFF, ErrorReply
from hostler_router.sse import DONE, EventSplitter, EventTooLong, data_of
from hostler_router.upstream_errors import in_stream, is_error


@dataclass(frozen=True, slots=True)
class Passed:
    """What some bytes of the replica lead to.

    Attributes:
        out: For the client: whole events, maybe none.
        speaks: Whether there is an event among them, not only comments.
        events: How many there are.
        done: The answer is complete.
        error: The answer is broken and ends here.
    """

    out: bytes
    speaks: bool = False
    events: int = 0
    done: bool = False
    error: ErrorReply | None = None


class AnswerStream:
    """Filters one answer."""

    __slots__ = ("_rewrite", "_splitter", "_strip_usage", "usage")

    def __init__(
        self,
        *,
        strip_usage: bool,
        event_bytes_max: int,
        rewrite: Callable[[bytes], bytes | None] | None = None,
    ) -> None:
        """Start a filter.

        Args:
            strip_usage: The client did not ask for the usage: keep the event with nothing else in it from it.
            event_bytes_max: Longest event.
            rewrite: Gives what goes out instead of an event, None for nothing; for a stream that goes on with another's.
        """
        self._rewrite = rewrite
        self._strip_usage = strip_usage
        self._splitter = EventSplitter(event_bytes_max)
        self.usage: Usage | None = None

    def is_plain(self, data: bytes) -> bool:
        """Whether `data` is whole events and holds nothing that must be looked at, so that it may pass as it is.

        Nearly every piece of a stream is; none of the words can stand in a text unescaped, and a false alarm costs only time.
        """
        return (
            data[-2:] == b"\n\n"
            and data[:5] == b"data:"
            and self._splitter.empty
            and b'"usage"' not in data
            and b'"error"' not in data
            and b"[DONE]" not in data
        )

    def feed(self, data: bytes) -> Passed:
        """Pass on what `data` completes."""
        try:
            events = self._splitter.feed(data)
        except EventTooLong:
            return Passed(b"", error=BROKEN_OFF)
        return self._pass(events)

    def close(self) -> Passed:
        """The replica has closed the stream: without `[DONE]` before it, or now, that is a broken answer."""
        passed = self._pass(self._splitter.close())
        if passed.done or passed.error:
            return passed
        return Passed(passed.out, passed.speaks, passed.events, error=BROKEN_OFF)

    def _pass(self, events: list[bytes]) -> Passed:
        out: list[bytes] = []
        spoken = 0
        for event in events:
            data = data_of(event)
            if data is None:
                out.append(event)
                continue
            if data == DONE:
                out.append(event)
                return Passed(b"".join(out), speaks=True, events=spoken, done=True)
            passed: bytes | None = event if self._rewrite is None else self._rewrite(event)
            if passed is None:
                continue
            if self._rewrite is not None:
                data = data_of(passed) or data
            # Most events hold neither word, and need not be decoded. In a text they stand with escaped quotes.
            if b'"usage"' in data or b'"error"' in data:
                payload = _decoded(data)
                if is_error(payload):
                    return Passed(b"".join(out), spoken > 0, spoken, error=in_stream(payload))
                usage = read_usage(payload)
                self.usage = usage or self.usage
                if usage and self._strip_usage and payload.get("choices") == []:
                    continue
            spoken += 1
            out.append(passed)
        return Passed(b"".join(out), spoken > 0, spoken)


def _decoded(data: bytes) -> JsonObject:
    try:
        return as_object(msgspec.json.decode(data)) or {}
    except msgspec.DecodeError:
        return {}
