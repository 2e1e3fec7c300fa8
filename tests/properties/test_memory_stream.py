"""The stream of the memory twin finds by its indexes what a look at all of its messages finds."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hostler_bus.errors import StreamFull
from hostler_bus.matching import matches
from hostler_bus.memory_stream import MemoryStream, Moment
from hostler_bus.port import Message
from hostler_bus.topology import StreamSpec, WhenFull

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
SUBJECTS = ("a", "a.b*", "a.b", "a.b.c", "a.c", "a.c.b", "b.a", "b.a.c")
PATTERNS = (
    *SUBJECTS,
    ">",
    "a.>",
    "a.b.>",
    "a.c.>",
    "b.>",
    "c.>",
    "*.a",
    "a.*",
    "a.*.c",
    "*.a.>",
    "c",
    "a.b.c.>",
)


def contents(stream: MemoryStream) -> list[Message]:
    found = (stream.at(seq) for seq in range(1, stream.last_seq + 1))
    return [message for message in found if message is not None]


SPECS = st.builds(
    StreamSpec,
    st.just("S"),
    st.just((">",)),
    when_full=st.sampled_from(WhenFull),
    age_seconds_max=st.none() | st.integers(5, 50),
    messages_max=st.none() | st.integers(1, 6),
    bytes_max=st.none() | st.integers(20, 60),
    messages_per_subject_max=st.none() | st.integers(1, 3),
    marker_ttl_seconds=st.none() | st.integers(5, 20),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(SUBJECTS), st.integers(0, 15), st.none() | st.integers(1, 30), st.integers(0, 20)
    ),
    max_size=25,
)


@given(SPECS, STEPS)
def test_indexes_find_what_a_look_at_all_finds(
    spec: StreamSpec, steps: list[tuple[str, int, int | None, int]]
) -> None:
    stream, at = MemoryStream(spec), 0.0
    for number, (subject, waits, ttl_seconds, size) in enumerate(steps):
        at += waits
        moment = Moment(BEGAN + timedelta(seconds=at), at)
        ttl = ttl_seconds if spec.marker_ttl_seconds is not None else None
        try:
            stream.append(
                subject, b"x" * size, moment, msg_id=str(number), expect=None, headers={}, ttl_seconds=ttl
            )
        except StreamFull:
            assert spec.when_full is WhenFull.REFUSE_NEW
        kept = contents(stream)
        for pattern in PATTERNS:
            under = [message for message in kept if matches(pattern, message.subject)]
            assert stream.last(pattern) == (under[-1] if under else None)
        if spec.bytes_max is not None:
            assert sum(len(message.data) for message in kept) <= spec.bytes_max
        if spec.messages_max is not None:
            assert len(kept) <= spec.messages_max


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(1, 30)), min_size=1, max_size=20))
def test_a_message_is_there_until_its_time_is_over_and_not_longer(steps: list[tuple[int, int]]) -> None:
    stream, at = MemoryStream(StreamSpec("S", (">",), marker_ttl_seconds=1000)), 0.0
    ends: dict[int, float] = {}
    for number, (waits, ttl_seconds) in enumerate(steps):
        at += waits
        moment = Moment(BEGAN + timedelta(seconds=at), at)
        appended = stream.append(
            f"s.{number}", b"x", moment, msg_id=str(number), expect=None, headers={}, ttl_seconds=ttl_seconds
        )
        ends[appended.seq] = at + ttl_seconds
        assert {seq for seq in ends if stream.at(seq) is not None} == {
            seq for seq, until in ends.items() if until > at
        }
