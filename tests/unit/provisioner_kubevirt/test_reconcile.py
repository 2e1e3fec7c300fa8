"""What is done about one replica's objects, case by case; what holds of every plan is tested as properties."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hostler_provisioner.kubevirt.names import Owner
from hostler_provisioner.kubevirt.observed import (
    DiskShape,
    Observed,
    SeenAnchor,
    SeenDisk,
    SeenRecord,
    SeenVm,
    VmPhase,
)
from hostler_provisioner.kubevirt.reconcile import (
    Begin,
    Delete,
    Desired,
    Kind,
    Wish,
    reconcile,
)
from hostler_provisioner.kubevirt.record import Record

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)
SHAPE = DiskShape("image-1", "10Gi", "")
JOB = "job-a"


def owner(replica_id: str) -> Owner:
    return Owner("main", JOB, replica_id, 1)


def vm(replica_id: str = "r1", **fields: object) -> SeenVm:
    made = SeenVm(f"vm-{replica_id}", f"uid-vm-{replica_id}", owner(replica_id), VmPhase.RUNNING)
    return replace(made, **fields)  # type: ignore[arg-type]  # a test's own fields


def disk(slot: str, **fields: object) -> SeenDisk:
    made = SeenDisk(f"{slot}-root", f"uid-disk-{slot}", owner(slot), SHAPE, "Succeeded", NOW)
    return replace(made, **fields)  # type: ignore[arg-type]  # a test's own fields


def record(replica_id: str = "r1", slot: str | None = None, **fields: object) -> SeenRecord:
    noted = Record(slot or replica_id, 8000, "/health", f"vm-{replica_id}", 30)
    made = SeenRecord(f"{replica_id}-record", f"uid-record-{replica_id}", owner(replica_id), noted)
    return replace(made, **fields)  # type: ignore[arg-type]  # a test's own fields


def wishing(*replica_ids: str, **fields: object) -> Desired:
    wishes = tuple(Wish(each, JOB, SHAPE) for each in replica_ids)
    return replace(Desired(wishes=wishes, disks={JOB: len(replica_ids)}), **fields)  # type: ignore[arg-type]  # a test's own fields


def test_a_new_replica_is_created_with_a_disk_of_its_own() -> None:
    plan = reconcile(wishing("r1"), Observed(), now=NOW)
    assert plan.create == (Begin("r1", "r1", "it has no machine"),)


def test_a_replica_whose_machine_is_made_again_keeps_its_disk() -> None:
    observed = Observed(records=(record(),), disks=(disk("r1"),))
    plan = reconcile(wishing("r1"), observed, now=NOW)
    assert [(each.replica_id, each.slot) for each in plan.restart] == [("r1", "r1")]


def test_a_replacement_takes_over_the_free_disk_of_its_job() -> None:
    plan = reconcile(wishing("r2"), Observed(disks=(disk("r1"),)), now=NOW)
    assert [(each.replica_id, each.slot) for each in plan.restart] == [("r2", "r1")]
    assert plan.delete == ()


@pytest.mark.parametrize(
    "unfit",
    [
        pytest.param({"shape": DiskShape("image-2", "10Gi", "")}, id="another image"),
        pytest.param({"shape": DiskShape("image-1", "20Gi", "")}, id="another size"),
        pytest.param({"phase": "ImportInProgress"}, id="not whole"),
        pytest.param({"deleting_since": NOW}, id="being deleted"),
    ],
)
def test_a_disk_that_does_not_fit_is_not_taken_over(unfit: dict[str, object]) -> None:
    plan = reconcile(wishing("r2"), Observed(disks=(disk("r1", **unfit),)), now=NOW)
    assert [each.slot for each in plan.create] == ["r2"]


@pytest.mark.parametrize(("node", "slot"), [("node-0", "r1"), ("node-1", "r2")])
def test_where_storage_is_local_a_disk_fits_only_on_its_node(node: str, slot: str) -> None:
    desired = Desired(wishes=(Wish("r2", JOB, SHAPE, node),), disks={JOB: 2}, local_storage=True)
    plan = reconcile(desired, Observed(disks=(disk("r1", node="node-0"),)), now=NOW)
    assert [each.slot for each in (*plan.create, *plan.restart)] == [slot]


def test_a_disk_in_use_is_nobody_elses() -> None:
    observed = Observed(vms=(vm("r1"),), records=(record("r1"),), disks=(disk("r1"),))
    plan = reconcile(wishing("r2", watched=frozenset({"r1"})), observed, now=NOW)
    assert [each.slot for each in plan.create] == ["r2"]


def test_a_name_is_not_used_again_before_its_old_machine_is_gone() -> None:
    observed = Observed(vms=(vm("r1", deleting_since=NOW),), records=(record(),))
    plan = reconcile(wishing("r1"), observed, now=NOW)
    assert plan.empty
    assert [each.name for each in plan.wait] == ["vm-r1"]


@pytest.mark.parametrize(("since", "stuck"), [(NOW, False), (LONG_AGO, True)])
def test_a_deletion_beyond_its_deadline_is_stuck(since: datetime, stuck: bool) -> None:
    plan = reconcile(Desired(), Observed(vms=(vm(deleting_since=since),)), now=NOW)
    assert [each.stuck for each in plan.wait] == [stuck]


def test_an_end_deletes_the_machine_and_its_record_only_when_the_machine_is_gone() -> None:
    ending = wishing(ending=frozenset({"r1"}))
    first = reconcile(ending, Observed(vms=(vm(),), records=(record(),)), now=NOW)
    assert first.delete == (Delete(Kind.VM, "vm-r1", "uid-vm-r1", JOB, "its replica ends"),)
    going = Observed(vms=(vm(deleting_since=NOW),), records=(record(),))
    assert reconcile(ending, going, now=NOW).empty
    last = reconcile(ending, Observed(records=(record(),)), now=NOW)
    assert [(each.kind, each.uid) for each in last.delete] == [(Kind.RECORD, "uid-record-r1")]


def test_free_disks_beyond_what_the_job_wants_go_the_youngest_first() -> None:
    older = disk("r1", created_at=LONG_AGO)
    plan = reconcile(Desired(disks={JOB: 1}), Observed(disks=(disk("r2"), older)), now=NOW)
    assert [each.name for each in plan.delete] == ["r2-root"]


def test_a_job_that_is_no_more_goes_by_its_anchor_and_what_the_anchor_left_one_by_one() -> None:
    anchor = SeenAnchor("j", "uid-anchor", JOB)
    with_anchor = reconcile(Desired(disks={}), Observed(disks=(disk("r1"),), anchors=(anchor,)), now=NOW)
    assert [each.kind for each in with_anchor.orphans] == [Kind.ANCHOR]
    without = reconcile(Desired(disks={}), Observed(disks=(disk("r1"),)), now=NOW)
    assert [each.kind for each in without.orphans] == [Kind.DISK]


def test_nothing_is_swept_while_the_jobs_are_not_known() -> None:
    anchor = SeenAnchor("j", "uid-anchor", JOB)
    assert reconcile(Desired(), Observed(disks=(disk("r1"),), anchors=(anchor,)), now=NOW).empty


def test_a_machine_that_must_leave_its_node_is_told_of_once() -> None:
    observed = Observed(vms=(vm(evicting=True, node="node-0"),), records=(record(),), disks=(disk("r1"),))
    told = wishing(watched=frozenset({"r1"}), disks={JOB: 1})
    assert [each.replica_id for each in reconcile(told, observed, now=NOW).drain] == ["r1"]
    assert reconcile(replace(told, draining=frozenset({"r1"})), observed, now=NOW).empty


def test_a_try_that_failed_waits_until_its_time() -> None:
    later = Desired(wishes=(Wish("r1", JOB, SHAPE, not_before=NOW + timedelta(seconds=1)),), disks={JOB: 1})
    assert reconcile(later, Observed(), now=NOW).empty
    assert reconcile(later, Observed(), now=NOW + timedelta(seconds=1)).create
