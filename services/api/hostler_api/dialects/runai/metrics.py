"""Metrics as Run:ai asks for them, and the series that answer. Pure.

A type that nothing here measures reads null, and the answer is partial; a time without a sample is left out, never a zero.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from hostler_api.dialects.runai.history_documents import MeasuredValue, Measurement
from hostler_api.history.shapes import History, Sample, SeriesName
from hostler_domain.errors import FieldError, InvalidFields


@dataclass(frozen=True, slots=True)
class Source:
    """A series that answers a type.

    Attributes:
        series: Its name.
        labels: What tells it from other series of the same type.
        factor: From the series' unit to the type's.
    """

    series: SeriesName
    labels: tuple[tuple[str, str], ...] = ()
    factor: float = 1.0


def _quantile(series: SeriesName, quantile: str, factor: float = 1.0) -> Source:
    return Source(series, (("quantile", quantile),), factor)


_MILLISECOND = 0.001
_S = SeriesName

INFERENCE_TYPES: Mapping[str, tuple[Source, ...]] = MappingProxyType(
    {"THROUGHPUT": (Source(_S.THROUGHPUT),), "LATENCY": (_quantile(_S.LATENCY_P95, "0.95"),)}
)
"""Requests per second, and milliseconds. Run:ai does not say which latency it means: it is what jobs are scaled by here."""

_SERVER_TYPES = {
    "NIM_NUM_REQUESTS_RUNNING": (Source(_S.IN_FLIGHT),),
    "NIM_NUM_REQUESTS_WAITING": (Source(_S.QUEUED),),
    "NIM_TIME_TO_FIRST_TOKEN_SECONDS_PERCENTILES": (
        _quantile(_S.TTFT_P50, "0.5", _MILLISECOND),
        _quantile(_S.TTFT_P95, "0.95", _MILLISECOND),
    ),
    "NIM_E2E_REQUEST_LATENCY_SECONDS_PERCENTILES": (
        _quantile(_S.LATENCY_P50, "0.5", _MILLISECOND),
        _quantile(_S.LATENCY_P95, "0.95", _MILLISECOND),
        _quantile(_S.LATENCY_P99, "0.99", _MILLISECOND),
    ),
}
_UNMEASURED = (
    "CPU_MEMORY_USAGE_BYTES",
    "CPU_USAGE_CORES",
    "GPU_MEMORY_USAGE_BYTES",
    "GPU_UTILIZATION",
    "NIM_E2E_REQUEST_LATENCY_SECONDS",
    "NIM_GPU_CACHE_USAGE_PERC",
    "NIM_NUM_REQUEST_MAX",
    "NIM_REQUEST_FAILURE_TOTAL",
    "NIM_REQUEST_SUCCESS_TOTAL",
    "NIM_TIME_TO_FIRST_TOKEN_SECONDS",
    "NVLINK_BANDWIDTH_TOTAL",
)
_UNMEASURED_OF_WORKLOADS = (
    "CPU_LIMIT_CORES",
    "CPU_MEMORY_LIMIT_BYTES",
    "CPU_MEMORY_REQUEST_BYTES",
    "CPU_REQUEST_CORES",
    "GPU_ALLOCATION",
    "GPU_MEMORY_REQUEST_BYTES",
)
_UNMEASURED_OF_PODS = tuple(
    f"GPU_{what}_PER_GPU"
    for what in (
        "FP16_ENGINE_ACTIVITY",
        "FP32_ENGINE_ACTIVITY",
        "FP64_ENGINE_ACTIVITY",
        "GRAPHICS_ENGINE_ACTIVITY",
        "MEMORY_BANDWIDTH_UTILIZATION",
        "MEMORY_USAGE_BYTES",
        "NVLINK_RECEIVED_BANDWIDTH",
        "NVLINK_TRANSMITTED_BANDWIDTH",
        "PCIE_RECEIVED_BANDWIDTH",
        "PCIE_TRANSMITTED_BANDWIDTH",
        "SM_ACTIVITY",
        "SM_OCCUPANCY",
        "SWAP_MEMORY_BYTES",
        "TENSOR_ACTIVITY",
        "UTILIZATION",
    )
)
WORKLOAD_TYPES: Mapping[str, tuple[Source, ...]] = MappingProxyType(
    {
        "POD_COUNT": (Source(_S.REPLICAS_DESIRED),),
        "RUNNING_POD_COUNT": (Source(_S.REPLICAS_READY),),
        **_SERVER_TYPES,
        **dict.fromkeys((*_UNMEASURED, *_UNMEASURED_OF_WORKLOADS), ()),
    }
)
POD_TYPES: Mapping[str, tuple[Source, ...]] = MappingProxyType(
    {
        **_SERVER_TYPES,
        **dict.fromkeys((*_UNMEASURED, *_UNMEASURED_OF_PODS, "NVLINK_BANDWIDTH_TOTAL_PER_GPU"), ()),
    }
)


def parsed_types(given: Sequence[str], known: Mapping[str, tuple[Source, ...]]) -> tuple[str, ...]:
    """The types in a query, each once, in the order in which they were asked for.

    Raises:
        InvalidFields: there is none, or one that is not known here.
    """
    types = tuple(dict.fromkeys(part for each in given for part in each.split(",") if part))
    unknown = [each for each in types if each not in known]
    if unknown or not types:
        wrong = f", got {unknown[0][:63]!r}" if unknown else ""
        raise InvalidFields(FieldError("metricType", f"must be of {', '.join(known)}{wrong}"))
    return types


def series_for(types: Sequence[str], known: Mapping[str, tuple[Source, ...]]) -> tuple[SeriesName, ...]:
    """The series that answer some types, each once."""
    return tuple(dict.fromkeys(source.series for each in types for source in known[each]))


def measurements(
    types: Sequence[str], known: Mapping[str, tuple[Source, ...]], history: History, *, asked: bool = True
) -> tuple[tuple[Measurement, ...], bool]:
    """The answer, and whether it is the whole one.

    Args:
        types: What was asked for.
        known: What answers each.
        history: What the store said.
        asked: False where no sample was wanted, so that nothing was to be had from the store.
    """
    found = {series.name: series.samples for series in history.series}
    answers: list[Measurement] = []
    complete = history.complete
    for each in types:
        sources = known[each]
        if not sources:
            answers.append(Measurement(type=each, values=None))
            complete = False
        for source in sources:
            samples = found.get(source.series, None if asked else ())
            # Where the store did not answer it is not known that there was nothing.
            silent = not history.complete and all(one.value is None for one in samples or ())
            answers.append(
                Measurement(
                    type=each,
                    labels=dict(source.labels) or None,
                    values=None if samples is None or silent else _values(samples, source.factor),
                )
            )
            complete = complete and samples is not None
    return tuple(answers), complete


def as_csv(answers: Sequence[Measurement]) -> str:
    """The same as a table, one line for each point."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("type", "labels", "timestamp", "value"))
    for answer in answers:
        labels = ";".join(f"{name}={value}" for name, value in (answer.labels or {}).items())
        for point in answer.values or ():
            table.writerow((answer.type, labels, point.timestamp.isoformat(), point.value))
    return text.getvalue()


def _values(samples: Sequence[Sample], factor: float) -> tuple[MeasuredValue, ...]:
    return tuple(
        MeasuredValue(value=_number(sample.value * factor), timestamp=sample.at)
        for sample in samples
        if sample.value is not None
    )


def _number(value: float) -> str:
    rounded = round(value, 6)
    return str(int(rounded)) if float(rounded).is_integer() else str(rounded)
