"""A metric history that holds what a test puts into it, and remembers what it was asked."""

from collections.abc import Sequence
from datetime import datetime

from hostler_api.history.shapes import History, Sample, Series, SeriesName


class RecordedHistory:
    """A `MetricHistory` in memory: the same values for every job and replica."""

    def __init__(self) -> None:
        self.values: dict[SeriesName, list[float | None]] = {}
        self.away = ""
        self.asked: list[tuple[str, str | None, tuple[SeriesName, ...], int]] = []

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
        """The values that were put in, spread over the time, and gaps behind them."""
        self.asked.append((job_id, replica_id, tuple(names), samples))
        if self.away:
            return History((), complete=False, reason=self.away)
        span = (end - start) / samples
        return History(
            tuple(
                Series(
                    name,
                    tuple(
                        Sample(start + span * (number + 1), value)
                        for number, value in enumerate(self._padded(name, samples))
                    ),
                )
                for name in names
            )
        )

    def _padded(self, name: SeriesName, samples: int) -> list[float | None]:
        given = self.values.get(name, [])
        return (given + [None] * samples)[:samples]
