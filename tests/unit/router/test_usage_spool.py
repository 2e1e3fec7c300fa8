"""The usage spool on a real disk: what it has taken is there whatever happens, whole, once per file, and goes when it is stored."""

import errno
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from hostler_router.usage_backlog import Backlog
from hostler_router.usage_batches import Batch, with_parts
from hostler_router.usage_segments import Torn, batch_of, line_of
from hostler_router.usage_spool import SpoolUnusable, UsageSpool


def batch(number: int, size: int = 50) -> Batch:
    return Batch("hostler.usage.p.j", f"id-{number}", number + 1, b'{"x": "%s"}' % (b"y" * size))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def opened() -> Iterator[list[UsageSpool]]:
    spools: list[UsageSpool] = []
    yield spools
    for spool in spools:
        spool.close()


class Open:
    """Makes spools and closes them after the test."""

    def __init__(self, folder: Path, opened: list[UsageSpool]) -> None:
        self.folder = folder
        self.opened = opened

    def __call__(
        self,
        writer: str = "w1",
        bytes_max: int = 2**20,
        *,
        journal: bool = False,
        segment_bytes: int | None = None,
    ) -> UsageSpool:
        spool = UsageSpool(
            self.folder,
            writer=writer,
            bytes_max=bytes_max,
            now=time.time,
            logger=structlog.get_logger(),
            journal=journal,
            segment_bytes=segment_bytes,
        )
        self.opened.append(spool)
        return spool


@pytest.fixture
def open_spool(folder: Path, opened: list[UsageSpool]) -> Open:
    return Open(folder, opened)


def backlog(spool: UsageSpool | None) -> Backlog:
    return Backlog(spool, lambda requests, subject, reason: pytest.fail(reason), lambda requests: None)


def waiting(spool: UsageSpool) -> list[Batch]:
    return [found for _, found in backlog(spool).waiting()]


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_what_is_kept_is_found_again_in_its_order_and_to_the_byte(open_spool: Open) -> None:
    spool = open_spool()
    for number in range(5):
        assert spool.keep([batch(number), batch(number + 100)])
    assert waiting(spool) == [each for number in range(5) for each in (batch(number), batch(number + 100))]


def test_a_file_goes_with_the_last_batch_that_is_stored(open_spool: Open, folder: Path) -> None:
    spool = open_spool()
    segment = spool.keep([batch(1), batch(2)])
    assert segment is not None
    spool.settle(segment, "id-1")
    assert waiting(spool) == [batch(2)]
    spool.settle(segment, "id-2")
    assert (files(folder), spool.bytes, waiting(spool)) == ([], 0, [])
    assert spool.keep([batch(3)])
    assert waiting(spool) == [batch(3)]


def test_a_file_that_goes_while_it_is_read_ends_the_reading(open_spool: Open) -> None:
    spool = open_spool()
    segment = spool.keep([batch(number, size=200_000) for number in range(3)])
    assert segment is not None
    found = backlog(spool).waiting()
    next(found)
    for number in range(3):
        spool.settle(segment, f"id-{number}")
    list(found)
    assert spool.segments == ()


def test_large_files_are_cut_and_given_back_one_by_one(open_spool: Open, folder: Path) -> None:
    spool = open_spool(segment_bytes=300)
    for number in range(10):
        assert spool.keep([batch(number)])
    assert len(files(folder)) > 3
    left = len(files(folder))
    for place, found in backlog(spool).waiting():
        backlog(spool).settle(place, found.msg_id)
        assert len(files(folder)) in (left, left - 1)
        left = len(files(folder))
    assert left == 0


def test_others_on_the_machine_can_not_read_it(open_spool: Open, folder: Path) -> None:
    folder.mkdir(mode=0o755)
    assert open_spool().keep([batch(1)])
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, *files(folder))]
    assert modes == [0o700, 0o600]


def test_a_folder_that_can_not_be_used_is_told_at_once(tmp_path: Path, open_spool: Open) -> None:
    (tmp_path / "file").touch()
    open_spool.folder = tmp_path / "file" / "spool"
    with pytest.raises(SpoolUnusable, match="can't be made"):
        open_spool()


def test_no_more_than_the_bound_is_kept_and_room_comes_back(open_spool: Open) -> None:
    spool = open_spool(bytes_max=500)
    kept = [spool.keep([batch(number)]) for number in range(10)]
    assert None in kept
    assert spool.bytes <= 500
    assert len(waiting(spool)) == len([each for each in kept if each])
    first = kept[0]
    assert first is not None
    for place, found in backlog(spool).waiting():
        backlog(spool).settle(place, found.msg_id)
    assert spool.keep([batch(11)])


@pytest.mark.parametrize("cut", range(1, len(line_of(batch(2)))))
def test_a_last_line_that_was_not_finished_is_dropped_and_nothing_else(
    open_spool: Open, folder: Path, cut: int
) -> None:
    folder.mkdir()
    whole = line_of(batch(1))
    (folder / "1-dead.usage").write_bytes(whole + line_of(batch(2))[:-cut])
    spool = open_spool()
    assert spool.adopt() == 1
    found = backlog(spool)
    assert [each for _, each in found.waiting()] == [batch(1)]
    assert found.torn == (cut < len(line_of(batch(2))))
    assert [each for _, each in found.waiting()] == [batch(1)]
    assert found.torn == 1, "told once"


@pytest.mark.parametrize("at", range(len(line_of(batch(1)))))
def test_a_line_of_which_a_byte_is_wrong_is_no_line(at: int) -> None:
    line = line_of(batch(1))
    assert batch_of(line) == batch(1)
    spoilt = line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]
    assert isinstance(batch_of(spoilt), Torn)


def test_a_full_disk_keeps_what_was_there_and_leaves_no_half_line(
    open_spool: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool()
    assert spool.keep([batch(1)])
    write = os.write

    def full(fd: int, data: memoryview) -> int:
        if len(data) <= 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data[:20])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        assert spool.keep([batch(2)]) is None
    assert spool.keep([batch(3)])
    assert waiting(spool) == [batch(1), batch(3)]
    assert b"".join(path.read_bytes() for path in files(folder)) == line_of(batch(1)) + line_of(batch(3))


def test_what_comes_after_a_half_line_that_stays_is_written_elsewhere(
    open_spool: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_spool(journal=True)
    place = journal.keep([event(1)])
    assert place is not None
    write = os.write

    def full(fd: int, data: memoryview) -> int:
        if len(data) <= 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data[:20])

    def stuck(fd: int, size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        patched.setattr(os, "ftruncate", stuck)
        assert journal.keep([event(2)]) is None
    assert not journal.add(place, part(1, 2))
    assert journal.keep([event(3)]) not in (None, place)
    assert len(files(folder)) == 2
    journal.close()
    heir = open_spool("w2")
    assert heir.adopt() == 2
    assert waiting(heir) == [event(1), event(3)]


def test_a_journal_whose_half_line_stays_is_gone_once_nothing_else_is_in_it(
    open_spool: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_spool(journal=True)
    place = journal.keep([event(1)])
    assert place is not None
    journal.settle(place, "id-1")
    place.spoilt = True  # as above
    assert journal.keep([event(2)]) not in (None, place)
    assert not place.path.exists()
    assert len(files(folder)) == 1


def test_what_the_disk_does_not_take_waits_in_memory_and_the_oldest_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hostler_router.usage_backlog.MEMORY_BYTES_MAX", 130)
    lost: list[tuple[int, str]] = []
    held = Backlog(
        None, lambda requests, subject, reason: lost.append((requests, subject)), lambda requests: None
    )
    places = [held.keep([batch(number)]) for number in range(3)]
    assert lost == [(1, "hostler.usage.p.j")]
    assert [each for _, each in held.waiting()] == [batch(1), batch(2)]
    for place, number in zip(places, range(3), strict=True):
        held.settle(place, f"id-{number}")
    assert held.empty


def test_two_processes_share_a_folder_and_leave_each_others_files_alone(open_spool: Open) -> None:
    first, second = open_spool("w1"), open_spool("w2")
    assert first.keep([batch(1)])
    assert second.keep([batch(2)])
    assert (first.adopt(), second.adopt()) == (0, 0)
    assert (waiting(first), waiting(second)) == ([batch(1)], [batch(2)])


def test_what_one_leaves_another_takes_over_and_only_one(open_spool: Open) -> None:
    first, second, third = open_spool("w1"), open_spool("w2"), open_spool("w3")
    assert first.keep([batch(1)])
    first.close()
    assert (second.adopt(), third.adopt()) == (1, 0)
    assert waiting(second) == [batch(1)]
    for place, found in backlog(second).waiting():
        backlog(second).settle(place, found.msg_id)
    assert (second.segments, third.adopt()) == ((), 0)


_CHILD = """
import os, signal, sys, time, structlog
from pathlib import Path
from hostler_router.usage_batches import Batch, with_parts
from hostler_router.usage_spool import UsageSpool
spool = UsageSpool(Path(sys.argv[1]), writer="child", bytes_max=2**24, now=time.time, logger=structlog.get_logger())
number = 0
while True:
    assert spool.keep([Batch("s", f"id-{number}", 1, b"x" * (number * 37 % 5000))])
    os.write(1, b"%d\\n" % number)
    number += 1
"""


def test_what_a_killed_process_had_kept_is_taken_over_whole(open_spool: Open, folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _CHILD, str(folder)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) >= 300:
                break
        spool = open_spool()
        assert spool.adopt() == 0, "it still lives"
        child.kill()
        told = [int(line), *(int(each) for each in child.stdout.read().split(b"\n") if each)]
    assert spool.adopt() >= 1
    found = [int(each.msg_id.removeprefix("id-")) for each in waiting(spool)]
    assert found[: told[-1] + 1] == list(range(told[-1] + 1))
    assert len(found) <= told[-1] + 2


def test_a_journal_uses_its_file_again_and_begins_it_anew_when_it_is_long(
    open_spool: Open, folder: Path
) -> None:
    journal, sizes = open_spool(journal=True), set[int]()
    for number in range(40):
        place = journal.keep([batch(number, size=20_000)])
        assert place is not None
        sizes.add(place.size)
        assert [each.msg_id for each in place.unsettled() if isinstance(each, Batch)] == [f"id-{number}"]
        journal.settle(place, f"id-{number}")
        assert len(files(folder)) == 1
    assert max(sizes) < 300_000
    journal.close()
    assert files(folder) == []


def test_what_is_left_in_a_journal_is_taken_over_like_everything_else(open_spool: Open) -> None:
    journal = open_spool(journal=True)
    place = journal.keep([batch(1), batch(2)])
    assert place is not None
    journal.settle(place, "id-1")
    journal.close()
    other = open_spool("w2")
    assert other.adopt() == 1
    # The file says nothing of what was stored; the stream and its readers know the ids.
    assert waiting(other) == [batch(1), batch(2)]


def event(number: int) -> Batch:
    return Batch("hostler.usage.p.j", f"id-{number}", 1, b'{"requests":[{"a":1}],"writer":"w","number":1}')


def part(number: int, value: int) -> Batch:
    return Batch("hostler.usage.p.j", f"id-{number}", 1, b',{"a":%d}' % value)


def test_what_was_added_to_a_batch_is_found_in_it_whatever_was_written_between(open_spool: Open) -> None:
    journal = open_spool(journal=True)
    place = journal.keep([event(1)])
    assert place is not None
    assert journal.add(place, part(1, 2))
    assert journal.keep([event(2)]) is place
    assert journal.add(place, part(2, 5))
    assert journal.add(place, part(1, 3))
    one, two = place.unsettled()
    assert one == with_parts(event(1), [part(1, 2), part(1, 3)])
    assert isinstance(one, Batch)
    assert one.data == b'{"requests":[{"a":1},{"a":2},{"a":3}],"writer":"w","number":1}'
    assert (one.requests, two) == (3, with_parts(event(2), [part(2, 5)]))
    journal.settle(place, "id-1")
    assert list(place.unsettled()) == [two]
    assert not place.done
    journal.settle(place, "id-2")
    assert place.done


def test_what_is_added_stands_in_the_file_of_its_batch_however_long_that_is(
    open_spool: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_spool(journal=True, segment_bytes=100)
    place = journal.keep([event(1)])
    assert place is not None
    assert journal.add(place, part(1, 2))
    other = journal.keep([event(2)])
    assert other is not place
    assert journal.add(place, part(1, 3))
    journal.close()
    heir = open_spool("w2")
    assert heir.adopt() == 2
    assert waiting(heir) == [with_parts(event(1), [part(1, 2), part(1, 3)]), event(2)]


def test_an_addition_that_was_not_finished_or_has_lost_its_batch_is_dropped_and_nothing_else(
    open_spool: Open, folder: Path
) -> None:
    journal = open_spool(journal=True)
    place = journal.keep([event(1)])
    assert place is not None
    assert journal.add(place, part(1, 2))
    journal.close()
    (file,) = files(folder)
    torn = line_of(part(1, 3))[:-2]
    file.write_bytes(line_of(part(7, 9)) + file.read_bytes() + torn)
    heir = open_spool("w2")
    heir.adopt()
    kept = backlog(heir)
    assert [found for _, found in kept.waiting()] == [with_parts(event(1), [part(1, 2)])]
    assert kept.torn == 1


def test_an_addition_for_which_there_is_no_room_leaves_the_batch_as_it_was(open_spool: Open) -> None:
    journal = open_spool(journal=True, bytes_max=200)
    place = journal.keep([event(1)])
    assert place is not None
    assert not journal.add(place, Batch("hostler.usage.p.j", "id-1", 1, b"," + b"x" * 200))
    assert list(place.unsettled()) == [event(1)]


def test_nobody_takes_over_the_journal_of_a_living_process_not_even_that_process(open_spool: Open) -> None:
    journal, spool = open_spool(journal=True), open_spool("w2")
    assert journal.keep([batch(1)]) is not None
    assert spool.adopt() == 0
