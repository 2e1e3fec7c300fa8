"""One text of metrics out of several processes': what `/metrics` of the parent shows of its workers.

Called by `gathered_ops`. Values of the same name and labels are added up, but moments, of which the earliest is kept. A worker that
ended takes its gauges with it, not what it counted: a counter that fell would look to Prometheus like one that began anew.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name and labels."""
_KEPT_KINDS: Final = frozenset({"counter", "histogram", "summary"})
_MOMENTS: Final = frozenset({"process_start_time_seconds"})
_JOB: Final = "job"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with all its samples."""

    kind: str
    text: str
    values: Mapping[Key, float]


Figures = Mapping[str, Family]
"""By the metric's name."""
NOTHING: Final[Figures] = {}


def parse(text: str) -> Figures:
    """What a process answered.

    Raises:
        ValueError: that is no text of metrics.
    """
    families: dict[str, Family] = {}
    for metric in text_string_to_metric_families(text):
        values = {_key(sample): sample.value for sample in metric.samples}
        families[metric.name] = Family(metric.type, metric.documentation, values)
    return families


def add_up(each: Iterable[Figures]) -> Figures:
    """All of them together."""
    kinds: dict[str, Family] = {}
    sums: dict[str, dict[Key, float]] = {}
    for figures in each:
        for name, family in figures.items():
            kinds.setdefault(name, family)
            values = sums.setdefault(name, {})
            for key, value in family.values.items():
                before = values.get(key)
                if before is None:
                    values[key] = value
                else:
                    values[key] = min(before, value) if name in _MOMENTS else before + value
    return {name: Family(kinds[name].kind, kinds[name].text, values) for name, values in sums.items()}


def what_stays(ended: Figures) -> Figures:
    """What is kept of a process that ended: all that only grows."""
    return {name: family for name, family in ended.items() if family.kind in _KEPT_KINDS}


def without_gone_jobs(kept: Figures, living: Figures) -> Figures:
    """`kept` without the jobs of which no living process says anything: they are gone, or begin anew."""
    jobs = {job for family in living.values() for key in family.values if (job := _job_of(key)) is not None}
    return {
        name: Family(
            family.kind,
            family.text,
            {
                key: value
                for key, value in family.values.items()
                if (job := _job_of(key)) is None or job in jobs
            },
        )
        for name, family in kept.items()
    }


def render(figures: Figures) -> bytes:
    """The text that Prometheus reads."""
    # It asks nothing of a registry but to be collected from.
    return generate_latest(_Given(figures))


class _Given(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for name, family in self._figures.items():
            metric = Metric(name, family.text, family.kind)
            metric.samples = [
                Sample(sample, dict(labels), value) for (sample, labels), value in family.values.items()
            ]
            yield metric


def _key(sample: Sample) -> Key:
    return sample.name, tuple(sorted(sample.labels.items()))


def _job_of(key: Key) -> str | None:
    return next((value for name, value in key[1] if name == _JOB), None)
