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

from hostler_router import usage_spool
from hostler_router.usage_backlog import Backlog
from hostler_router.usage_batches import Batch
from hostler_router.usage_spool import UsageSpool


class Killed(BaseException):
    """The process ends here."""


class Machine:
    """Counts calls of the system and ends the process, or fails a write, at chosen ones; knows what a dead process had open."""

    def __init__(self, kill_at: int, before: bool, share: float, full_at: int) -> None:
        self.kill_at, self.before, self.share, self.full_at = kill_at, before, share, full_at
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
            mock.patch.object(os, "ftruncate", stepping(real_truncate)),
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
        st.tuples(st.just("store"), st.integers(1, 4)),
        st.tuples(st.just("adopt"), st.just(0)),
    ),
    max_size=12,
)
_lives = st.lists(
    st.tuples(
        _steps, st.integers(1, 60), st.booleans(), st.floats(0, 1, exclude_max=True), st.integers(1, 80)
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=200, deadline=None)
@given(_lives)
def test_whenever_it_is_killed_what_it_had_taken_is_still_there(
    lives: list[tuple[list[tuple[str, int]], int, bool, float, int]],
) -> None:
    with tempfile.TemporaryDirectory() as name, mock.patch.object(usage_spool, "SEGMENT_BYTES", 250):
        folder = Path(name)
        taken: dict[str, Batch] = {}
        offered: dict[str, Batch] = {}
        stored: set[str] = set()
        for life, (steps, kill_at, before, share, full_at) in enumerate(lives):
            machine = Machine(kill_at, before, share, full_at)
            with machine.running():
                live(folder, f"life-{life}", steps, taken, offered, stored)
        spool = opened(folder, "the-last")
        spool.adopt()
        found = {batch.msg_id: batch for _, batch in backlog(spool).waiting()}
        assert taken.keys() - stored <= found.keys()
        assert found.items() <= offered.items()
        for place, batch in backlog(spool).waiting():
            backlog(spool).settle(place, batch.msg_id)
        assert list(folder.iterdir()) == []
        spool.close()


def live(
    folder: Path,
    name: str,
    steps: list[tuple[str, int]],
    taken: dict[str, Batch],
    offered: dict[str, Batch],
    stored: set[str],
) -> None:
    """One life of a process; it notes what it was promised only after it was."""
    spool = opened(folder, name)
    held = backlog(spool)
    for number, (step, count) in enumerate(steps):
        if step == "keep":
            batches = [Batch("s", f"{name}-{number}-{index}", 1, b"d" * 40 * index) for index in range(count)]
            offered.update({batch.msg_id: batch for batch in batches})
            if spool.keep(batches):
                taken.update({batch.msg_id: batch for batch in batches})
        elif step == "store":
            for (place, batch), _ in zip(held.waiting(), range(count), strict=False):
                stored.add(batch.msg_id)  # in the stream, before the spool hears of it
                held.settle(place, batch.msg_id)
        else:
            held.adopt()


def opened(folder: Path, name: str) -> UsageSpool:
    return UsageSpool(folder, writer=name, bytes_max=2**20, now=lambda: 0.0, logger=structlog.get_logger())


def backlog(spool: UsageSpool) -> Backlog:
    return Backlog(spool, lambda requests, subject, reason: None, lambda requests: None)
