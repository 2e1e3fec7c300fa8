"""Every stream and bucket, declared once as data.

The NATS adapter makes the server look like this when it connects, the memory twin starts out like this. Names and subjects
come from `hostler_contracts.subjects`.
"""

from dataclasses import dataclass
from enum import StrEnum

from hostler_bus.errors import BadSubject, UnknownBucket
from hostler_bus.matching import is_literal, matches
from hostler_contracts import subjects

DUPLICATE_WINDOW_SECONDS = 120
"""For so long a message id is remembered; longer than any append is retried."""

MARKER_TTL_SECONDS = 15 * 60
"""For so long the trace of an expired key stays, for watchers that were away."""

DEAD_LETTERS_KEPT_SECONDS = 30 * 24 * 3600
"""For so long a dead letter is kept after the last that happened to it."""


DECISIONS_KEPT_SECONDS = 3 * 24 * 3600
"""For so long it can be told why a job had its number of replicas, and its traffic be replayed."""

DECISIONS_PER_JOB_MAX = 8000
"""One a minute for that time and as many again for changes; a job that changes all the time has a shorter history, and no other job has."""


class Storage(StrEnum):
    """Where a stream lives."""

    FILE = "file"
    MEMORY = "memory"


class WhenFull(StrEnum):
    """What a stream does that has reached its limits."""

    REFUSE_NEW = "new"
    DROP_OLD = "old"


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream.

    Attributes:
        name: Its name.
        subjects: Patterns of the subjects that it takes.
        storage: File or memory; one in memory is empty after a restart of its server.
        when_full: What happens at its limits.
        compressed: Whether the server compresses it (s2) on disk.
        age_seconds_max: After which messages go; None for never.
        messages_max: How many it holds; None for no limit.
        bytes_max: How much it holds; None leaves it to the operator of the server.
        messages_per_subject_max: How many it holds under one subject; None for no limit.
        marker_ttl_seconds: Set where messages may carry a time to live: how long the trace of an expired one stays.
        is_bucket: It carries a bucket: a message may replace the earlier ones of its subject, and none is deleted one by one.
        read_anywhere: Its messages may be looked up at any server that holds it, also at one that is a moment behind.
    """

    name: str
    subjects: tuple[str, ...]
    storage: Storage = Storage.FILE
    when_full: WhenFull = WhenFull.REFUSE_NEW
    compressed: bool = False
    age_seconds_max: int | None = None
    messages_max: int | None = None
    bytes_max: int | None = None
    messages_per_subject_max: int | None = None
    marker_ttl_seconds: int | None = None
    is_bucket: bool = False
    read_anywhere: bool = False


@dataclass(frozen=True, slots=True)
class BucketSpec:
    """One bucket.

    Attributes:
        name: Its name.
        with_ttl: Whether its values may carry a time to live.
        read_anywhere: Whether its values may be looked up at any server, also at one that is a moment behind.
    """

    name: str
    with_ttl: bool = False
    read_anywhere: bool = False

    @property
    def stream(self) -> StreamSpec:
        """The stream that carries it, laid out as every NATS client expects a bucket."""
        return StreamSpec(
            name=bucket_stream(self.name),
            subjects=(f"{bucket_prefix(self.name)}>",),
            messages_per_subject_max=1,
            marker_ttl_seconds=MARKER_TTL_SECONDS if self.with_ttl else None,
            is_bucket=True,
            read_anywhere=self.read_anywhere,
        )


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that has to be there.

    Attributes:
        streams: The streams.
        buckets: The buckets.
        replicas: How many servers hold each; None makes one and leaves an operator's change of it alone.
    """

    streams: tuple[StreamSpec, ...]
    buckets: tuple[BucketSpec, ...]
    replicas: int | None = None

    @property
    def all_streams(self) -> tuple[StreamSpec, ...]:
        """The streams, also those that carry buckets."""
        return (*self.streams, *(bucket.stream for bucket in self.buckets))

    def reads_anywhere(self, stream: str) -> bool:
        """Whether any server may answer what the last message is.

        With several of them one that follows may not have what its leader has acknowledged, so the leader is asked.
        """
        return self.replicas in (None, 1) or any(
            each.read_anywhere for each in self.all_streams if each.name == stream
        )

    def stream_of(self, subject: str) -> StreamSpec:
        """The stream that takes messages of this subject.

        Raises:
            BadSubject: none does, or it is no subject to store under.
        """
        if is_literal(subject):
            for stream in self.all_streams:
                if any(matches(pattern, subject) for pattern in stream.subjects):
                    return stream
        raise BadSubject(f"no stream takes the subject {subject!r}")

    def check_bucket(self, name: str) -> str:
        """`name`, if a bucket of that name is declared.

        Raises:
            UnknownBucket: none is.
        """
        if not any(bucket.name == name for bucket in self.buckets):
            raise UnknownBucket(f"no bucket is called {name!r}")
        return name


def bucket_stream(bucket: str) -> str:
    """Name of the stream that carries a bucket."""
    return f"KV_{bucket}"


def bucket_prefix(bucket: str) -> str:
    """What comes before the key in the subjects of a bucket."""
    return f"$KV.{bucket}."


TOPOLOGY = Topology(
    streams=(
        # The log grows until the history of deleted jobs is purged; a full one must refuse, never forget.
        StreamSpec(subjects.JOBS, (subjects.JOBS_SUBJECTS,), compressed=True),
        StreamSpec(
            subjects.METRICS,
            (subjects.METRICS_SUBJECTS,),
            storage=Storage.MEMORY,
            when_full=WhenFull.DROP_OLD,
            age_seconds_max=15 * 60,
        ),
        # Dropping the oldest at a full disk would lose what was not billed yet, so it refuses as well.
        StreamSpec(
            subjects.USAGE,
            (subjects.USAGE_SUBJECTS,),
            compressed=True,
            age_seconds_max=90 * 24 * 3600,
        ),
        StreamSpec(
            subjects.AUDIT,
            (subjects.AUDIT_SUBJECTS,),
            compressed=True,
            age_seconds_max=400 * 24 * 3600,
        ),
        # What the server says about messages that a consumer gave up; the messages themselves stay where they are.
        StreamSpec(
            subjects.DEAD_LETTER_ADVISORIES,
            subjects.DEAD_LETTER_ADVISORIES_SUBJECTS,
            when_full=WhenFull.DROP_OLD,
            age_seconds_max=DEAD_LETTERS_KEPT_SECONDS,
            messages_max=100_000,
        ),
        # Those messages, collected, and what was done about them.
        StreamSpec(
            subjects.DEAD_LETTERS,
            (subjects.DEAD_LETTERS_SUBJECTS,),
            when_full=WhenFull.DROP_OLD,
            compressed=True,
            age_seconds_max=DEAD_LETTERS_KEPT_SECONDS,
            messages_max=100_000,
        ),
        # Those that a consumer is to take again. It must not lose one on which its letter says that it was replayed.
        StreamSpec(
            subjects.REPLAYS,
            (subjects.REPLAYS_SUBJECTS,),
            compressed=True,
            age_seconds_max=DEAD_LETTERS_KEPT_SECONDS,
            messages_max=100_000,
        ),
        # Why every number was chosen. It explains and nothing is decided from it, so the oldest may go.
        StreamSpec(
            subjects.DECISIONS,
            (subjects.DECISIONS_SUBJECTS,),
            when_full=WhenFull.DROP_OLD,
            compressed=True,
            age_seconds_max=DECISIONS_KEPT_SECONDS,
            messages_per_subject_max=DECISIONS_PER_JOB_MAX,
        ),
    ),
    buckets=(
        BucketSpec(subjects.BUCKET_API_KEYS),
        BucketSpec(subjects.BUCKET_KEY_USES),
        BucketSpec(subjects.BUCKET_MODEL_MASTERS),
        BucketSpec(subjects.BUCKET_HARDWARE_PROFILES, read_anywhere=True),
        BucketSpec(subjects.BUCKET_PROJECTS),
        BucketSpec(subjects.BUCKET_NODES),
        BucketSpec(subjects.BUCKET_AUTOSCALER),
        BucketSpec(subjects.BUCKET_LEASES, with_ttl=True),
        BucketSpec(subjects.BUCKET_ROUTERS, with_ttl=True),
        # Whoever may read single keys of a bucket can't ask the leader, which would give it any. A secret never changes.
        BucketSpec(subjects.BUCKET_SECRETS, read_anywhere=True),
        BucketSpec(subjects.BUCKET_IDEMPOTENCY, with_ttl=True),
        BucketSpec(subjects.BUCKET_NAMES),
    ),
)
