"""Which of a job's replicas are left out for a while, because requests to them failed.

A replica can be ready for everyone who asks after its health and fail or hang all the same, so the requests themselves are the
sign. The core tells how each attempt ended and leaves out whom `ejected` names; one for each job. The rules are those of
Envoy's outlier detection.

* Five failures without a success between, or one stall, eject a replica for ten seconds; each further time for ten more, up
  to five minutes. The count goes on until a success: a replica that comes back and fails at once is ejected at once.
* Each half minute that a replica then serves takes one such time off again.
* At most half of the replicas are left out, and never the only one. Where more would be, it is likelier that the requests or
  the network are to blame: then nobody is left out.

Times are monotonic seconds that never go back.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Final

FAILURES_MAX: Final = 5
"""So many failures in a row eject."""
EJECTION_SECONDS: Final = 10.0
"""The first time; the second time twice as long, and so on."""
EJECTION_SECONDS_MAX: Final = 300.0
_EJECTIONS_MAX: Final = int(EJECTION_SECONDS_MAX / EJECTION_SECONDS)
RECOVERY_SECONDS: Final = 30.0
"""For so long a replica has to serve until one of its ejections is forgotten."""
EJECTED_SHARE_MAX: Final = 0.5
"""Rounded down, which leaves the only one in."""

NOBODY: Final[frozenset[str]] = frozenset()


class Failure(StrEnum):
    """How an attempt failed through the replica's fault."""

    ERROR = "error"
    """It answered with a 5xx."""
    UNREACHABLE = "unreachable"
    """No connection, or one that ended before the answer began."""
    BROKEN = "broken"
    """The answer ended in the middle."""
    STALL = "stall"
    """The answer stood still for too long; that costs a caller so much time that once is enough."""


@dataclass(slots=True)
class _Record:
    """What is remembered of a replica that failed.

    Attributes:
        failures: Since the last success.
        ejections: Ejections that aren't forgotten yet.
        recovers_from: Since when it serves after an ejection, moved on by what was counted already.
    """

    failures: int = 0
    ejections: int = 0
    recovers_from: float = 0.0


class Outliers:
    """One job's replicas."""

    __slots__ = ("_ejected_until", "_records")

    def __init__(self) -> None:
        # Both hold nothing of a replica that is well, which makes the common case one look into an empty map.
        self._records: dict[str, _Record] = {}
        self._ejected_until: dict[str, float] = {}

    def succeeded(self, replica_id: str, now: float) -> None:
        """An attempt went well; a replica that is left out stays so until its time is over."""
        if not self._records:
            return
        record = self._records.get(replica_id)
        if record is None:
            return
        record.failures = 0
        if record.ejections:
            recovered = max(0, int((now - record.recovers_from) / RECOVERY_SECONDS))
            record.ejections = max(0, record.ejections - recovered)
            record.recovers_from += recovered * RECOVERY_SECONDS
        if not record.ejections:
            del self._records[replica_id]

    def failed(self, replica_id: str, failure: Failure, now: float) -> bool:
        """An attempt failed; True if the replica is ejected by that.

        It is not while it is ejected already: the requests that were under way then fail with the one that was the sign.
        """
        record = self._records.get(replica_id)
        if record is None:
            record = self._records[replica_id] = _Record()
        record.failures += 1
        if failure is Failure.STALL:
            record.failures = max(record.failures, FAILURES_MAX)
        if record.failures < FAILURES_MAX or self._ejected_until.get(replica_id, -inf) > now:
            return False
        record.ejections = min(record.ejections + 1, _EJECTIONS_MAX)
        seconds = EJECTION_SECONDS * record.ejections
        record.recovers_from = self._ejected_until[replica_id] = now + seconds
        return True

    def ejected(self, replica_ids: Collection[str], now: float) -> frozenset[str]:
        """Who of these is to be left out."""
        if not self._ejected_until:
            return NOBODY
        ejected = self._among(replica_ids, now)
        return NOBODY if len(ejected) > int(len(replica_ids) * EJECTED_SHARE_MAX) else ejected

    def panics(self, replica_ids: Collection[str], now: float) -> bool:
        """Whether nobody of these is left out because too many would be; not so for a single one."""
        if not self._ejected_until or len(replica_ids) < 2:
            return False
        return len(self._among(replica_ids, now)) > int(len(replica_ids) * EJECTED_SHARE_MAX)

    def forget(self, replica_ids: Collection[str]) -> None:
        """These replicas are gone."""
        for replica_id in replica_ids:
            self._records.pop(replica_id, None)
            self._ejected_until.pop(replica_id, None)

    def _among(self, replica_ids: Collection[str], now: float) -> frozenset[str]:
        over = [replica_id for replica_id, until in self._ejected_until.items() if until <= now]
        for replica_id in over:
            del self._ejected_until[replica_id]
        return frozenset([replica_id for replica_id in replica_ids if replica_id in self._ejected_until])
