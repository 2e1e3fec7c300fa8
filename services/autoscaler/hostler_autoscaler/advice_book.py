"""When advice of the policy becomes a condition of the job, and when it is taken back: after it has stood for a while, and been gone for a longer one.

Pure but for its memory, which is not stored: after a restart advice that stands counts as seen at that moment. An hour or more lies between two
wordings of the same advice, whatever its figures do meanwhile.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hostler_autoscaler.decision import Advice
from hostler_autoscaler.observation import NoData
from hostler_autoscaler.records import Made
from hostler_domain.advice import condition_type, standing_advice
from hostler_domain.changes import GivenAdvice
from hostler_domain.job import Condition, Job

STANDS_AFTER = timedelta(minutes=2)
MISSED_AFTER = timedelta(minutes=1)
"""Advice that nobody has been told of yet and that was away for so long begins anew."""
GONE_AFTER = timedelta(minutes=15)
REWORDED_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Seen:
    """Since when and until when an advice was given, its latest wording, and when the owner was told that; None for not yet."""

    since: datetime
    last: datetime
    advice: GivenAdvice
    told_at: datetime | None = None


class AdviceBook:
    """What was advised lately, by job and by type of condition."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, _Seen]] = {}

    def due(self, job: Job, made: Made) -> tuple[GivenAdvice, ...] | None:
        """All advice that holds from now on, if that is not what the job says already.

        A decision without news, or about a job that sleeps, is no sign that anything got better.

        | stands on the job | given now | holds from now on |
        | --- | --- | --- |
        | no | for 2 min | yes |
        | no | for less, or no | no |
        | yes | yes, or within 15 min | yes |
        | yes | not for 15 min | no |
        """
        now = made.observation.now
        standing = {each.type: each for each in standing_advice(job)}
        if isinstance(made.observation.load, NoData) or 0 in (
            made.observation.desired,
            made.decision.replicas,
        ):
            return None
        if not (standing or made.decision.advice or job.job_id in self._seen):
            return None
        seen = self._looked(job.job_id, standing, made.decision.advice, now)
        holds = {kind: each for kind, each in seen.items() if _holds(each, now, stands=kind in standing)}
        reworded = any(
            _reworded(each, standing[kind], now) for kind, each in holds.items() if kind in standing
        )
        if holds.keys() == standing.keys() and not reworded:
            return None
        return tuple(
            each.advice
            if kind not in standing or _reworded(each, standing[kind], now)
            else replace(each.advice, sentence=standing[kind].message)
            for kind, each in sorted(holds.items())
        )

    def told(self, job_id: str, advice: Iterable[GivenAdvice], now: datetime) -> None:
        """The job says so now."""
        seen = self._seen.get(job_id, {})
        for each in advice:
            kind = condition_type(each.kind)
            if kind in seen:
                seen[kind] = replace(seen[kind], told_at=now)

    def forget(self, gone: Iterable[str]) -> None:
        """Hold nothing any more of these jobs."""
        for job_id in gone:
            self._seen.pop(job_id, None)

    def _looked(
        self, job_id: str, standing: dict[str, Condition], given: tuple[Advice, ...], now: datetime
    ) -> dict[str, _Seen]:
        seen = self._seen.setdefault(job_id, {})
        for each in given:
            advice = GivenAdvice(each.kind.value, each.sentence, each.numbers)
            kind = condition_type(each.kind)
            known = seen.get(kind) or _Seen(now, now, advice, now if kind in standing else None)
            seen[kind] = replace(known, last=now, advice=advice)
        for kind, condition in standing.items():
            # Of a kind that another version gave, only its condition is known; it goes like any other.
            seen.setdefault(kind, _Seen(now, now, GivenAdvice(_kind_of(kind), condition.message), now))
        for kind in [kind for kind, each in seen.items() if now - each.last >= MISSED_AFTER]:
            if kind not in standing:
                del seen[kind]
        if not seen:
            del self._seen[job_id]
        return seen


def _holds(seen: _Seen, now: datetime, *, stands: bool) -> bool:
    if stands:
        return now - seen.last < GONE_AFTER
    return seen.last == now and now - seen.since >= STANDS_AFTER


def _reworded(seen: _Seen, condition: Condition, now: datetime) -> bool:
    if seen.advice.sentence == condition.message or seen.last != now:
        return False
    return seen.told_at is None or now - seen.told_at >= REWORDED_AFTER


def _kind_of(condition: str) -> str:
    """`raise_min_replicas` of `AdviceRaiseMinReplicas`."""
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in condition)
    return words.removeprefix("_advice_")
