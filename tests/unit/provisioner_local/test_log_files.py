"""What replicas wrote is read in parts, bounded, and kept for a while."""

import os
import stat

import pytest

from hostler_provisioner.backend import LogPart
from hostler_provisioner.local import log_files
from hostler_provisioner.local.log_files import keep, kept_log, prune, read_part, shorten


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "replicas" / "r-1" / "log.txt"
    path.parent.mkdir(parents=True)
    return path


def tail(log, lines=10, *, ended=False):
    return read_part(log, tail_lines=lines, after=None, ended=ended)


def after(log, place, *, ended=False):
    return read_part(log, tail_lines=10, after=place, ended=ended)


def test_the_last_lines_are_given_and_the_place_behind_them(log):
    log.write_text("one\ntwo\nthree\n")
    assert tail(log, 2) == LogPart("two\nthree\n", 14, ended=False)
    assert tail(log, 0) == LogPart("", 14, ended=False)


def test_a_line_that_is_not_complete_is_left_for_the_next_time_unless_nobody_writes_on(log):
    log.write_text("one\ntw")
    first = tail(log)
    assert first == LogPart("one\n", 4, ended=False)
    log.write_text("one\ntwo\nthr")
    assert after(log, first.next) == LogPart("two\n", 8, ended=False)
    assert after(log, 8, ended=True) == LogPart("thr\n", 11, ended=True)


def test_following_a_log_in_parts_gives_every_line_once(log, monkeypatch):
    monkeypatch.setattr(log_files, "PART_BYTES_MAX", 50)
    lines = [f"line {number} {'x' * (number % 60)}" for number in range(60)]
    log.write_text("".join(f"{line}\n" for line in lines))

    place, seen = 0, ""
    for _ in range(300):
        part = after(log, place, ended=True)
        seen, place = seen + part.text, part.next
        if part.ended:
            break

    # A line longer than a part comes in pieces, each as a line.
    assert seen.replace("\n", "") == "".join(lines)


def test_a_log_that_was_emptied_is_read_from_its_beginning(log):
    log.write_text("a long line\n")
    place = tail(log).next
    log.write_text("new\n")
    assert after(log, place) == LogPart("new\n", 4, ended=False)


def test_what_is_no_text_and_what_is_for_the_provisioner_alone_is_left_out(log):
    log.write_bytes(b'cmd_child_to_router:state:{"state": 1}\n\xff\xfe\n\nfine\n')
    assert tail(log).text == "��\nfine\n"


def test_a_log_over_its_bound_is_emptied_and_its_end_still_shown(log):
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    shorten(log, 2000)
    assert tail(log, 1).text == "line 99\n"
    shorten(log, 200)

    assert log.stat().st_size == 0
    assert tail(log, 2).text == "line 98\nline 99\n"
    with log.open("a") as file:
        file.write("line 100\n")
    assert tail(log, 2).text == "line 99\nline 100\n"
    assert stat.S_IMODE(log.with_name("log.1.txt").stat().st_mode) == 0o600


def test_a_log_that_is_not_there_is_told_from_an_empty_one(log):
    assert tail(log) is None
    log.touch()
    assert tail(log) == LogPart("", 0, ended=False)


def test_the_log_of_a_replica_that_is_forgotten_is_kept_and_the_places_in_it_stay(log, tmp_path):
    log.write_text("one\ntwo\n")
    place = tail(log).next - 4
    keep(log, tmp_path / "replica-logs", "r-1")

    kept = kept_log(tmp_path / "replica-logs", "r-1")
    assert not log.exists()
    assert after(kept, place, ended=True) == LogPart("two\n", 8, ended=True)
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_kept_logs_go_when_they_are_old_or_the_oldest_of_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(log_files, "KEPT_BYTES_MAX", 25)
    for name, age in (("young", 10), ("middle", 20), ("big", 30), ("old", 200_000)):
        path = kept_log(tmp_path, name)
        path.write_text("x" * 10 if name != "old" else "")
        os.utime(path, (1e9 - age, 1e9 - age))

    prune(tmp_path, now=1e9)

    assert {path.stem for path in tmp_path.iterdir()} == {"young", "middle"}
