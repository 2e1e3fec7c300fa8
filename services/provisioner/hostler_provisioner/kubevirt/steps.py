"""How far a replica is, from what is seen of its objects and what its server answers. Pure."""

from dataclasses import dataclass, replace

from hostler_provisioner.backend import Step
from hostler_provisioner.kubevirt.observed import SeenDisk, SeenRecord, SeenVm, VmPhase
from hostler_provisioner.local.steps import Health


@dataclass(frozen=True, slots=True)
class Stage:
    """A step, and what is told of it."""

    step: Step
    fraction: float | None
    detail: str
    incomplete: bool = False


def stage_of(
    *,
    vm: SeenVm | None,
    record: SeenRecord | None,
    disk: SeenDisk | None,
    health: Health | None,
    wished: bool,
    refusal: str | None,
) -> Stage:
    """The stage of a replica.

    | refused | machine                  | its server       | wished | stage                                       |
    | ------- | ------------------------ | ---------------- | ------ | ------------------------------------------- |
    | yes     | none                     |                  | any    | gone, with the refusal                      |
    | any     | being deleted, or ended  |                  | any    | gone                                        |
    | no      | none                     |                  | yes    | importing                                   |
    | no      | none                     |                  | no     | importing, left off                         |
    | any     | Pending                  |                  | any    | importing, as far as the disk is            |
    | any     | Scheduling, Scheduled    |                  | any    | booting                                     |
    | any     | Running, Unknown         | none is asked    | any    | ready when KubeVirt says so, else booting   |
    | any     | Running, Unknown         | was asked        | any    | what it answers                             |

    Unknown means that the cluster can't reach the node; whether callers can is seen by asking.
    """
    if vm is None:
        if refusal is not None:
            return Stage(Step.GONE, None, refusal)
        return _waiting(disk, "", incomplete=not wished)
    if vm.deleting_since is not None:
        return Stage(Step.GONE, None, "its machine is being deleted")
    if vm.ended:
        return Stage(
            Step.GONE, None, f"its machine ended as {vm.phase}" + (f": {vm.detail}" if vm.detail else "")
        )
    match vm.phase:
        case VmPhase.PENDING:
            return _waiting(disk, vm.detail, incomplete=False)
        case VmPhase.SCHEDULING | VmPhase.SCHEDULED:
            return Stage(Step.BOOTING, None, vm.detail or "its machine is being started")
        case VmPhase.UNKNOWN:
            stage = _running(vm, record, health)
            return replace(stage, detail=f"the cluster can't reach its node {vm.node or ''}".rstrip())
        case _:
            return _running(vm, record, health)


def _waiting(disk: SeenDisk | None, said: str, *, incomplete: bool) -> Stage:
    if disk is None or disk.done:
        return Stage(Step.IMPORTING, None, said or "its machine is being made", incomplete)
    if disk.detail:
        return Stage(Step.IMPORTING, disk.fraction, f"its disk: {disk.detail}", incomplete)
    return Stage(Step.IMPORTING, disk.fraction, "its disk is being imported", incomplete)


def _running(vm: SeenVm, record: SeenRecord | None, health: Health | None) -> Stage:
    if record is not None and record.noted.port is None:
        if vm.ready or vm.agent:
            return Stage(Step.READY, None, "its machine runs")
        return Stage(Step.BOOTING, None, "its guest is starting")
    if health is None:
        return Stage(Step.BOOTING, None, "its guest is starting")
    match health.step:
        case Step.READY:
            return Stage(Step.READY, None, "serving")
        case Step.UNHEALTHY:
            return Stage(Step.UNHEALTHY, None, "its machine runs and its server does not answer")
        case Step.LOADING:
            return Stage(Step.LOADING, None, "loading the weights")
        case _:
            words = "its server is being started" if vm.agent else "its guest is starting"
            return Stage(Step.BOOTING, None, words)
