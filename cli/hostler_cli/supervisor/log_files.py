"""The log files of a stack: kept below a size, read from the end, and followed while the stack runs in the foreground.

Every process writes its file itself, through a descriptor that it inherits. So a slow terminal holds nobody up, and what
a process said last is there even when the supervisor was killed.
"""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

_KEEP_BYTES: Final = 10_000_000
_TAIL_BYTES: Final = 64_000
_POLL_SECONDS: Final = 0.1


def rotate(path: Path) -> None:
    """Set a grown log aside, in place of the one set aside before; done at each start."""
    if path.exists() and path.stat().st_size > _KEEP_BYTES:
        path.replace(path.with_name(path.name + ".1"))


def tail(path: Path, lines: int, *, since: int = 0) -> list[str]:
    """Give the last lines of a log, none from before the byte `since`."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(since, size - _TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()[-lines:]


async def follow(files: Iterable[tuple[str, Path]], show: Callable[[str, str], None]) -> None:
    """Hand on (name, line) for every line that is added to the files from now on; runs until it is cancelled.

    When cancelled it reads once more, so that the last words of a stopped stack are shown.
    """
    followers = [_Follower(name, path) for name, path in files]
    try:
        while True:
            _show_new(followers, show)
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        _show_new(followers, show)


def _show_new(followers: Iterable["_Follower"], show: Callable[[str, str], None]) -> None:
    for follower in followers:
        for line in follower.new_lines():
            show(follower.name, line)


class _Follower:
    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0
        self._partial = b""

    def new_lines(self) -> list[str]:
        if not self._path.exists() or self._path.stat().st_size == self._position:
            return []
        with self._path.open("rb") as file:
            file.seek(self._position)
            added = file.read()
        self._position += len(added)
        *whole, self._partial = (self._partial + added).split(b"\n")
        return [line.decode(errors="replace") for line in whole]
