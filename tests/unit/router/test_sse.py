import pytest

from hostler_router.sse import EventSplitter, EventTooLong, data_of, event_of


def split(*pieces: bytes) -> tuple[list[bytes], list[bytes]]:
    splitter = EventSplitter(event_bytes_max=100)
    return [event for piece in pieces for event in splitter.feed(piece)], splitter.close()


@pytest.mark.parametrize(
    ("pieces", "events", "at_close"),
    [
        pytest.param(
            [b"data: 1\n\ndata: 2\n\n"], [b"data: 1\n\n", b"data: 2\n\n"], [], id="two in one piece"
        ),
        pytest.param([b"data: 1\n", b"\ndata"], [b"data: 1\n\n"], [], id="cut within the blank line"),
        pytest.param([b"data: 1\r\n\r\n"], [b"data: 1\r\n\r\n"], [], id="crlf"),
        pytest.param([b"data: 1\r\n\r", b"\n"], [b"data: 1\r\n\r\n"], [], id="cut within crlf"),
        pytest.param(
            [b"data: 1\r\n", b"data: 2\n\n"], [b"data: 1\r\ndata: 2\n\n"], [], id="crlf is one line end"
        ),
        pytest.param([b"data: 1\r\rdata: 2\r\r"], [b"data: 1\r\r"], [b"data: 2\r\r"], id="cr alone"),
        pytest.param([b": ping\n\n"], [b": ping\n\n"], [], id="a comment"),
        pytest.param([b"data: 1\n\ndata: 2"], [b"data: 1\n\n"], [], id="an unfinished event is dropped"),
        pytest.param([b"data: 1\n\ndata: 2\n"], [b"data: 1\n\n"], [], id="also with its line end"),
        pytest.param([b"data: [DONE]"], [], [b"data: [DONE]\n\n"], id="the end mark needs no blank line"),
        pytest.param([b"data: [DONE]\r\n"], [], [b"data: [DONE]\n\n"], id="nor a second line end"),
        pytest.param([], [], [], id="nothing"),
    ],
)
def test_events_are_cut_at_blank_lines(
    pieces: list[bytes], events: list[bytes], at_close: list[bytes]
) -> None:
    assert split(*pieces) == (events, at_close)


def test_an_event_that_does_not_end_is_not_kept_for_ever() -> None:
    splitter = EventSplitter(event_bytes_max=10)
    splitter.feed(b"data: 123\n")
    with pytest.raises(EventTooLong):
        splitter.feed(b"4")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        pytest.param(b"data: x\n\n", b"x", id="one line"),
        pytest.param(b"data:x\n\n", b"x", id="no blank"),
        pytest.param(b"data:  x\n\n", b" x", id="only the first blank goes"),
        pytest.param(b"event: a\r\ndata: x\r\ndata: y\r\n\r\n", b"x\ny", id="several lines"),
        pytest.param(b": comment\n\n", None, id="comment"),
        pytest.param(b"id: 5\n\n", None, id="no data"),
        pytest.param(b"data: \n\n", b"", id="empty data"),
    ],
)
def test_data_lines_are_joined(event: bytes, expected: bytes | None) -> None:
    assert data_of(event) == expected


def test_an_event_reads_back_as_its_data() -> None:
    assert split(event_of(b'{"a": 1}')) == ([b'data: {"a": 1}\n\n'], [])
