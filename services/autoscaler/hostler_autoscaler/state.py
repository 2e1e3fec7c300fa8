"""What the policy remembers about one job between two ticks, kept in the bucket `autoscaler` so that a restart continues.

A small value: samples are merged, so that an hour's window is no larger than five minutes' one.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

MERGE_SECONDS_MIN = 5
SAMPLES_MAX = 60


@dataclass(frozen=True, slots=True)
class Sample:
    """The highest number of replicas that was needed in one step of time.

    Attributes:
        at: Begin of the step.
        replicas: The number.
    """

    at: datetime
    replicas: int


@dataclass(frozen=True, slots=True)
class ScalerState:
    """The memory of a job's scaling. A new job, or one whose memory was lost, begins with an empty one.

    Attributes:
        samples: What was needed, over the stabilisation window, oldest first.
        observed_at: When there was valid data last.
        valid_since: Since when there has been valid data without a gap; None while there is none.
        settled_at: Since when every replica that was asked for has been ready; None while some are starting.
        active_at: When a request was seen last, or the job was last waking up.
        slept_at: When it was sent to sleep; None while it has replicas.
    """

    samples: tuple[Sample, ...] = ()
    observed_at: datetime | None = None
    valid_since: datetime | None = None
    settled_at: datetime | None = None
    active_at: datetime | None = None
    slept_at: datetime | None = None

    def with_sample(self, replicas: int, *, window_seconds: int, now: datetime) -> "ScalerState":
        """With one more sample, and without those that have left the window.

        A step that lies in the window only in part counts as a whole, so a scale-down may come a step late, never early.
        """
        step = max(MERGE_SECONDS_MIN, window_seconds // SAMPLES_MAX)
        whole = int(now.timestamp())
        begin = datetime.fromtimestamp(whole - whole % step, UTC)
        oldest = now - timedelta(seconds=window_seconds + step)
        kept = [sample for sample in self.samples if sample.at > oldest]
        if kept and kept[-1].at >= begin:
            kept[-1] = replace(kept[-1], replicas=max(kept[-1].replicas, replicas))
        else:
            kept.append(Sample(begin, replicas))
        return replace(self, samples=tuple(kept))

    @property
    def peak(self) -> int:
        """The highest sample; 0 of none."""
        return max((sample.replicas for sample in self.samples), default=0)
