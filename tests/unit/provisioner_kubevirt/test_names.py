"""Names and labels: valid whatever they are made from, the same every time, and never the same for two things."""

import re

from hypothesis import given
from hypothesis import strategies as st

from hostler_provisioner.kubevirt.names import (
    Owner,
    cache_name,
    job_labels,
    job_name,
    job_selector,
    label_value,
    owner_of,
    replica_cache_name,
    replica_labels,
    replica_name,
    root_disk_name,
)
from tests.support.builders import JOB_ID
from tests.support.machines import REPLICA_ID

_DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
ids = (
    st.text(max_size=80)
    | st.uuids().map(str)
    | st.sampled_from(["a" * 80, "a", "A", "a-", "a_", "x-", "-", "ab/c", "a/bc"])
)
replicas = st.tuples(ids, ids, st.integers(0, 10**6))


@given(replicas)
def test_every_name_is_one_that_kubernetes_takes(replica):
    job_id, replica_id, generation = replica

    for name in (
        job_name(job_id),
        cache_name(job_id),
        replica_name(job_id, replica_id, generation),
        root_disk_name(job_id, replica_id, generation),
        replica_cache_name(job_id, replica_id, generation),
    ):
        assert len(name) <= 63
        assert _DNS_LABEL.fullmatch(name), name


@given(st.lists(replicas, max_size=30, unique=True))
def test_no_two_replicas_have_the_same_name_and_no_replica_a_jobs(found):
    names = [replica_name(*each) for each in found]

    assert len(set(names)) == len(found)
    assert not set(names) & {job_name(job_id) for job_id, _, _ in found}


def test_a_slash_in_an_id_makes_no_two_replicas_one():
    assert replica_name("a", "b/c", 1) != replica_name("a/b", "c", 1)
    assert replica_name("a", "b", 11) != replica_name("a", "b1", 1)


@given(st.lists(ids, max_size=30, unique=True))
def test_no_two_texts_have_the_same_label_and_every_label_is_valid(found):
    values = [label_value(each) for each in found]

    assert all(_LABEL.fullmatch(value) for value in values)
    assert len(set(values)) == len(found)


@given(st.lists(ids, max_size=30, unique=True))
def test_no_two_jobs_have_the_same_name(found):
    assert len({job_name(each) for each in found}) == len(found)


def test_a_name_shows_whose_it_is_and_never_changes():
    # In clusters there are objects with these names: another scheme would make them all anew.
    assert replica_name(JOB_ID, REPLICA_ID, 1) == f"r-{REPLICA_ID}-4b78122aaf4312ed"
    assert job_name(JOB_ID) == f"j-{JOB_ID}-323d921e136d49cb"


def test_labels_lead_back_to_their_owner():
    labels = replica_labels("dallas", "default", JOB_ID, REPLICA_ID, 7)

    assert owner_of(labels) == Owner("dallas", JOB_ID, REPLICA_ID, 7)
    assert owner_of(job_labels("dallas", "default", JOB_ID)) == Owner("dallas", JOB_ID)


def test_what_no_provisioner_made_has_no_owner():
    labels = replica_labels("dallas", "default", JOB_ID, REPLICA_ID, 7)

    assert owner_of(None) is None
    assert owner_of({}) is None
    assert owner_of(labels | {"app.kubernetes.io/managed-by": "Helm"}) is None
    assert owner_of({key: value for key, value in labels.items() if key != "hostler.dev/job"}) is None


def test_a_generation_that_somebody_wrote_by_hand_is_none():
    labels = replica_labels("dallas", "default", JOB_ID, REPLICA_ID, 7)

    for value in ("", "seven", "-1", "²"):
        assert owner_of(labels | {"hostler.dev/generation": value}).generation is None


def test_a_selector_finds_what_the_labels_say():
    asked = dict(part.split("=") for part in job_selector("dallas", JOB_ID).split(","))

    assert asked.items() <= replica_labels("dallas", "default", JOB_ID, REPLICA_ID, 7).items()
