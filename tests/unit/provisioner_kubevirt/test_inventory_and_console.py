"""What nodes offer to machines, how far a replica is, and how a console is read in parts."""

import random

import pytest

from hostler_provisioner.backend import LogPart, Step
from hostler_provisioner.kubevirt.backoff import backoff_seconds
from hostler_provisioner.kubevirt.console import parse_lines, part_of
from hostler_provisioner.kubevirt.inventory import node_facts, product_of, quantity
from hostler_provisioner.kubevirt.names import Owner
from hostler_provisioner.kubevirt.observed import DiskShape, SeenDisk, SeenRecord, SeenVm, VmPhase
from hostler_provisioner.kubevirt.reading import JsonObject
from hostler_provisioner.kubevirt.record import Record
from hostler_provisioner.kubevirt.steps import stage_of
from hostler_provisioner.local.steps import Health
from tests.support.builders import NOW

DEVICE = "nvidia.com/GA100_A100_SXM4_80GB"


def node(name: str = "node-0", *, ready: str = "True", **spec: object) -> JsonObject:
    return {
        "metadata": {"name": name, "labels": {"kubevirt.io/schedulable": "true"}},
        "spec": spec,
        "status": {
            "allocatable": {"cpu": "63500m", "memory": "512Gi", DEVICE: "8"},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


def pod(node_name: str, phase: str = "Running", **labels: str) -> JsonObject:
    resources = {"requests": {"cpu": "1500m"}, "limits": {DEVICE: "2", "memory": "10Gi"}}
    return {
        "metadata": {"labels": labels},
        "spec": {"nodeName": node_name, "containers": [{"resources": resources}]},
        "status": {"phase": phase},
    }


def test_of_a_node_what_others_have_taken_is_not_offered_and_what_is_ours_is() -> None:
    pods = [
        pod("node-0"),
        pod("node-0", "Succeeded"),
        pod("node-1"),
        pod("node-0", **{"app.kubernetes.io/managed-by": "hostler"}),
    ]
    (facts,) = node_facts([node()], pods, {"vllm": None})
    assert (facts.cpu_cores, facts.gpus, facts.device_name) == (62.0, 6, DEVICE)
    assert facts.gpu_model == "A100-SXM4-80GB"
    assert facts.memory_bytes == 502 * 2**30 - 7 * 512 * 2**20


@pytest.mark.parametrize(
    "unfit", [node(ready="False"), node(ready="Unknown"), node(unschedulable=True)], ids=str
)
def test_a_node_that_takes_no_machines_is_left_out(unfit: JsonObject) -> None:
    assert node_facts([unfit], [], {}) == ()


@pytest.mark.parametrize(
    ("device", "label", "model"),
    [
        (DEVICE, "NVIDIA-A100-SXM4-80GB", "A100-SXM4-80GB"),
        ("nvidia.com/AD102GL_L40S", None, "L40S"),
        ("nvidia.com/gpu", "NVIDIA-L40S", "L40S"),
        ("nvidia.com/gpu", None, "gpu"),
        (None, "NVIDIA-L40S", None),
    ],
)
def test_a_gpu_is_named_as_profiles_name_it(device: str | None, label: str | None, model: str | None) -> None:
    assert product_of(device, label) == model


@pytest.mark.parametrize(
    ("written", "amount"), [("2", 2), ("500m", 0.5), ("2Ki", 2048), ("1G", 10**9), ("", 0), (None, 0)]
)
def test_quantities(written: object, amount: float) -> None:
    assert float(quantity(written)) == amount


OWNER = Owner("main", "job-1", "r1", 1)
RECORD = SeenRecord("r1-record", "u", OWNER, Record("r1", 8000, "/health", "r1", 30))
PLAIN = SeenRecord("r1-record", "u", OWNER, Record("r1", None, "", "r1", 30))
DISK = SeenDisk("r1-root", "u", OWNER, DiskShape("i", "1Gi", ""), "ImportInProgress", fraction=0.5)


def vm(phase: VmPhase, **fields: object) -> SeenVm:
    return SeenVm("r1", "u", OWNER, phase, **fields)  # type: ignore[arg-type]  # a test's own fields


ROWS: dict[str, tuple[SeenVm | None, Health | None, Step]] = {
    "no machine yet": (None, None, Step.IMPORTING),
    "pending": (vm(VmPhase.PENDING), None, Step.IMPORTING),
    "scheduled": (vm(VmPhase.SCHEDULED), None, Step.BOOTING),
    "running, not asked": (vm(VmPhase.RUNNING), None, Step.BOOTING),
    "running, loading": (vm(VmPhase.RUNNING), Health(Step.LOADING), Step.LOADING),
    "running, ready": (vm(VmPhase.RUNNING), Health(Step.READY), Step.READY),
    "running, not answering": (vm(VmPhase.RUNNING), Health(Step.UNHEALTHY), Step.UNHEALTHY),
    "unknown, answering": (vm(VmPhase.UNKNOWN), Health(Step.READY), Step.READY),
    "unknown, not answering": (vm(VmPhase.UNKNOWN), Health(Step.UNHEALTHY), Step.UNHEALTHY),
    "failed": (vm(VmPhase.FAILED), Health(Step.READY), Step.GONE),
    "succeeded": (vm(VmPhase.SUCCEEDED), None, Step.GONE),
    "being deleted": (vm(VmPhase.RUNNING, deleting_since=NOW), Health(Step.READY), Step.GONE),
}


@pytest.mark.parametrize(("machine", "health", "step"), ROWS.values(), ids=ROWS.keys())
def test_how_far_a_replica_is(machine: SeenVm | None, health: Health | None, step: Step) -> None:
    stage = stage_of(vm=machine, record=RECORD, disk=DISK, health=health, wished=True, refusal=None)
    assert stage.step is step
    assert stage.fraction == (0.5 if step is Step.IMPORTING else None)
    assert not stage.incomplete


def test_a_replica_without_a_machine_that_nobody_is_making_was_left_off() -> None:
    stage = stage_of(vm=None, record=RECORD, disk=None, health=None, wished=False, refusal=None)
    assert (stage.step, stage.incomplete) == (Step.IMPORTING, True)


@pytest.mark.parametrize(("up", "step"), [(True, Step.READY), (False, Step.BOOTING)])
def test_a_machine_without_a_server_is_ready_when_its_guest_answers(up: bool, step: Step) -> None:
    machine = vm(VmPhase.RUNNING, agent=up)
    stage = stage_of(vm=machine, record=PLAIN, disk=None, health=None, wished=False, refusal=None)
    assert stage.step is step


CONSOLE = (
    "2026-11-21T12:00:00.000000001Z first\n"
    "2026-11-21T12:00:00.000000002Z second\n"
    "2026-11-21T12:00:00.000000002Z of the same moment\n"
    "2026-11-21T12:00:01.5Z last\n"
    "2026-11-21T12:00:02Z cut o"
)


def test_a_console_is_read_in_parts_that_neither_overlap_nor_leave_out() -> None:
    lines = parse_lines(CONSOLE)
    tail = part_of(lines, tail_lines=2, after=None, ended=False)
    assert tail.text == "of the same moment\nlast\n"
    first = part_of(lines, tail_lines=0, after=lines[0][0], ended=True)
    assert first.text == "second\nof the same moment\nlast\n"
    assert part_of(lines, tail_lines=0, after=first.next, ended=True) == LogPart("", first.next, ended=True)


def test_a_part_of_a_console_is_bounded() -> None:
    lines = tuple((number, "x" * 100_000) for number in range(1, 6))
    part = part_of(lines, tail_lines=5, after=None, ended=True)
    assert (part.text.count("\n"), part.next, part.ended) == (2, 2, False)


def test_each_failure_waits_longer_up_to_a_bound() -> None:
    rng = random.Random(1)
    pauses = [backoff_seconds(failures, rng) for failures in range(12)]
    assert pauses[0] == 0
    assert all(0.25 * 2**n <= pause <= 0.5 * 2**n for n, pause in enumerate(pauses[1:7]))
    assert max(pauses) <= 60
