"""Whose turn it is to be decided upon: every job again and again, those with news first, and never so many that a tick takes too long.

Where there are so many jobs that a tick can't look at all of them, the rest is looked at in the next ones before anybody's turn comes again.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator


class Turns:
    """The order of the jobs."""

    def __init__(self) -> None:
        self._urgent: dict[str, None] = {}
        self._waiting: deque[str] = deque()

    def hurry(self, job_id: str) -> None:
        """Look at this job first."""
        self._urgent[job_id] = None

    def round(self, job_ids: Callable[[], Iterable[str]], *, anew: bool) -> Iterator[str]:
        """The jobs of one tick, each at most once; whoever takes no more of them leaves the rest for the next tick.

        Args:
            job_ids: All that there are, asked for when everybody has had a turn.
            anew: Whether everybody may have another one then.
        """
        had: set[str] = set()
        while self._urgent:
            job_id = next(iter(self._urgent))
            del self._urgent[job_id]
            had.add(job_id)
            yield job_id
        if not self._waiting and anew:
            self._waiting.extend(job_ids())
        while self._waiting:
            job_id = self._waiting.popleft()
            if job_id not in had:
                yield job_id
