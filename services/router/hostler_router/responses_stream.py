"""One streamed answer of the route `/v1/responses`, which ends in another way than those of the older routes.

Its last event is `response.completed`, `response.incomplete` or `response.failed`, there is no `[DONE]`, the usage is within that event
whoever asks, and an error is an event named `error`. Pure; fed by the try in place of `AnswerStream`.
"""

from typing import Final

import msgspec

from hostler_domain.redaction import redact
from hostler_router.answer_stream import Passed
from hostler_router.answer_usage import Usage, as_object, read_usage
from hostler_router.openai_errors import BROKEN_OFF, ErrorReply
from hostler_router.sse import DONE, EventSplitter, EventTooLong, data_of
from hostler_router.upstream_errors import in_stream

ROUTE: Final = "/v1/responses"
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_END_WORDS: Final = (b'"response.completed"', b'"response.incomplete"', b'"response.failed"', b'"error"')
"""One of them is in every event that has to be read; others that hold one are read in vain."""
_TEXT: Final = b".delta"


class ResponsesStream:
    """Filters one answer.

    Attributes:
        usage: As the last event told it.
        passed: How many events the client got, which is the number of the next one.
    """

    __slots__ = ("_splitter", "passed", "usage")

    def __init__(self, *, event_bytes_max: int) -> None:
        """Start a filter for events of at most this length."""
        self._splitter = EventSplitter(event_bytes_max)
        self.usage: Usage | None = None
        self.passed = 0

    def is_plain(self, data: bytes) -> bool:  # noqa: ARG002  # the other kind of stream looks at it
        """Never: an event begins with its name here, so that each is looked at."""
        return False

    def feed(self, data: bytes) -> Passed:
        """Pass on what `data` completes."""
        try:
            events = self._splitter.feed(data)
        except EventTooLong:
            return Passed(b"", error=BROKEN_OFF)
        return self._pass(events)

    def close(self) -> Passed:
        """The replica has closed the stream: without a last event, that is a broken answer."""
        passed = self._pass(self._splitter.close())
        if passed.done or passed.error:
            return passed
        return Passed(passed.out, passed.speaks, passed.events, error=BROKEN_OFF)

    def _pass(self, events: list[bytes]) -> Passed:
        out: list[bytes] = []
        speaks, texts = False, 0
        for event in events:
            data = data_of(event)
            if (
                data == DONE
            ):  # of runtimes that end every stream alike; the client was told the end already, or there was none
                continue
            if data is not None and any(word in data for word in _END_WORDS):
                payload = as_object(_decoded(data)) or {}
                kind = payload.get("type")
                if kind == "error" or (kind is None and payload.get("error")):
                    return Passed(b"".join(out), speaks, texts, error=in_stream(payload))
                if kind in _ENDS:
                    self.usage = read_usage(as_object(payload.get("response")) or {}) or self.usage
                    self.passed += 1
                    out.append(event)
                    return Passed(b"".join(out), speaks=True, events=texts, done=True)
            if data is not None:
                speaks = True
                self.passed += 1
                texts += _TEXT in event
            out.append(event)
        return Passed(b"".join(out), speaks, texts)


def error_event(error: ErrorReply, number: int) -> bytes:
    """How such a stream ends that can't be completed; `number` is that of the event."""
    said = {
        "type": "error",
        "sequence_number": number,
        "code": error.code,
        "message": redact(error.message),
        "param": error.param,
    }
    return b"event: error\ndata: " + msgspec.json.encode(said) + b"\n\n"


def _decoded(data: bytes) -> object:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None
