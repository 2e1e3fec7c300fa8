"""The load windows of the last two minutes, by job, and the routers that they came from.

The service puts in what it reads from METRICS, in whatever order it comes. A window that comes twice, as after a lost connection, counts
once. What a router reported before it fell silent is kept for as long as it may come back.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from hostler_autoscaler.rates import LOOK_BACK_SECONDS
from hostler_autoscaler.signals import STALE_SECONDS_MAX, Heard, silent_since
from hostler_autoscaler.slices import Slice, slice_of
from hostler_contracts.envelope import TraceContext
from hostler_contracts.load import LoadWindow

KEPT_SECONDS = LOOK_BACK_SECONDS + STALE_SECONDS_MAX + 10.0
"""Long enough to see that a router is silent, and what it had before; the rest because clocks differ a little."""
SILENT_SECONDS_MAX = 300.0
"""After so long without a word a router counts as gone, and what it had as gone with it."""


class WindowStore:
    """Windows by job, router and begin."""

    def __init__(self) -> None:
        self._slices: dict[str, dict[tuple[str, datetime], Slice]] = {}
        self._heard: dict[str, Heard] = {}
        self._traces: dict[str, tuple[TraceContext, datetime]] = {}

    @property
    def heard(self) -> dict[str, Heard]:
        """Every router of which it is worth knowing when it was heard of last."""
        return self._heard

    def add(self, window: LoadWindow, *, now: datetime) -> None:
        """Take in a window that came at `now`; the same one again replaces it."""
        taken = slice_of(window, latest=now.timestamp())
        if taken.end <= now.timestamp() - SILENT_SECONDS_MAX - LOOK_BACK_SECONDS:
            return
        self._slices.setdefault(window.job_id, {})[window.router, window.started_at] = taken
        known = self._heard.get(taken.router)
        if known is None or taken.end > known.last_at:
            self._heard[taken.router] = Heard(taken.end, taken.leaves)
        elif taken.end == known.last_at and taken.leaves and not known.left:
            self._heard[taken.router] = Heard(taken.end, left=True)

    def note_trace(self, job_id: str, trace: TraceContext, at: datetime) -> None:
        """A request that waits for the job, because of which a window came at `at`, is part of this trace; the first one counts."""
        self._traces.setdefault(job_id, (trace, at))

    def take_trace(self, job_id: str) -> TraceContext | None:
        """The trace of the request because of which the job is scaled, once."""
        trace, _ = self._traces.pop(job_id, (None, None))
        return trace

    def of(self, job_id: str) -> tuple[Slice, ...]:
        """The windows of a job."""
        return tuple(self._slices.get(job_id, {}).values())

    def prune(self, *, now: datetime, living: Callable[[str], bool]) -> None:
        """Forget what is too old, and everything of jobs that are not `living`."""
        at = now.timestamp()
        self._heard = {
            router: known for router, known in self._heard.items() if at - known.last_at < SILENT_SECONDS_MAX
        }
        oldest = at - KEPT_SECONDS
        for job_id, slices in list(self._slices.items()):
            if not living(job_id):
                del self._slices[job_id]
                continue
            if all(each.end > oldest for each in slices.values()):
                continue
            silent = silent_since(tuple(slices.values()), self._heard, at=at)
            kept = {
                key: each
                for key, each in slices.items()
                if each.end > oldest or any(0 <= since - each.end < LOOK_BACK_SECONDS for since in silent)
            }
            if kept:
                self._slices[job_id] = kept
            else:
                del self._slices[job_id]
        oldest_trace = now - timedelta(seconds=KEPT_SECONDS)
        self._traces = {
            job_id: (trace, noted_at)
            for job_id, (trace, noted_at) in self._traces.items()
            if noted_at > oldest_trace and job_id in self._slices
        }
