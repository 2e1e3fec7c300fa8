"""Finished requests, gathered until they are stored.

Pure but for its own memory: the inference handler tells the recorder of every request that was given to a replica, and
`usage_reporting` cuts and publishes what it holds.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from hostler_contracts.usage import FinishedRequest
from hostler_router.exchange import Exchange, Outcome
from hostler_router.table import Entry

_REQUESTS_PER_BATCH: Final = 500
"""About 250 KB, well below the largest message that a server takes by default."""
_CLIENT_GONE_CODE: Final = 499
_NOT_WHOLE: Final = frozenset({Outcome.CLIENT_GONE, Outcome.BROKEN, Outcome.CUT})


class UsageRecorder:
    """Requests that have ended since the last cut, by job."""

    def __init__(self) -> None:
        self._ended: dict[tuple[str, str], list[FinishedRequest]] = {}

    def ended(self, project: str, job_id: str, request: FinishedRequest) -> None:
        """A request for a job has ended."""
        self._ended.setdefault((project, job_id), []).append(request)

    def cut(self) -> Iterator[tuple[str, str, tuple[FinishedRequest, ...]]]:
        """Everything since the last cut, as project, job and some of its requests."""
        ended, self._ended = self._ended, {}
        for (project, job_id), requests in ended.items():
            for start in range(0, len(requests), _REQUESTS_PER_BATCH):
                yield project, job_id, tuple(requests[start : start + _REQUESTS_PER_BATCH])


def finished(
    exchange: Exchange, entry: Entry, *, status: int, now: datetime, duration_seconds: float, usage_id: str, measured: bool = True
) -> FinishedRequest:
    """What is put down of a request that has just ended."""
    usage = exchange.usage
    return FinishedRequest(
        usage_id=usage_id,
        request_id=exchange.request_id,
        key_id=exchange.key_id,
        key_project=exchange.key_project,
        replica_id=exchange.replica_id or None,
        model=entry.model,
        route=exchange.route,
        status=status or _CLIENT_GONE_CODE,
        outcome=exchange.outcome,
        streamed=exchange.stream,
        aborted=exchange.outcome in _NOT_WHOLE,
        started_at=now - timedelta(seconds=duration_seconds),
        duration_seconds=round(duration_seconds, 4),
        prompt_tokens=None if usage is None else usage.prompt_tokens,
        completion_tokens=None if usage is None else usage.completion_tokens,
        audio_seconds=usage.audio_seconds if usage is not None and usage.audio_seconds else None,
    )
