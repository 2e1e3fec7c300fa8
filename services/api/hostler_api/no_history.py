"""The answer of an installation that keeps no metric history: every sample is a gap, and it says so."""

from collections.abc import Sequence
from datetime import datetime

from hostler_api.metric_history import History, SeriesName


class NoHistory:
    """A `MetricHistory` without a store behind it."""

    async def query(
        self,
        job_id: str,
        replica_id: str | None,
        names: Sequence[SeriesName],
        *,
        start: datetime,
        end: datetime,
        samples: int,
    ) -> History:
        """Nothing, and why."""
        del job_id, replica_id, names, start, end, samples
        return History((), complete=False, reason="metric history is not configured")
