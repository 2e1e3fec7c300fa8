"""What came of a storm, as a value and as figures for people."""

import math
import platform
import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from tests.faults.checker import Violation
from tests.faults.facts import Event, Kill, Request, Sample, Wish, acknowledged

_SHOWN_MAX = 50
_NEAR_SECONDS = 10.0
"""A service that was killed may take this long to serve again on a busy machine."""


@dataclass(slots=True)
class Report:
    """One storm.

    Attributes:
        requests: All that the users sent, from the first to the last.
        kills: All that the killer did.
        samples: All that the witness saw.
        events: The whole stream.
        violations: Promises that were not kept.
        storm_seconds: How long it lasted.
        calm_seconds: From its end until every job was as wanted.
        gone_seconds: From the last deletion until no process was left.
        slow: Processes that took very long to come back.
    """

    requests: list[Request]
    kills: list[Kill]
    samples: list[Sample]
    events: list[Event]
    violations: list[Violation]
    storm_seconds: float
    calm_seconds: float
    gone_seconds: float
    slow: list[str]

    def nats_recoveries_seconds(self, *, alone: bool) -> list[float]:
        """How long nothing could be written after each kill of NATS, or after those that neither an api's nor another came near."""
        kills = [each for each in self.kills if each.target == "nats"]
        recoveries = zip(kills, recoveries_seconds(self.requests, [each.at for each in kills]), strict=True)
        return [seconds for kill, seconds in recoveries if not alone or self._is_alone(kill, seconds)]

    def _is_alone(self, kill: Kill, recovery_seconds: float) -> bool:
        return not any(
            each is not kill
            and each.target.startswith(("nats", "api"))
            and kill.at - _NEAR_SECONDS < each.at < kill.at + recovery_seconds
            for each in self.kills
        )


def recoveries_seconds(requests: Iterable[Request], faults: Iterable[float]) -> list[float]:
    """From each fault to the end of the first write that began after it and was acknowledged; infinite where none was."""
    writes = acknowledged(requests)
    return [
        min((each.ended for each in writes if each.began > fault), default=math.inf) - fault
        for fault in faults
    ]


def describe(report: Report) -> str:
    """The figures, one a line."""
    width = max(len(name) for name in figures(report))
    lines = [f"{name:{width}}  {value}" for name, value in figures(report).items()]
    shown = [f"  {each.rule}: {each.detail}" for each in report.violations[:_SHOWN_MAX]]
    return "\n".join([*lines, *shown])


def figures(report: Report) -> dict[str, str]:
    """By what they say."""
    writes = [each for each in report.requests if each.wish is not Wish.CHAT]
    promised = acknowledged(writes)
    callers = [each for each in report.requests if each.user.startswith("caller")]
    chats = [each for each in report.requests if each.wish is Wish.CHAT and each.user.startswith("user")]
    events = Counter(event.name for event in report.events)
    processes: dict[str, set[int]] = {}
    for sample in report.samples:
        for replica_id, pids in sample.living.items():
            processes.setdefault(replica_id, set()).update(pids)
    together = max((len(pids) for each in report.samples for pids in each.living.values()), default=0)
    last = report.samples[-1]
    return {
        "machine": f"{platform.system()} {platform.release()}, {psutil.cpu_count()} CPUs, Python {platform.python_version()}",
        "storm": f"{report.storm_seconds:.0f} s",
        "kills": f"{len(report.kills)}: {_counts(each.target for each in report.kills)}",
        "slow restarts": ", ".join(report.slow) or "none",
        "writes acknowledged": f"{len(promised)}: {_counts(each.wish for each in promised)}",
        "tries without": f"{len(writes) - len(promised)}: "
        + _counts(str(each.status or "no answer") for each in writes if not each.acknowledged),
        "jobs": f"{events['job.created']} created, {events['job.deleted']} deleted, {events['job.failed']} given up",
        "events": f"{len(report.events)}, of them {events['replica.scheduled']} replicas scheduled",
        "samples": f"{last.samples}, at most {last.gap_seconds:.2f} s apart",
        "processes": f"{sum(map(len, processes.values()))} of {len(processes)} replicas, "
        f"at most {together} of one at once, at most {max(len(each.living) for each in report.samples)} in all",
        "untouched job": f"{len(callers)} requests, {sum(not each.acknowledged for each in callers)} failed, "
        f"under {sum(each.target.startswith('router') for each in report.kills)} kills of routers",
        "jobs in change": f"{len(chats)} requests: {_counts(str(each.status or 'no answer') for each in chats)}",
        "writes after NATS": _spread(report.nats_recoveries_seconds(alone=False)),
        "NATS killed alone": _spread(report.nats_recoveries_seconds(alone=True)),
        "all as wanted": f"{report.calm_seconds:.1f} s after the storm",
        "no process left": f"{report.gone_seconds:.1f} s after the last deletion",
        "violations": str(len(report.violations)),
    }


def _spread(seconds: list[float]) -> str:
    if not seconds:
        return "never"
    return f"median {statistics.median(seconds):.1f} s, at most {max(seconds):.1f} s, of {len(seconds)}"


def _counts(names: Iterable[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(Counter(map(str, names)).items()))
