"""One streamed answer that may have to go on from another replica: what the client got of it, and how the rest is made to fit.

Pure; made by the request for a stream that is `resumable`. While all is well it only keeps what passed (`passed`), which costs a
comparison and a few bytes for each token. When the replica breaks off, `continuation` says what to ask the next one, and `rewrite` turns
that one's events into the rest of the first answer. docs/internals/stream-resume.md tells what is promised and what is not.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

import msgspec

from hostler_router.answer_usage import JsonObject, as_object
from hostler_router.asked import Asked
from hostler_router.continuation import RUNTIMES, continued
from hostler_router.sse import DONE, EventSplitter, EventTooLong, data_of, event_of

KEPT_BYTES_MAX: Final = 1024 * 1024
RESUMED_MARK: Final = b": resumed\n\n"
"""Stands before the end of a stream that was resumed. A comment: clients ignore it, people and tests can see it."""

_BEFORE_TEXT: Final = (b'"content":"', b'"content": "', b'"text":"', b'"text": "')
_OF_OTHER_KINDS: Final = frozenset(
    {"audio", "function_call", "reasoning", "reasoning_content", "refusal", "tool_calls"}
)
_UNREADABLE: Final = "\N{REPLACEMENT CHARACTER}"
_EXAMPLE: Final = "\ue000\ue001"  # of private use: no text says this
_TEXTS: Final = msgspec.json.Decoder(list[str])
_PAYLOAD: Final = msgspec.json.Decoder(dict[str, object])


class _Alike:
    """Events that differ in one place only, by what stands there, one a line: a token's few bytes instead of an event's hundreds."""

    __slots__ = ("after", "before", "between")

    def __init__(self, before: bytes, between: bytes, after: bytes) -> None:
        self.before = before
        self.between = bytearray(between + b"\n")
        self.after = after

    def events(self) -> Iterator[bytes]:
        for between in bytes(self.between)[:-1].split(b"\n"):
            yield self.before + between + self.after

    def texts(self, head: dict[str, object]) -> list[str] | None:
        """What the events say; None where one of them is not text.

        Args:
            head: Takes what the first event says of the answer as a whole.
        """
        example = _texts([self.before + _EXAMPLE.encode() + self.after], head)
        if example == [_EXAMPLE]:
            # The place is in the text. So each line is the inside of a JSON text, unless it ends that text itself: then there are
            # more texts than lines, as a line's end can't be within one.
            lines = bytes(self.between)[:-1].replace(b"\n", b'",\n"')
            with suppress(ValueError):  # msgspec's own, and that it is no UTF-8
                texts = _TEXTS.decode(b'["' + lines + b'"]')
                if len(texts) == self.between.count(b"\n"):
                    return texts
        return _texts(self.events(), head)


class Resume:
    """The course of one answer, over as many replicas as it takes."""

    __slots__ = ("_after", "_before", "_head", "_kept", "_overlap", "_resumed", "_room", "_tokens")

    def __init__(self, bytes_max: int = KEPT_BYTES_MAX) -> None:
        """Start with nothing.

        Args:
            bytes_max: How much is kept; an answer beyond it can't be resumed.
        """
        self._kept: list[_Alike] = []
        self._room = bytes_max
        self._before = self._after = b""
        self._head: dict[str, object] = {}
        self._tokens = 0
        self._overlap = ""
        self._resumed = False

    @property
    def resumed(self) -> bool:
        """Whether another replica was asked to go on."""
        return self._resumed

    def passed(self, events: bytes) -> None:
        """The client got `events`: one or more, whole, and after a resumption as they were rewritten."""
        before, after = self._before, self._after
        if after and events.startswith(before) and events.endswith(after):
            between = events[len(before) : len(events) - len(after)]
            if b"\n" not in between and len(events) >= len(before) + len(after):
                said = self._kept[-1].between
                said += between
                said += b"\n"
                self._room -= len(between) + 1
                if self._room < 0:
                    self._give_up()
                return
        self._learn(events)

    def continuation(self, asked: Asked, runtime: str) -> bytes | None:
        """What to ask another replica of `runtime` for, instead of `asked.body`; None where the answer can't go on.

        It can be asked for any number of times; what it answers depends only on what has passed.
        """
        how = RUNTIMES.get(runtime)
        if how is None or not asked.resumable or self._room < 0 or not isinstance(asked.body, bytes):
            return None
        head: dict[str, object] = {}
        texts: list[str] = []
        for alike in self._kept:
            more = alike.texts(head)
            if more is None:
                return None
            texts += more
        text = "".join(texts)
        if text.endswith(_UNREADABLE):
            return None
        # Chat templates cut spaces off the end, and models rarely go on after one as they came to it. So the next replica is asked
        # from before them, and what it repeats of them is taken out.
        said = text.rstrip()
        tokens = _tokens(texts, len(said))
        body = continued(asked.body, said, tokens, how) if said else asked.body
        if body is not None:
            self._head, self._tokens, self._overlap = head, tokens, text[len(said) :]
            self._resumed = True
        return body

    def rewrite(self, event: bytes) -> bytes | None:
        """An event of the replica that goes on, as one of the first answer; None for one that the client has had already."""
        data = data_of(event)
        if data is None or data == DONE:
            return event
        payload = _decoded(data)
        if payload is None or payload.get("error"):
            return event
        payload |= self._head
        choices = payload.get("choices")
        choice = _first(choices)
        if choice is not None and not self._is_news(choice):
            return None
        usage = as_object(payload.get("usage"))
        if usage is not None:
            payload["usage"] = self._corrected(usage)
        return event_of(msgspec.json.encode(payload))

    def _learn(self, events: bytes) -> None:
        """Keep what is not like the last, and expect more like it."""
        if self._room < 0:
            return
        whole = events.split(b"\n\n")
        if len(whole) > 2:
            for each in whole[:-1]:
                self.passed(each + b"\n\n")
            if whole[-1]:
                self._keep(whole[-1], b"", b"")
            return
        for mark in _BEFORE_TEXT:
            at = events.find(mark) + len(mark)
            until = events.find(b'"', at)
            if at >= len(mark) and until >= 0 and b"\n" not in events[at:until]:
                self._keep(events[:at], events[at:until], events[until:])
                return
        self._keep(events, b"", b"")

    def _keep(self, before: bytes, between: bytes, after: bytes) -> None:
        self._room -= len(before) + len(between) + len(after) + 1
        self._kept.append(_Alike(before, between, after))
        # Events that have no text in them are not a pattern for others.
        self._before, self._after = (before, after) if after else (b"", b"")
        if self._room < 0:
            self._give_up()

    def _give_up(self) -> None:
        self._kept.clear()
        self._before = self._after = b""

    def _is_news(self, choice: dict[str, object]) -> bool:
        """Whether there is something new in it, after taking out what is not."""
        delta = choice.get("delta")
        holder, name = (delta, "content") if isinstance(delta, dict) else (choice, "text")
        text = holder.get(name)
        if isinstance(text, str) and self._overlap:
            text = holder[name] = self._without_overlap(text)
        if holder is choice:
            return bool(text) or choice.get("finish_reason") is not None
        if self._head:  # it came with the first event of the first replica
            holder.pop("role", None)
        return any(value not in (None, "", []) for value in holder.values()) or (
            choice.get("finish_reason") is not None
        )

    def _without_overlap(self, text: str) -> str:
        overlap, self._overlap = self._overlap, ""
        if len(text) < len(overlap) and overlap.startswith(text):
            self._overlap = overlap[len(text) :]
            return ""
        shared = 0
        while shared < min(len(text), len(overlap)) and text[shared] == overlap[shared]:
            shared += 1
        return text[shared:]

    def _corrected(self, usage: JsonObject) -> JsonObject:
        """The usage of the whole answer: what was said before counts as said, not as prompt. The sum is as measured."""
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if not isinstance(prompt, int) or not isinstance(completion, int):
            return usage
        moved = min(self._tokens, prompt)
        corrected = {**usage, "prompt_tokens": prompt - moved, "completion_tokens": completion + moved}
        details = as_object(usage.get("prompt_tokens_details"))
        cached = None if details is None else details.get("cached_tokens")
        if details is not None and isinstance(cached, int):
            corrected["prompt_tokens_details"] = {**details, "cached_tokens": min(cached, prompt - moved)}
        return corrected


def _texts(events: Iterable[bytes], head: dict[str, object]) -> list[str] | None:
    splitter = EventSplitter(KEPT_BYTES_MAX)
    texts: list[str] = []
    with suppress(EventTooLong):
        for several in events:
            for event in splitter.feed(several):
                text = _text_of(event, head)
                if text is None:
                    return None
                texts.append(text)
        return texts
    return None


def _tokens(texts: list[str], length: int) -> int:
    """How many of the chunks it took to say the first `length` characters; most runtimes send one for each token."""
    tokens = begin = 0
    for text in texts:
        tokens += bool(text) and begin < length
        begin += len(text)
    return tokens


def marked(end: bytes) -> bytes:
    """The last events of a stream with the mark before its end mark."""
    at = end.rfind(b"data:")
    if at < 0 or not (at == 0 or end[:at].endswith(b"\n\n")):
        at = 0
    return end[:at] + RESUMED_MARK + end[at:]


def _text_of(event: bytes, head: dict[str, object]) -> str | None:
    """The text of an event, "" where it has none; None where the answer is over, or not text alone.

    Args:
        event: As the client got it.
        head: Takes what the first event says of the answer as a whole.
    """
    data = data_of(event)
    if data is None:
        return ""
    payload = _decoded(data)
    if payload is None or payload.get("error"):
        return None
    for name in ("id", "created", "model"):
        if name in payload:
            head.setdefault(name, payload[name])
    choices = payload.get("choices")
    if not choices:
        return ""
    choice = _first(choices)
    if choice is None or choice.get("finish_reason") is not None:
        return None
    delta = choice.get("delta")
    holder, name = (delta, "content") if isinstance(delta, dict) else (choice, "text")
    if any(holder.get(each) for each in _OF_OTHER_KINDS):
        return None
    text = holder.get(name)
    return text if isinstance(text, str) else ""


def _first(choices: object) -> dict[str, object] | None:
    """The only choice; None where that is not what there is."""
    if not isinstance(choices, list) or len(choices) != 1:
        return None
    choice = choices[0]
    return choice if isinstance(choice, dict) and choice.get("index", 0) == 0 else None


def _decoded(data: bytes) -> dict[str, object] | None:
    try:
        return _PAYLOAD.decode(data)
    except (ValueError, RecursionError):
        return None
