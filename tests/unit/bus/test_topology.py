from dataclasses import replace

import pytest

from hostler_bus.errors import BadSubject, UnknownBucket
from hostler_bus.matching import matches
from hostler_bus.nats_topology import config_of, differences
from hostler_bus.permissions import ACCESS
from hostler_bus.topology import TOPOLOGY, Storage, WhenFull, bucket_stream
from hostler_contracts import subjects

EVERY_BUCKET = {
    value for name, value in vars(subjects).items() if name.startswith("BUCKET_") and isinstance(value, str)
}


def test_every_bucket_that_has_a_name_is_declared_once() -> None:
    assert sorted(bucket.name for bucket in TOPOLOGY.buckets) == sorted(EVERY_BUCKET)


def test_no_subject_belongs_to_two_streams() -> None:
    patterns = [pattern for stream in TOPOLOGY.all_streams for pattern in stream.subjects]
    for pattern in patterns:
        sample = pattern.replace(">", "x.y").replace("*", "x")
        assert [other for other in patterns if matches(other, sample)] == [pattern]


def test_the_log_never_forgets_and_refuses_when_full() -> None:
    log = TOPOLOGY.stream_of(subjects.job_event("p", "j", "job.created"))
    assert (log.name, log.age_seconds_max, log.messages_max, log.when_full, log.storage) == (
        subjects.JOBS,
        None,
        None,
        WhenFull.REFUSE_NEW,
        Storage.FILE,
    )


def test_a_key_belongs_to_its_bucket() -> None:
    assert TOPOLOGY.stream_of("$KV.leases.scheduler").name == "KV_leases"
    assert TOPOLOGY.check_bucket("leases") == "leases"


def test_what_is_not_declared_is_refused() -> None:
    with pytest.raises(BadSubject):
        TOPOLOGY.stream_of("other.subject")
    with pytest.raises(UnknownBucket):
        TOPOLOGY.check_bucket("other")


def test_a_stream_that_is_as_declared_needs_no_change_whatever_an_operator_set_beside_it() -> None:
    spec = TOPOLOGY.stream_of("$KV.leases.x")
    wanted = config_of(spec, None)
    there = wanted.evolve(max_bytes=10_000_000, num_replicas=3, description="ours")
    assert differences(wanted, there) == ()


def test_a_stream_that_is_not_as_declared_is_seen() -> None:
    wanted = config_of(TOPOLOGY.stream_of("$KV.leases.x"), 3)
    there = wanted.evolve(num_replicas=1, max_age=5.0)
    assert differences(wanted, there) == ("max_age", "num_replicas")


def test_with_several_servers_only_the_leader_knows_the_last_message():
    one, three = replace(TOPOLOGY, replicas=1), replace(TOPOLOGY, replicas=3)
    assert TOPOLOGY.reads_anywhere(subjects.JOBS)
    assert one.reads_anywhere(subjects.JOBS)
    assert not three.reads_anywhere(subjects.JOBS)
    assert not three.reads_anywhere(bucket_stream(subjects.BUCKET_NAMES))


def test_what_is_looked_up_key_by_key_is_read_anywhere():
    """Asking the leader takes a permission that gives every message of the stream."""
    three = replace(TOPOLOGY, replicas=3)
    for access in ACCESS.values():
        assert all(three.reads_anywhere(bucket_stream(bucket)) for bucket, _ in access.looks_up)
