"""How many requests may be tried again: a share of those that came, and a few a second on top.

Without a bound each request to a job whose replicas all fail costs as many attempts as retries are allowed, just when there
is the least room. The core asks before each retry, and counts each request when it comes; one budget for each job. The rule
is that of Finagle and Linkerd: in the last `window_seconds` no more retries than `share` of the requests of that time and
`floor_per_second` for each of its seconds. Few requests may thus be retried all together at once, when a replica dies.

Times are monotonic seconds that never go back. The window moves on in tenths: a request is forgotten up to a tenth too early
and a retry up to a tenth too late, so the bound is never exceeded.
"""

from typing import Final

_PARTS: Final = 10


class RetryBudget:
    """Requests and retries of the last seconds."""

    __slots__ = (
        "_floor",
        "_index",
        "_part",
        "_part_seconds",
        "_requests",
        "_requests_sum",
        "_retries",
        "_retries_sum",
        "_share",
        "_until",
    )

    def __init__(self, share: float = 0.2, floor_per_second: float = 10, window_seconds: float = 10) -> None:
        self._share = share
        self._floor = floor_per_second * window_seconds
        self._part_seconds = window_seconds / _PARTS
        # The part that runs now is not over yet: with the nine before it the window isn't full, with ten it is more than full.
        self._requests = [0] * _PARTS
        self._retries = [0] * (_PARTS + 1)
        self._requests_sum = 0
        self._retries_sum = 0
        self._part = 0
        self._index = 0
        """The part's in `_requests`."""
        self._until = 0.0
        """When the part is over."""

    def request(self, now: float) -> None:
        """A request came; its retries are none."""
        if now >= self._until:
            self._move_to(int(now / self._part_seconds))
        self._requests[self._index] += 1
        self._requests_sum += 1

    def may_retry(self, now: float) -> bool:
        """Whether there is a retry left; takes it if so."""
        if self.balance(now) < 1:
            return False
        self._retries[self._part % (_PARTS + 1)] += 1
        self._retries_sum += 1
        return True

    def balance(self, now: float) -> float:
        """Retries left; less than 0 where the requests that paid for some are long ago by now."""
        if now >= self._until:
            self._move_to(int(now / self._part_seconds))
        return self._share * self._requests_sum + self._floor - self._retries_sum

    def _move_to(self, part: int) -> None:
        for begun in range(max(self._part + 1, part - _PARTS), part + 1):
            self._requests_sum -= self._requests[begun % _PARTS]
            self._requests[begun % _PARTS] = 0
            self._retries_sum -= self._retries[begun % (_PARTS + 1)]
            self._retries[begun % (_PARTS + 1)] = 0
        self._part = part
        self._index = part % _PARTS
        self._until = (part + 1) * self._part_seconds
