"""A process is killed at any step of the spool's work, several times over: nothing that it had taken is lost, and nothing is made up."""

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from hostler_router.usage_backlog import Backlog
from hostler_router.usage_batches import Batch, with_parts
from hostler_router.usage_segments import Segment
from hostler_router.usage_spool import UsageSpool


def _stuck(fd: int, size: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


class Killed(BaseException):
    """The process ends here."""


class Machine:
    """Counts calls of the system and ends the process, or fails a write, at chosen ones; knows what a dead process had open.

    Where the disk is `stuck`, what a failed write has left can't be cut off either.
    """

    def __init__(self, kill_at: int, before: bool, share: float, full_at: int, stuck: bool) -> None:
        self.kill_at, self.before, self.share, self.full_at = kill_at, before, share, full_at
        self.stuck = stuck
        self.calls = 0
        self.open: set[int] = set()

    def step(self) -> bool:
        """Whether this is the last call; ends the process if that is to be before it has any effect."""
        self.calls += 1
        last = self.calls == self.kill_at
        if last and self.before:
            raise Killed
        return last

    @contextmanager
    def running(self) -> Iterator[None]:
        real_open, real_close, real_dup, real_write = os.open, os.close, os.dup, os.write
        real_unlink, real_flock, real_truncate = Path.unlink, fcntl.flock, os.ftruncate

        def opening(path: Path, flags: int, mode: int = 0o777) -> int:
            last = self.step()
            fd = real_open(path, flags, mode)
            self.open.add(fd)
            if last:
                raise Killed
            return fd

        def closing(fd: int) -> None:
            last = self.step()
            real_close(fd)
            self.open.discard(fd)
            if last:
                raise Killed

        def writing(fd: int, data: memoryview) -> int:
            if self.calls + 1 == self.full_at:
                self.calls += 1
                real_write(fd, data[: int(len(data) * self.share)])
                raise OSError(errno.ENOSPC, "No space left on device")
            last = self.step()
            written = real_write(fd, data[: max(1, int(len(data) * self.share))] if last else data)
            if last:
                raise Killed
            return written

        def stepping(real: object) -> object:
            def call(*arguments: object, **named: object) -> object:
                last = self.step()
                result = real(*arguments, **named)  # type: ignore[operator]  # it is a function of the system
                if last:
                    raise Killed
                return result

            return call

        with (
            mock.patch.object(os, "open", opening),
            mock.patch.object(os, "close", closing),
            mock.patch.object(os, "write", writing),
            mock.patch.object(os, "ftruncate", stepping(_stuck if self.stuck else real_truncate)),
            mock.patch.object(Path, "unlink", stepping(real_unlink)),
            mock.patch.object(fcntl, "flock", stepping(real_flock)),
            suppress(Killed),
        ):
            yield
        for fd in self.open:  # the kernel closes what a dead process had open, and its locks go
            real_close(fd)
        assert (os.open, os.dup) == (real_open, real_dup)


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("keep"), st.integers(1, 3)),
        st.tuples(st.just("grow"), st.integers(1, 3)),
        st.tuples(st.just("store"), st.integers(1, 4)),
        st.tuples(st.just("adopt"), st.just(0)),
    ),
    max_size=12,
)
_lives = st.lists(
    st.tuples(
        _steps,
        st.builds(
            Machine,
            st.integers(1, 60),
            st.booleans(),
            st.floats(0, 1, exclude_max=True),
            st.integers(1, 80),
            st.booleans(),
        ),
    ),
    min_size=1,
    max_size=3,
)


class Promised:
    """What a process was given, and what it said that it had taken."""

    def __init__(self) -> None:
        self.offered: dict[str, Batch] = {}
        self.taken: set[str] = set()
        self.parts: dict[str, list[Batch]] = {}
        self.parts_taken: dict[str, list[Batch]] = {}
        self.stored: set[str] = set()

    def kept_by(self, found: Batch) -> bool:
        """Whether this is a batch with all that was taken of its parts, and with nothing that was not offered."""
        known = [part for part in self.parts.get(found.msg_id, []) if part.data in _pieces(found.data)]
        missing = [part for part in self.parts_taken.get(found.msg_id, []) if part not in known]
        return not missing and found == with_parts(self.offered[found.msg_id], known)


def _pieces(data: bytes) -> list[bytes]:
    return [b"," + piece for piece in data[data.index(b"[") + 1 : data.rindex(b"]")].split(b",")]


@settings(max_examples=300, deadline=None)
@given(_lives, st.booleans())
def test_whenever_it_is_killed_what_it_had_taken_is_still_there(
    lives: list[tuple[list[tuple[str, int]], Machine]], journal: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        promised = Promised()
        for life, (steps, machine) in enumerate(lives):
            with machine.running():
                live(folder, f"life-{life}", steps, promised, journal=journal)
        spool = opened(folder, "the-last")
        spool.adopt()
        found = {batch.msg_id: batch for _, batch in backlog(spool).waiting()}
        assert promised.taken - promised.stored <= found.keys() <= promised.offered.keys()
        assert all(promised.kept_by(batch) for batch in found.values())
        for place, batch in backlog(spool).waiting():
            backlog(spool).settle(place, batch.msg_id)
        assert list(folder.iterdir()) == []
        spool.close()


def live(folder: Path, name: str, steps: list[tuple[str, int]], promised: Promised, *, journal: bool) -> None:
    """One life of a process; it notes what it was promised only after it was."""
    spool = opened(folder, name, journal=journal)
    held = backlog(spool)
    growing: tuple[Segment, Batch] | None = None
    for number, (step, count) in enumerate(steps):
        if step == "keep":
            batches = [
                Batch("s", f"{name}-{number}-{index}", 1, b'{"r":[%s],"writer":1}' % (b"d" * 40 * index))
                for index in range(1, count + 1)
            ]
            promised.offered.update({batch.msg_id: batch for batch in batches})
            place = spool.keep(batches)
            if place is not None:
                promised.taken.update(batch.msg_id for batch in batches)
                growing = place, batches[-1]
        elif step == "grow" and growing is not None:
            segment, batch = growing
            if batch.msg_id in promised.stored:
                continue
            part = Batch("s", batch.msg_id, 1, b",%d" % number + b"p" * 30 * count)
            promised.parts.setdefault(batch.msg_id, []).append(part)
            if spool.add(segment, part):
                promised.parts_taken.setdefault(batch.msg_id, []).append(part)
        elif step == "store":
            for (place, batch), _ in zip(held.waiting(), range(count), strict=False):
                promised.stored.add(batch.msg_id)  # in the stream, before the spool hears of it
                held.settle(place, batch.msg_id)
        else:
            held.adopt()


def opened(folder: Path, name: str, *, journal: bool = False) -> UsageSpool:
    return UsageSpool(
        folder,
        writer=name,
        bytes_max=2**20,
        now=lambda: 0.0,
        logger=structlog.get_logger(),
        journal=journal,
        segment_bytes=250,
    )


def backlog(spool: UsageSpool) -> Backlog:
    return Backlog(spool, lambda requests, subject, reason: None, lambda requests: None)
