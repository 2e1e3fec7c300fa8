"""A stream may be cut anywhere on its way; what comes out must not depend on where."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from hostler_router.answer_stream import AnswerStream
from hostler_router.sse import EventSplitter, data_of

LINE_END = st.sampled_from([b"\n", b"\r\n", b"\r"])
FIELD = st.sampled_from([b"data: ", b"data:", b"event: ", b": ", b"id: "])
TEXT = st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=("Cs",)), max_size=12)
LINES = st.lists(st.tuples(FIELD, TEXT.map(str.encode)), min_size=1, max_size=4)
CUTS = st.lists(st.integers(0, 400), max_size=30)


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Whole events, all with the same line ends as real servers have them."""
    end = draw(LINE_END)
    return [
        b"".join(field + text + end for field, text in lines) + end
        for lines in draw(st.lists(LINES, max_size=8))
    ]


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(place, len(data)) for place in cuts} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


def events_of(pieces: list[bytes]) -> list[bytes]:
    splitter = EventSplitter(event_bytes_max=10_000)
    return [event for piece in pieces for event in splitter.feed(piece)] + splitter.close()


@given(streams(), CUTS)
def test_events_come_out_the_same_wherever_the_bytes_are_cut(events: list[bytes], cuts: list[int]) -> None:
    assert events_of(cut(b"".join(events), cuts)) == events


@given(streams(), CUTS, st.integers(0, 400))
def test_of_a_broken_stream_only_whole_events_come_out(
    events: list[bytes], cuts: list[int], broken_at: int
) -> None:
    whole = b"".join(events)
    got = events_of(cut(whole[:broken_at], cuts))
    if got and data_of(got[-1]) == b"[DONE]":
        got = got[:-1]  # the end mark is taken without its blank line, by rule
    # An event that broke off within its last CRLF is whole all the same.
    assert [event.rstrip(b"\r\n") for event in got] == [event.rstrip(b"\r\n") for event in events[: len(got)]]


@given(st.binary(max_size=200), CUTS)
def test_any_bytes_at_all_lose_nothing_but_an_unfinished_end(data: bytes, cuts: list[int]) -> None:
    splitter = EventSplitter(event_bytes_max=10_000)
    got = b"".join(event for piece in cut(data, cuts) for event in splitter.feed(piece))
    assert data.startswith(got)


CHUNK = b'data: {"choices":[{"delta":{"content":"\xc3\xa4"}}]}'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}'


@given(st.integers(0, 6), LINE_END, CUTS)
def test_the_filter_gives_the_same_bytes_and_the_same_usage_for_every_cut(
    chunks: int, end: bytes, cuts: list[int]
) -> None:
    kept = (CHUNK + end * 2) * chunks
    sent = kept + USAGE + end * 2 + b"data: [DONE]" + end * 2
    stream = AnswerStream(strip_usage=True, event_bytes_max=10_000)
    passed = [stream.feed(piece) for piece in cut(sent, cuts)]
    if not passed[-1].done:
        passed.append(stream.close())
    assert b"".join(each.out for each in passed) == kept + b"data: [DONE]" + end * 2
    assert [each.done for each in passed].count(True) == 1
    assert all(each.error is None for each in passed)
    assert stream.usage is not None
    assert stream.usage.completion_tokens == 2
