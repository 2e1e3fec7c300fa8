"""What the judge of the fake cluster's log finds, and what it lets pass."""

from dataclasses import replace

from tests.faults.kubernetes_judge import (
    VMIS,
    busiest,
    creations,
    doubles,
    judge,
    miscounted,
    orphans,
    overcommitted,
    strangers,
    unmarked,
)
from tests.support.kubernetes.journal import Asked, Written


def vmi(
    uid: str, replica: str = "r1", job: str = "j1", what: str = "created", revision: int = 1, **more: object
) -> Written:
    labels = {
        "app.kubernetes.io/managed-by": "hostler",
        "hostler.dev/job": job,
        "hostler.dev/replica": replica,
    }
    written = Written(revision, 0.0, what, VMIS, "ns", f"name-of-{replica}", uid, labels)
    return replace(written, **more)  # type: ignore[arg-type]  # each is a field of the line


def asked(at: float, ms: float = 0.0) -> Asked:
    return Asked(1, at, "list", VMIS, "ns", "", 200, ms, "somebody")


def test_a_replica_with_one_vmi_at_a_time_is_well() -> None:
    log = [
        vmi("a"),
        vmi("a", what="updated", deleting=True),
        vmi("a", what="deleted"),
        vmi("b", replica="r2"),
    ]

    assert judge(log, jobs={"j1"}, replicas={"r1", "r2"}) == []


def test_two_vmis_of_one_replica_at_one_instant_are_twins() -> None:
    found = doubles([vmi("a"), vmi("b", revision=7)])

    assert [each.rule for each in found] == ["twins"]
    assert "2 VMIs at revision 7" in found[0].detail


def test_an_old_vmi_that_is_still_being_deleted_is_there_as_well() -> None:
    assert len(doubles([vmi("a"), vmi("a", what="updated", deleting=True), vmi("b")])) == 1


def test_a_replica_that_is_made_a_second_time_is_found_although_the_first_is_gone() -> None:
    assert len(doubles([vmi("a"), vmi("a", what="deleted"), vmi("b")])) == 1


def test_a_vmi_without_labels_is_found() -> None:
    log = [vmi("a", labels={})]

    assert [each.rule for each in unmarked(log)] == ["orphan"]


def test_whatever_is_left_of_a_job_that_is_gone_is_an_orphan() -> None:
    secret = vmi("s", resource="secrets")

    assert len(orphans([vmi("a"), secret], jobs=set())) == 2
    assert orphans([vmi("a"), secret], jobs={"j1"}) == []
    assert orphans([secret, replace(secret, what="deleted")], jobs=set()) == []


def test_what_is_not_hostlers_is_no_orphan() -> None:
    assert orphans([vmi("a", labels={"app": "something"})], jobs=set()) == []


def test_jobs_with_too_few_or_too_many_vmis_are_told() -> None:
    log = [vmi("a"), vmi("b", replica="r2")]

    assert miscounted(log, {"j1": 2, "j2": 0}) == []
    assert len(miscounted(log, {"j1": 1, "j2": 1})) == 2


def test_a_replica_that_nobody_scheduled_is_a_stranger() -> None:
    assert len(strangers([vmi("a")], {"r2"})) == 1


def test_a_vmi_without_room_is_told_once() -> None:
    log = [vmi("a"), *[vmi("a", what="updated", unschedulable=True)] * 3]

    assert len(overcommitted(log)) == 1


def test_requests_are_counted_in_the_window_in_which_they_began() -> None:
    log = [asked(1.0), asked(1.5), asked(1.9), asked(2.1), asked(3.5), asked(9.0, ms=7_950)]

    assert busiest(log, 0.0, 10.0) == 4
    assert busiest(log, 3.0, 10.0) == 1
    assert busiest([], 0.0, 10.0) == 0


def test_successful_creations_are_counted_by_name() -> None:
    assert creations([vmi("a"), vmi("b"), vmi("b", what="updated")]) == {"name-of-r1": 2}
