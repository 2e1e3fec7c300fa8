"""One stream of the memory twin: what JetStream does with messages, in plain Python.

`MemoryServer` owns the streams. Nothing here waits or tells the time; `now` and `monotonic` come as values.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from heapq import heappop, heappush
from itertools import takewhile

from hostler_bus.errors import BusRefused, SequenceConflict, StreamFull
from hostler_bus.kv import MARKER_HEADER
from hostler_bus.matching import is_literal, matches
from hostler_bus.port import Appended, Expect, Message
from hostler_bus.topology import DUPLICATE_WINDOW_SECONDS, StreamSpec, WhenFull

MSG_ID_HEADER = "Nats-Msg-Id"


@dataclass(frozen=True, slots=True)
class Moment:
    """The time, on both clocks."""

    now: datetime
    monotonic: float


@dataclass(frozen=True, slots=True)
class _Kept:
    """A message, and whether its end by age is told."""

    message: Message
    leaves_marker: bool


class MemoryStream:
    """Messages in the order of their sequences, and what finds them without a look at all of them: benches have hundreds of thousands."""

    def __init__(self, spec: StreamSpec) -> None:
        self.spec = spec
        self.last_seq = 0
        # A dictionary, for its order: who came first is told first, so that a simulation repeats itself.
        self.on_append: dict[Callable[[], None], None] = {}
        """Called after every message."""
        self._kept: list[_Kept] = []
        self._ids: dict[str, tuple[int, float]] = {}
        self._of_subject: dict[str, deque[int]] = {}
        self._newest: dict[str, int] = {}
        """Sequence of the last message ever whose subject begins so, for each beginning up to a dot; it may be gone."""
        self._ends: list[tuple[float, int]] = []
        """A heap: when messages go, and which."""
        self._bytes = 0

    def append(
        self,
        subject: str,
        data: bytes,
        moment: Moment,
        *,
        msg_id: str,
        expect: Expect | None,
        headers: Mapping[str, str],
        ttl_seconds: int | None,
    ) -> Appended:
        """Store a message; the checks come in the server's order, so the expectation before the message id.

        Raises:
            SequenceConflict: `expect` does not hold.
            StreamFull: there is no room.
            BusRefused: a time to live that the stream does not take.
        """
        self.expire(moment)
        if ttl_seconds is not None and (self.spec.marker_ttl_seconds is None or ttl_seconds < 1):
            raise BusRefused(f"append to {self.spec.name}: no time to live of {ttl_seconds} s here")
        if expect is not None:
            last = self.last(expect.subjects)
            actual = 0 if last is None else last.seq
            if actual != expect.seq:
                ours = self.first_after(expect.seq, expect.subjects)
                if ours is not None and ours.headers.get(MSG_ID_HEADER) == msg_id:
                    return Appended(ours.seq, duplicate=True)
                raise SequenceConflict(
                    f"append to {self.spec.name}: somebody else was faster", actual_seq=actual
                )
        known = self._ids.get(msg_id)
        if known is not None and moment.monotonic - known[1] < DUPLICATE_WINDOW_SECONDS:
            return Appended(known[0], duplicate=True)
        self._check_room(subject, data)
        all_headers = {**headers, MSG_ID_HEADER: msg_id}
        until = None if ttl_seconds is None else moment.monotonic + ttl_seconds
        self._add(subject, data, all_headers, moment, until, leaves_marker=True)
        self._ids[msg_id] = (self.last_seq, moment.monotonic)
        return Appended(self.last_seq, duplicate=False)

    def receive(self, subject: str, data: bytes, moment: Moment) -> None:
        """Store what was published without asking for an answer; a full stream drops it, as the server does."""
        self.expire(moment)
        try:
            self._check_room(subject, data)
        except StreamFull:
            return
        self._add(subject, data, {}, moment, None, leaves_marker=True)

    def last(self, pattern: str) -> Message | None:
        """The last message under a pattern."""
        if is_literal(pattern):
            same = self._of_subject.get(pattern)
            return None if same is None else self.at(same[-1])
        # Nothing behind the newest of those that begin as the pattern does can match, and mostly that one does.
        newest = self._newest.get(_literal_beginning(pattern), 0)
        for place in reversed(range(self._place(newest + 1))):
            message = self._kept[place].message
            if matches(pattern, message.subject):
                return message
        return None

    def first_after(self, seq: int, pattern: str) -> Message | None:
        """The first message under a pattern whose sequence is larger."""
        # Not `islice`: it walks to its begin.
        for place in range(self._place(seq + 1), len(self._kept)):
            message = self._kept[place].message
            if matches(pattern, message.subject):
                return message
        return None

    def at(self, seq: int) -> Message | None:
        """The message with this sequence, unless it is gone."""
        place = self._place(seq)
        if place < len(self._kept) and self._kept[place].message.seq == seq:
            return self._kept[place].message
        return None

    def last_per_subject(self, pattern: str) -> tuple[int, ...]:
        """Sequences of the last message of every subject under a pattern, in their order."""
        last = {
            kept.message.subject: kept.message.seq
            for kept in self._kept
            if matches(pattern, kept.message.subject)
        }
        return tuple(sorted(last.values()))

    def first_since(self, time: datetime) -> int:
        """Sequence of the first message of this time or later; the next one's where there is none."""
        return next((kept.message.seq for kept in self._kept if kept.message.time >= time), self.last_seq + 1)

    def expire(self, moment: Moment) -> None:
        """Let go what has outlived its time, and leave a trace of it where the server would."""
        over: list[int] = []
        while self._ends and self._ends[0][0] <= moment.monotonic:
            over.append(heappop(self._ends)[1])
        gone = [kept for kept in map(self._drop, sorted(over)) if kept is not None]
        for kept in gone:
            if kept.leaves_marker and self.spec.marker_ttl_seconds is not None:
                until = moment.monotonic + self.spec.marker_ttl_seconds
                headers = {MARKER_HEADER: "MaxAge"}
                self._add(kept.message.subject, b"", headers, moment, until, leaves_marker=False)

    def _add(
        self,
        subject: str,
        data: bytes,
        headers: Mapping[str, str],
        moment: Moment,
        until: float | None,
        *,
        leaves_marker: bool,
    ) -> None:
        if until is None and self.spec.age_seconds_max is not None:
            until = moment.monotonic + self.spec.age_seconds_max
        self.last_seq += 1
        if until is not None:
            heappush(self._ends, (until, self.last_seq))
        message = Message(subject, self.last_seq, data, headers, moment.now)
        self._kept.append(_Kept(message, leaves_marker))
        self._of_subject.setdefault(subject, deque()).append(self.last_seq)
        self._newest.update(dict.fromkeys(_beginnings(subject), self.last_seq))
        self._bytes += len(data)
        self._trim(subject)
        for tell in tuple(self.on_append):
            tell()

    def _check_room(self, subject: str, data: bytes) -> None:
        spec = self.spec
        if spec.when_full is not WhenFull.REFUSE_NEW:
            return
        replaced = spec.messages_per_subject_max == 1 and subject in self._of_subject
        if spec.messages_max is not None and len(self._kept) >= spec.messages_max and not replaced:
            raise StreamFull(f"append to {spec.name}: maximum messages exceeded")
        if spec.bytes_max is not None and self._bytes + len(data) > spec.bytes_max:
            raise StreamFull(f"append to {spec.name}: maximum bytes exceeded")

    def _trim(self, subject: str) -> None:
        """Drop the oldest beyond the limits."""
        spec = self.spec
        if spec.messages_per_subject_max is not None:
            same = self._of_subject[subject]
            while len(same) > spec.messages_per_subject_max:
                self._drop(same[0])
        while spec.messages_max is not None and len(self._kept) > spec.messages_max:
            self._drop(self._kept[0].message.seq)
        while spec.bytes_max is not None and self._bytes > spec.bytes_max:
            self._drop(self._kept[0].message.seq)

    def _drop(self, seq: int) -> _Kept | None:
        """Take a message out, unless it is gone already."""
        place = self._place(seq)
        if place >= len(self._kept) or self._kept[place].message.seq != seq:
            return None
        kept = self._kept.pop(place)
        subject = kept.message.subject
        self._of_subject[subject].remove(seq)
        if not self._of_subject[subject]:
            del self._of_subject[subject]
        self._bytes -= len(kept.message.data)
        return kept

    def _place(self, seq: int) -> int:
        return bisect_left(self._kept, seq, key=lambda kept: kept.message.seq)


def _beginnings(subject: str) -> Iterator[str]:
    """Nothing, and what comes before and with each of its dots."""
    yield ""
    dot = subject.find(".")
    while dot >= 0:
        yield subject[: dot + 1]
        dot = subject.find(".", dot + 1)


def _literal_beginning(pattern: str) -> str:
    """What every subject under a pattern with wildcards begins with."""
    return "".join(
        f"{token}." for token in takewhile(lambda token: token not in {"*", ">"}, pattern.split("."))
    )
