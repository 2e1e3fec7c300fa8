"""The events on the wire: golden files decode, those of the newest shape re-encode to the byte, schemas are as checked in, strangers are tolerated.

`HOSTLER_WRITE_GOLDEN=1` writes golden files for kinds that have none; an existing one is never rewritten, because old messages
must stay readable.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as SdkEvent

from hostler_contracts import codec, subjects
from hostler_contracts.envelope import TraceContext
from hostler_contracts.job_events import EVENT_MODELS, UnknownJobEventV0
from hostler_contracts.schemas import SCHEMAS, file_name, full_type, schema_texts
from hostler_domain.capacity import Resources
from hostler_domain.changes import (
    Change,
    GivenAdvice,
    JobAdvised,
    JobCreated,
    JobDeleted,
    JobDeleteRequested,
    JobFailed,
    JobPending,
    JobRestartRequested,
    JobResumeRequested,
    JobScaled,
    JobStopped,
    JobStopRequested,
    JobUnreachable,
    JobUpdated,
    ReplicaBooting,
    ReplicaDraining,
    ReplicaFailed,
    ReplicaImporting,
    ReplicaLoading,
    ReplicaReady,
    ReplicaScheduled,
    ReplicaTerminated,
    ReplicaTerminating,
    ReplicaUnhealthy,
)
from hostler_domain.evolve import evolve
from hostler_domain.job import Placement, Progress, ScaleHold
from hostler_domain.kinds import MACHINE, JobKind
from hostler_domain.phases import PhaseReason
from hostler_domain.replica_states import ReplicaReason
from hostler_domain.routing import Balancing, Routing
from hostler_domain.scaling import ScalingMetric, ScalingMode, ScalingTarget, ShadowScaling
from hostler_domain.scheduled_bounds import ScheduledBounds
from tests.support.builders import JOB_ID, MASTER, NOW, at, fold, spec

GOLDEN = Path(__file__).parent / "golden"

MADE = JobCreated(at(0), JOB_ID, spec(minimum=0, initial=1), MASTER, "key-1")
PLACED = ReplicaScheduled(at(1), "r1", Placement("local", "node-a", Resources(1, 2**30, 0)), ("packs best",))
READY = ReplicaReady(at(5), "r1", "http://127.0.0.1:9999")
DRAIN = ReplicaDraining(at(21), "r1", ReplicaReason.JOB_DELETED)
STOP = JobStopRequested(at(20), "key-1")
GOING = JobDeleteRequested(at(20), "key-1")

# Every kind of change, each with what came before it.
EXAMPLES: list[tuple[list[Change], Change]] = [
    ([], MADE),
    ([MADE], JobPending(at(1), PhaseReason.NO_CAPACITY, "local/node-a: needs 1 CPU cores, 0 free")),
    (
        [MADE, PLACED, READY],
        JobScaled(at(9), 1, 2, ("throughput: 14 rps / 10 rps per replica = 2 replicas",)),
    ),
    (
        [MADE, PLACED, READY],
        JobAdvised(
            at(9), (GivenAdvice("raise_min_replicas", "raise min_replicas to 2: 4 bursts", {"bursts": 4.0}),)
        ),
    ),
    ([MADE, PLACED], JobFailed(at(9), PhaseReason.REPEATED_CRASH, "5 starts in a row failed")),
    ([MADE, PLACED, READY], JobUnreachable(at(9), "local", "cluster local has not answered for 31 s")),
    ([MADE, PLACED, READY], STOP),
    ([MADE, STOP], JobStopped(at(30))),
    ([MADE, STOP, JobStopped(at(30))], JobResumeRequested(at(40), "key-1")),
    ([MADE, PLACED, READY], JobRestartRequested(at(20), 2, "key-1")),
    ([MADE, PLACED, READY], JobUpdated(at(20), spec(minimum=1, gpu_count=1), 2, "key-1")),
    ([MADE, PLACED], GOING),
    ([MADE, GOING], JobDeleted(at(30))),
    ([MADE], PLACED),
    ([MADE, PLACED], ReplicaImporting(at(2), "r1", Progress(0.25, "checking the model file"))),
    ([MADE, PLACED], ReplicaBooting(at(3), "r1", Progress(None, "the process runs"))),
    ([MADE, PLACED], ReplicaLoading(at(4), "r1", Progress(0.5, "loading weights"))),
    ([MADE, PLACED], READY),
    ([MADE, PLACED, READY], ReplicaUnhealthy(at(7), "r1", "3 health checks failed")),
    ([MADE, PLACED, READY, GOING], DRAIN),
    ([MADE, PLACED, READY, GOING, DRAIN], ReplicaTerminating(at(22), "r1", "")),
    ([MADE, PLACED, READY, GOING, DRAIN], ReplicaTerminated(at(23), "r1")),
    (
        [MADE, PLACED],
        ReplicaFailed(at(6), "r1", ReplicaReason.START_FAILED, "its process ended with status 1"),
    ),
]
IDS = [type(change).__name__ for _, change in EXAMPLES]


def event_of(before: list[Change], change: Change) -> codec.CloudEvent:
    job = evolve(fold(*before) if before else None, change)
    return codec.event_for(
        change, job, event_id="0193-e", source="/hostler/test/1", time=NOW, correlation_id="req-1"
    )


@pytest.mark.parametrize(("before", "change"), EXAMPLES, ids=IDS)
def test_the_golden_file_decodes_and_encodes_to_the_same_bytes(before: list[Change], change: Change) -> None:
    event = event_of(before, change)
    path = GOLDEN / file_name(type(event))
    if not path.exists() and os.environ.get("HOSTLER_WRITE_GOLDEN") == "1":
        path.write_bytes(codec.encode(event) + b"\n")
    assert_reads_and_writes(path.read_bytes().rstrip(), event)


def assert_reads_and_writes(stored: bytes, event: codec.CloudEvent) -> None:
    assert codec.decode(stored) == event
    # A file from before a field was added encodes with the field's default; what is not new stays to the byte.
    encoded = codec.encode(codec.decode(stored))
    assert codec.decode(encoded) == event
    assert encoded == stored or set(_paths(json.loads(stored))) < set(_paths(json.loads(encoded)))


def _paths(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every plain value of a document, with where it is."""
    match value:
        case dict():
            for name, inner in value.items():
                yield from _paths(inner, f"{path}/{name}")
        case list():
            for index, inner in enumerate(value):
                yield from _paths(inner, f"{path}/{index}")
        case _:
            yield path, value


TRACE = TraceContext("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "rojo=1")


def test_the_golden_file_of_an_event_of_a_traced_request_reads_and_writes() -> None:
    event = codec.event_for(
        MADE,
        evolve(None, MADE),
        event_id="0193-e",
        source="/hostler/test/1",
        time=NOW,
        correlation_id="req-1",
        trace=TRACE,
    )
    path = GOLDEN / "job.created.v1.traced.json"
    if not path.exists() and os.environ.get("HOSTLER_WRITE_GOLDEN") == "1":
        path.write_bytes(codec.encode(event) + b"\n")
    stored = path.read_bytes().rstrip()
    assert codec.decode(stored).trace == TRACE
    assert_reads_and_writes(stored, event)


def test_an_event_without_a_trace_says_nothing_of_one() -> None:
    event = event_of([], MADE)
    assert event.trace is None
    assert b"trace" not in codec.encode(event)


CHOSEN = Routing(
    Balancing.SESSION,
    prefix_chars=256,
    session_header="x-chat",
    concurrency_per_replica=64,
    queue_max=500,
    queue_timeout_seconds=30,
    resume_streams=False,
    extra_routes=("rerank", "score"),
)


SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMnXKJV9dCOX4hcC2XW0Kmkoqx1nIGqMFqbKsw5kcpRA ada@laptop"
WORKSPACE = replace(
    MADE.spec,
    kind=JobKind.WORKSPACE,
    model="",
    runtime=MACHINE,
    ssh_keys=(SSH_KEY,),
    locations=("dallas", "frankfurt"),
)
SCHEDULED = replace(
    MADE.spec,
    scaling=replace(
        MADE.spec.scaling,
        schedule=(ScheduledBounds("0 8 * * 1-5", 36000, "Europe/Berlin", min_replicas=2, max_replicas=3),),
    ),
)
SHADOWED = replace(
    MADE.spec,
    scaling=replace(
        MADE.spec.scaling,
        shadow=ShadowScaling((ScalingTarget(ScalingMetric.THROUGHPUT, 5.0),), 60, ScalingMode.TARGET),
    ),
)
SPECIAL: list[tuple[str, list[Change], Change]] = [
    (
        "job.created.v1.routing.json",
        [],
        replace(MADE, spec=replace(MADE.spec, routing=CHOSEN)),
    ),
    ("job.created.v1.workspace.json", [], replace(MADE, spec=WORKSPACE)),
    ("job.created.v1.schedule.json", [], replace(MADE, spec=SCHEDULED)),
    ("job.created.v1.shadow.json", [], replace(MADE, spec=SHADOWED)),
    (
        "job.scaled.v1.held.json",
        [MADE, PLACED, READY],
        JobScaled(at(9), 1, 2, ("asked for by the API key key-1",), hold=ScaleHold(2, at(7200))),
    ),
    (
        "job.scaled.v1.remembered.json",
        [MADE, PLACED, READY],
        JobScaled(at(9), 1, 2, ("up from 1 to 2",), '{"valid_since":1.5,"peaks":{"entries":[[1.5,2.0]]}}'),
    ),
    (
        "replica.draining.v1.preempted.json",
        [MADE, PLACED, READY],
        ReplicaDraining(at(21), "r1", ReplicaReason.PREEMPTED, "job-above"),
    ),
]


@pytest.mark.parametrize(("name", "before", "change"), SPECIAL, ids=[name for name, *_ in SPECIAL])
def test_the_golden_file_of_an_event_with_fields_that_others_leave_at_their_defaults_reads_and_writes(
    name: str, before: list[Change], change: Change
) -> None:
    event = event_of(before, change)
    path = GOLDEN / name
    if not path.exists() and os.environ.get("HOSTLER_WRITE_GOLDEN") == "1":
        path.write_bytes(codec.encode(event) + b"\n")
    assert_reads_and_writes(path.read_bytes().rstrip(), event)


def test_a_job_from_before_there_were_kinds_is_an_inference_that_anybody_may_run_anywhere() -> None:
    document = json.loads((GOLDEN / "job.created.v1.json").read_bytes())
    assert {"kind", "ssh_keys", "locations"} & set(document["data"]["job"]["spec"]) == set()
    decoded = codec.decode(json.dumps(document).encode())
    spec_ = decoded.data.job.spec  # type: ignore[attr-defined]  # every job event has data
    assert (spec_.kind, spec_.ssh_keys, spec_.sites) == (JobKind.INFERENCE, (), ())


def test_a_job_from_before_there_was_a_routing_has_the_default() -> None:
    document = json.loads((GOLDEN / "job.created.v1.json").read_bytes())
    assert "routing" not in document["data"]["job"]["spec"]
    decoded = codec.decode(json.dumps(document).encode())
    assert decoded.data.job.spec.routing == Routing()  # type: ignore[attr-defined]  # every job event has data


def test_every_kind_of_event_has_an_example() -> None:
    assert {type(event_of(before, change)) for before, change in EXAMPLES} == set(EVENT_MODELS)


SCHEMA_TEXTS = schema_texts()


@pytest.mark.parametrize("name", sorted(SCHEMA_TEXTS))
def test_the_schema_is_the_one_that_is_checked_in(name: str) -> None:
    assert (SCHEMAS / name).read_text() == SCHEMA_TEXTS[name], "run: python -m hostler_contracts.schemas"


def test_no_schema_is_checked_in_without_a_model() -> None:
    assert {path.name for path in SCHEMAS.iterdir()} == set(SCHEMA_TEXTS)


@pytest.mark.parametrize(("before", "change"), EXAMPLES, ids=IDS)
def test_the_cloudevents_sdk_reads_it(before: list[Change], change: Change) -> None:
    event = event_of(before, change)
    read = JSONFormat().read(SdkEvent, codec.encode(event))
    assert (read.get_id(), read.get_type(), read.get_subject()) == (event.id, event.type, JOB_ID)


@pytest.mark.parametrize("model", EVENT_MODELS, ids=[model.__name__ for model in EVENT_MODELS])
def test_the_subject_matches_the_grammar(model: type[codec.CloudEvent]) -> None:
    subject = subjects.job_event(
        "default", JOB_ID, full_type(model).removeprefix("dev.hostler.").rpartition(".v")[0]
    )
    assert len(subject.split(".")) == 5
    assert subject.startswith("hostler.jobs.default.")


def test_fields_that_are_not_known_are_ignored() -> None:
    event = event_of([], MADE)
    document = json.loads(codec.encode(event))
    document["sampledrate"] = 1
    document["data"]["weather"] = "fine"
    document["data"]["job"]["mood"] = "good"
    assert codec.decode(json.dumps(document).encode()) == event


def test_an_event_of_a_newer_kind_still_gives_the_job() -> None:
    event = event_of([], MADE)
    newer = codec.encode(event).replace(b"dev.hostler.job.created.v1", b"dev.hostler.job.blessed.v3")
    decoded = codec.decode(newer)
    assert isinstance(decoded, UnknownJobEventV0)
    assert decoded.data.job == fold(MADE)


@pytest.mark.parametrize("poison", [b"", b"{", b"[]", b"null", b'{"type": "x"}', b"\xff\xfe"])
def test_what_is_no_event_is_refused_without_repeating_it(poison: bytes) -> None:
    with pytest.raises(codec.UndecodableEvent, match="no job event"):
        codec.decode(poison)


@pytest.mark.parametrize("bad", ["a.b", "*", ">", "", "a b", "ä", "a\n"])
def test_a_token_that_would_address_others_is_refused(bad: str) -> None:
    with pytest.raises(subjects.BadToken):
        subjects.job_event(bad, JOB_ID, "job.created")
