"""What holds of every plan for a cluster, whatever is desired and whatever is there."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from hostler_provisioner.kubevirt.names import Owner
from hostler_provisioner.kubevirt.observed import (
    DiskShape,
    Observed,
    SeenAnchor,
    SeenClaim,
    SeenDisk,
    SeenRecord,
    SeenVm,
    VmPhase,
)
from hostler_provisioner.kubevirt.reconcile import Begin, Delete, Desired, Kind, ObjectPlan, Wish, reconcile
from hostler_provisioner.kubevirt.record import Record

T = TypeVar("T")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
JOBS = ("job-a", "job-b")
REPLICAS = tuple(f"{job}-r{number}" for job in JOBS for number in range(4))
SHAPES = (DiskShape("image-1", "10Gi", ""), DiskShape("image-2", "10Gi", ""))
NODES = (None, "node-0", "node-1")

going = st.sampled_from((None, NOW - timedelta(seconds=5), NOW - timedelta(hours=1)))


def owner(replica_id: str) -> Owner:
    return Owner("main", replica_id.rpartition("-")[0], replica_id, 1)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Desired, Observed]:
    """Any mixture of wishes and of what crashes, people and clusters leave behind."""
    some = st.sets(st.sampled_from(REPLICAS))
    disks = tuple(
        SeenDisk(
            f"{slot}-root",
            f"uid-disk-{slot}",
            owner(slot),
            draw(st.sampled_from(SHAPES)),
            draw(st.sampled_from(("Succeeded", "ImportInProgress", "Failed"))),
            NOW - timedelta(minutes=draw(st.integers(0, 3))),
            deleting_since=draw(going),
            node=draw(st.sampled_from(NODES)),
        )
        for slot in sorted(draw(some))
    )
    # No two records ever name one slot: the reconciler itself sees to that.
    begun = sorted(draw(some))
    slots = draw(st.permutations(REPLICAS))
    records = tuple(
        SeenRecord(
            f"{each}-record",
            f"uid-record-{each}",
            owner(each),
            Record(slot if slot.startswith(owner(each).job_id) else each, 8000, "/health", each, 30),
            deleting_since=draw(going),
        )
        for each, slot in zip(begun, slots, strict=False)
    )
    vms = tuple(
        SeenVm(
            each,
            f"uid-vm-{each}",
            owner(each),
            draw(st.sampled_from(VmPhase)),
            deleting_since=draw(going),
            evicting=draw(st.booleans()),
        )
        for each in sorted(draw(some))
    )
    observed = Observed(
        vms=vms,
        disks=disks,
        claims=tuple(
            SeenClaim(f"{slot}-cache", f"uid-claim-{slot}", owner(slot), draw(st.booleans()), draw(going))
            for slot in sorted(draw(some))
        ),
        records=records,
        anchors=tuple(
            SeenAnchor(job, f"uid-anchor-{job}", job, draw(going))
            for job in sorted(draw(st.sets(st.sampled_from(JOBS))))
        ),
    )
    desired = Desired(
        wishes=tuple(
            Wish(
                each,
                owner(each).job_id,
                draw(st.sampled_from((None, *SHAPES))),
                draw(st.sampled_from(NODES)),
                draw(st.sampled_from((None, NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)))),
            )
            for each in sorted(draw(some))
        ),
        ending=frozenset(draw(some)),
        watched=frozenset(draw(some)),
        draining=frozenset(draw(some)),
        disks=draw(st.none() | st.dictionaries(st.sampled_from(JOBS), st.integers(0, 3))),
        going=frozenset(draw(st.sets(st.sampled_from(JOBS)))),
        local_storage=draw(st.booleans()),
    )
    return desired, observed


def carried_out(plan: ObjectPlan, desired: Desired, observed: Observed) -> tuple[Desired, Observed]:
    """The world once everything in the plan was done and the cluster has finished with it."""
    shapes = {each.replica_id: each.shape for each in desired.wishes}
    for begin in (*plan.create, *plan.restart):
        observed = with_replica(observed, begin, shapes[begin.replica_id])
    gone = {each.uid for each in (*plan.delete, *plan.orphans)}
    jobs = {each.job_id for each in (*plan.delete, *plan.orphans) if each.kind is Kind.ANCHOR}
    observed = Observed(
        vms=tuple(each for each in observed.vms if each.uid not in gone),
        disks=tuple(
            each for each in observed.disks if each.uid not in gone and each.owner.job_id not in jobs
        ),
        claims=tuple(
            each for each in observed.claims if each.uid not in gone and each.owner.job_id not in jobs
        ),
        records=tuple(each for each in observed.records if each.uid not in gone),
        anchors=tuple(each for each in observed.anchors if each.uid not in gone),
    )
    watched = desired.watched | {each.replica_id for each in plan.adopt}
    draining = desired.draining | {each.replica_id for each in plan.drain}
    return replace(desired, watched=watched, draining=draining), observed


def with_replica(observed: Observed, begin: Begin, shape: DiskShape | None) -> Observed:
    whose = owner(begin.replica_id)
    records = [each for each in observed.records if each.replica_id != begin.replica_id]
    record = SeenRecord(
        f"{begin.replica_id}-record",
        f"uid-new-record-{begin.replica_id}",
        whose,
        Record(begin.slot, 8000, "/health", begin.replica_id, 30),
    )
    disks = list(observed.disks)
    if shape is not None and all(each.slot != begin.slot for each in disks):
        name = f"{begin.slot}-root"
        disks.append(SeenDisk(name, f"uid-new-disk-{name}", owner(begin.slot), shape, "Succeeded", NOW))
    anchors = list(observed.anchors)
    if all(each.job_id != whose.job_id for each in anchors):
        anchors.append(SeenAnchor(whose.job_id, f"uid-new-anchor-{whose.job_id}", whose.job_id))
    vm = SeenVm(begin.replica_id, f"uid-new-vm-{begin.replica_id}", whose, VmPhase.PENDING)
    return replace(
        observed,
        vms=(*observed.vms, vm),
        records=(*records, record),
        disks=tuple(disks),
        anchors=tuple(anchors),
    )


def shuffled(rng: random.Random, values: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(rng.sample(values, len(values)))


def deletions(plan: ObjectPlan) -> tuple[Delete, ...]:
    return (*plan.delete, *plan.orphans)


@given(worlds())
def test_carried_out_often_enough_a_plan_leaves_nothing_to_do(world: tuple[Desired, Observed]) -> None:
    desired, observed = world
    # An end takes two looks, the machine's and then the record's; a job's goes after its last replica, anchor first.
    for _ in range(6):
        plan = reconcile(desired, observed, now=NOW)
        if plan.empty:
            break
        desired, observed = carried_out(plan, desired, observed)
    assert reconcile(desired, observed, now=NOW).empty


@given(worlds(), st.randoms())
def test_the_order_of_what_is_seen_is_irrelevant(world: tuple[Desired, Observed], rng: random.Random) -> None:
    desired, observed = world

    mixed = Observed(
        shuffled(rng, observed.vms),
        shuffled(rng, observed.disks),
        shuffled(rng, observed.claims),
        shuffled(rng, observed.records),
        shuffled(rng, observed.anchors),
    )
    wishes = shuffled(rng, desired.wishes)
    assert reconcile(replace(desired, wishes=wishes), mixed, now=NOW) == reconcile(desired, observed, now=NOW)


@given(worlds())
def test_no_machine_is_made_where_there_is_one_or_while_anything_of_its_name_is_going(
    world: tuple[Desired, Observed],
) -> None:
    desired, observed = world
    plan = reconcile(desired, observed, now=NOW)
    begun = [each.replica_id for each in (*plan.create, *plan.restart)]
    there = {each.replica_id for each in observed.vms}
    leaving = {each.replica_id for each in observed.records if each.deleting_since}
    assert len(begun) == len(set(begun))
    assert not set(begun) & (there | leaving | desired.ending)


@given(worlds())
def test_no_two_replicas_ever_share_a_disk(world: tuple[Desired, Observed]) -> None:
    desired, observed = world
    plan = reconcile(desired, observed, now=NOW)
    begun = {each.replica_id: each.slot for each in (*plan.create, *plan.restart)}
    held = {each.replica_id: each.noted.slot for each in observed.records} | begun
    running = {each.replica_id for each in observed.vms} | set(begun)
    for replica_id, slot in begun.items():
        others = [held.get(each, each) for each in running if each != replica_id]
        assert slot not in others


@given(worlds())
def test_a_disk_that_a_replica_has_or_gets_is_never_deleted(world: tuple[Desired, Observed]) -> None:
    desired, observed = world
    plan = reconcile(desired, observed, now=NOW)
    jobs_gone = {each.job_id for each in deletions(plan) if each.kind is Kind.ANCHOR}
    slots = {each.noted.slot for each in observed.records}
    slots |= {each.slot for each in (*plan.create, *plan.restart)}
    deleted = {each.name for each in deletions(plan) if each.kind is Kind.DISK}
    assert not deleted & {f"{slot}-root" for slot in slots}
    assert not jobs_gone & {each.owner.job_id for each in observed.vms}


@given(worlds())
def test_while_the_jobs_are_not_known_only_what_was_asked_to_end_is_deleted(
    world: tuple[Desired, Observed],
) -> None:
    desired, observed = world
    plan = reconcile(replace(desired, disks=None), observed, now=NOW)
    assert not plan.orphans
    ours = {f"uid-{kind}-{each}" for kind in ("vm", "record") for each in desired.ending}
    assert {each.uid for each in plan.delete} <= ours
