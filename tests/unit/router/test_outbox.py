"""What connections write goes out in its order: at once, or together when there is much of it."""

import asyncio
from collections.abc import Callable

import pytest

from hostler_router.wire.outbox import NOT_WAITING, Outbox
from hostler_router.wire.replica_connection import ReplicaConnection


class Line(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closing
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = True

    def get_write_buffer_size(self) -> int:
        return 0


class Turns:
    """The ends of turns of an event loop, and its clock."""

    def __init__(self) -> None:
        self.time = 0.0
        self.due: list[Callable[[], None]] = []

    def soon(self, call: Callable[[], None]) -> None:
        self.due.append(call)

    def end(self) -> None:
        due, self.due = self.due, []
        for call in due:
            call()

    def outbox(self, *, quick: bool = False) -> Outbox:
        return Outbox(self.soon, lambda: self.time, quick=quick)


@pytest.fixture
def turns() -> Turns:
    return Turns()


def test_a_lone_write_goes_out_at_once(turns: Turns) -> None:
    line, outbox = Line(), turns.outbox()
    assert outbox.put(line, b"a") == NOT_WAITING
    assert (line.written, turns.due) == ([b"a"], [])


def test_quick_writes_go_out_together_at_the_end_of_the_turn(turns: Turns) -> None:
    lines, outbox = [Line(), Line()], turns.outbox(quick=True)
    waits = [
        outbox.put(line, data) for line, data in zip((*lines, *lines), (b"a", b"b", b"c", b"d"), strict=True)
    ]
    assert [line.written for line in lines] == [[], []]
    assert (waits, len(turns.due)) == ([outbox.turn] * 4, 1)
    turns.end()
    assert [line.written for line in lines] == [[b"a", b"c"], [b"b", b"d"]]
    assert outbox.turn not in waits


def test_what_is_for_a_connection_that_closes_is_dropped_and_the_rest_is_not(turns: Turns) -> None:
    gone, line, outbox = Line(), Line(), turns.outbox(quick=True)
    outbox.put(gone, b"a")
    outbox.put(line, b"b")
    gone.closing = True
    turns.end()
    assert (gone.written, line.written) == ([], [b"b"])


def test_who_flushes_has_it_sent_now_and_once(turns: Turns) -> None:
    line, outbox = Line(), turns.outbox(quick=True)
    outbox.put(line, b"a")
    outbox.flush()
    assert line.written == [b"a"]
    outbox.put(line, b"b")
    turns.end()
    turns.end()
    assert line.written == [b"a", b"b"]


def test_one_that_cannot_be_written_to_is_told_of_and_keeps_nothing_from_the_others(turns: Turns) -> None:
    class Broken(Line):
        def write(self, data: bytes | bytearray | memoryview) -> None:
            raise RuntimeError("a bug")

    line, outbox = Line(), turns.outbox(quick=True)
    outbox.put(line, b"a")
    outbox.put(Broken(), b"x")
    outbox.put(line, b"b")
    with pytest.raises(RuntimeError, match="a bug"):
        turns.end()
    outbox.put(line, b"c")
    turns.end()
    assert line.written == [b"a", b"b", b"c"]


@pytest.mark.parametrize(("apart_seconds", "waits"), [(0.0001, True), (0.001, False)])
def test_writes_wait_from_when_they_follow_each_other_quickly(
    turns: Turns, apart_seconds: float, *, waits: bool
) -> None:
    for quick in (False, True):
        line, outbox = Line(), turns.outbox(quick=quick)
        for number in range(200):
            turns.time += apart_seconds
            waited = outbox.put(line, b"%d" % number) != NOT_WAITING
        assert waited is waits
        turns.end()
        assert line.written == [b"%d" % number for number in range(200)]


def test_order_is_kept_when_writes_get_slow_while_some_wait(turns: Turns) -> None:
    line, outbox = Line(), turns.outbox(quick=True)
    for number in range(100):
        if number > 50:
            turns.time += 1
        outbox.put(line, b"%d" % number)
    turns.end()
    assert line.written == [b"%d" % number for number in range(100)]


class Home:
    """Where connections to replicas go back to."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.free: list[ReplicaConnection] = []

    def put_back(self, connection: ReplicaConnection) -> None:
        self.free.append(connection)

    def forget(self, connection: ReplicaConnection) -> None: ...


class Waiting:
    """Whoever waits for an answer."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        self.heard.append(f"head {status}")

    def on_data(self, data: bytes) -> None:
        self.heard.append(data.decode())

    def on_complete(self) -> None:
        self.heard.append("complete")

    def on_lost(self, *, answered: bool) -> None:
        self.heard.append(f"lost, answered: {answered}")

    def on_writable(self) -> None: ...


@pytest.mark.parametrize("sent", [True, False])
def test_an_answer_to_a_request_that_still_waits_ends_the_connection_to_the_replica(
    turns: Turns, *, sent: bool
) -> None:
    outbox = turns.outbox(quick=True)
    home, line, waiting = Home(outbox), Line(), Waiting()
    connection = ReplicaConnection("http://replica", home)
    connection.connection_made(line)
    connection.send(waiting, b"POST / HTTP/1.1\r\n\r\n", b"")
    if sent:
        turns.end()
    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
    assert waiting.heard == ["head 200", "hi", "complete"]
    assert bool(home.free) is sent
    assert line.closing is not sent
    turns.end()
    assert line.written == ([b"POST / HTTP/1.1\r\n\r\n"] if sent else [])
