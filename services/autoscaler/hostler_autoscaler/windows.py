"""The load windows of the last minute and a half, by job.

The service puts in what it reads from METRICS. A window that comes twice, as after a lost connection, counts once.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from hostler_autoscaler.observe import ended_at
from hostler_contracts.envelope import TraceContext
from hostler_contracts.load import LoadWindow

KEPT_SECONDS = 90.0
"""Longer than the look-back, so that clocks may differ a little."""


class WindowStore:
    """Windows by job, router and begin."""

    def __init__(self) -> None:
        self._windows: dict[str, dict[tuple[str, datetime], LoadWindow]] = {}
        self._traces: dict[str, tuple[TraceContext, datetime]] = {}

    def add(self, window: LoadWindow) -> None:
        """Take in a window; the same one again replaces it."""
        self._windows.setdefault(window.job_id, {})[window.router, window.started_at] = window

    def note_trace(self, job_id: str, trace: TraceContext, at: datetime) -> None:
        """A request that waits for the job, because of which a window came at `at`, is part of this trace; the first one counts."""
        self._traces.setdefault(job_id, (trace, at))

    def take_trace(self, job_id: str) -> TraceContext | None:
        """The trace of the request because of which the job is scaled, once."""
        trace, _ = self._traces.pop(job_id, (None, None))
        return trace

    def of(self, job_id: str) -> tuple[LoadWindow, ...]:
        """The windows of a job."""
        return tuple(self._windows.get(job_id, {}).values())

    def prune(self, *, now: datetime, living: Callable[[str], bool]) -> None:
        """Forget what is too old, and everything of jobs that are not `living`."""
        oldest = now - timedelta(seconds=KEPT_SECONDS)
        for job_id, windows in list(self._windows.items()):
            kept = {key: window for key, window in windows.items() if ended_at(window) > oldest}
            if kept and living(job_id):
                self._windows[job_id] = kept
            else:
                del self._windows[job_id]
        self._traces = {
            job_id: (trace, at)
            for job_id, (trace, at) in self._traces.items()
            if at > oldest and job_id in self._windows
        }
