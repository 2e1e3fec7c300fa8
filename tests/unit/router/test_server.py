from types import SimpleNamespace

import pytest

from hostler_router.timer_wheel import TimerWheel
from hostler_router.wire import server
from hostler_router.wire.outbox import Outbox


def test_the_date_follows_the_clock_by_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(unix=1_800_000_000.25)
    monkeypatch.setattr(server, "time", SimpleNamespace(time=lambda: clock.unix))
    public = server.Server(
        lambda head, reply: None,
        wheel=TimerWheel(),
        host="127.0.0.1",
        port=0,
        head_timeout_seconds=15,
        keep_alive_seconds=75,
        now=lambda: 50.0,
        outbox=Outbox(lambda flush: None, lambda: 50.0),
        on_open=lambda: None,
        on_close=lambda: None,
    )
    try:
        assert public.date_line == b"date: Fri, 15 Jan 2027 08:00:00 GMT\r\n"
        clock.unix += 1
        assert public.due_again(50.0) == 50.75, "when the next second begins"
        assert public.date_line == b"date: Fri, 15 Jan 2027 08:00:01 GMT\r\n"
    finally:
        public.stop_listening()
