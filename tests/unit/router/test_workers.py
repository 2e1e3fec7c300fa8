"""How a router of several processes begins: how many, under which names, on which port, and what they are told."""

import fcntl
import os
import socket
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

import pytest

from hostler_router.worker import restart_delay_seconds
from hostler_router.worker_link import Report, read_report
from hostler_router.workers import (
    PortTaken,
    Slot,
    free_slots,
    lock_folder,
    reserve_port,
    worker_count,
    worker_environment,
)


def test_a_number_is_taken_as_it_is_and_none_means_every_core_that_may_be_used() -> None:
    assert worker_count(3) == 3
    assert worker_count(1) == 1
    if hasattr(os, "sched_getaffinity"):
        program = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nfrom hostler_router.workers import worker_count\nprint(worker_count(0))"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout == "1\n"


def test_a_worker_is_told_to_be_one_and_everything_else_is_passed_on() -> None:
    told = worker_environment(
        {"HOSTLER_NATS_URL": "nats://x", "HOSTLER_ROUTER_WORKERS": "4", "HOSTLER_ROUTER_OPS_PORT": "9090"},
        "router-1-w2",
        8000,
    )
    assert told == {
        "HOSTLER_NATS_URL": "nats://x",
        "HOSTLER_ROUTER_WORKERS": "1",
        "HOSTLER_ROUTER_NAME": "router-1-w2",
        "HOSTLER_ROUTER_PORT": "8000",
        "HOSTLER_ROUTER_OPS_HOST": "127.0.0.1",
        "HOSTLER_ROUTER_OPS_PORT": "0",
    }


def test_a_name_is_given_to_one_living_process_at_a_time(tmp_path: Path) -> None:
    first = list(islice(free_slots("router-1", tmp_path), 2))
    second = list(islice(free_slots("router-1", tmp_path), 2))
    assert [slot.name for slot in (*first, *second)] == [f"router-1-w{number}" for number in range(1, 5)]
    # The parent was killed; a worker that inherited the descriptor still lives.
    heir = os.dup(_descriptor(first[0]))
    for slot in (*first, *second):
        os.close(_descriptor(slot))
    third = list(islice(free_slots("router-1", tmp_path), 2))
    assert [slot.name for slot in third] == ["router-1-w2", "router-1-w3"]
    os.close(heir)
    for slot in third:
        slot.give_up()


def test_names_that_are_given_up_leave_no_file_and_are_free_again(tmp_path: Path) -> None:
    for _ in range(2):
        slots = list(islice(free_slots("router-1", tmp_path), 2))
        assert [slot.name for slot in slots] == ["router-1-w1", "router-1-w2"]
        for slot in slots:
            slot.give_up()
        assert list(tmp_path.iterdir()) == []


def test_a_lock_on_a_file_that_was_just_taken_away_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its holder gives the name up between our opening of the file and our locking of it."""
    path = tmp_path / "router-1-w1.lock"
    flock = fcntl.flock
    held: list[int] = []

    def given_up_before(descriptor: int, how: int) -> None:
        if not held:
            path.unlink()
            held.append(descriptor)
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", given_up_before)
    first, second = (next(iter(free_slots("router-1", tmp_path))) for _ in range(2))
    assert (first.name, second.name) == ("router-1-w1", "router-1-w2")
    for slot in (first, second):
        slot.give_up()


def _descriptor(slot: Slot) -> int:
    assert slot.lock is not None
    return slot.lock[1]


def test_names_concern_those_alone_who_meet_at_one_nats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one, same, other = (lock_folder(url) for url in ("nats://a", "nats://a", "nats://b"))
    assert one is not None
    assert one == same
    assert one != other
    assert one.parent.stat().st_mode & 0o777 == 0o700
    one.parent.chmod(0o777)
    assert lock_folder("nats://a") is None, "others could hold our names there"


def test_without_a_place_for_locks_the_names_are_simply_counted() -> None:
    assert [slot.name for slot in islice(free_slots("r", None), 2)] == ["r-w1", "r-w2"]


def test_a_reserved_port_can_be_shared_gets_no_connection_and_nobody_else_gets_it() -> None:
    with reserve_port("127.0.0.1", 0) as holder:
        port = holder.getsockname()[1]
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", port))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        with socket.socket() as worker:
            worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            worker.bind(("127.0.0.1", port))
            worker.listen()
            for _ in range(20):
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                worker.accept()[0].close()


def test_a_port_that_somebody_does_not_share_is_refused_with_its_address() -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port}"):
            reserve_port("127.0.0.1", port)


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0.1), (1, 0.1), (2, 0.2), (5, 1.6), (8, 10.0), (10**6, 10.0)]
)
def test_the_pause_before_another_start_grows_and_has_an_end(failures: int, seconds: float) -> None:
    assert restart_delay_seconds(failures) == seconds


@pytest.mark.parametrize("line", [b"", b"{}", b"[1]", b'{"ops_port": "x", "serves": true}', b"nonsense"])
def test_what_is_no_report_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"a worker said|Expecting"):
        read_report(line)


def test_a_report_is_read_as_it_was_told() -> None:
    assert read_report(b'{"ops_port": 9, "serves": false}\n') == Report(9, False)
