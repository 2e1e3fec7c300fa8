"""Words about decisions that several commands say. Pure, and quick to load."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hostler_client import Job  # for a signature; the client is loaded when a command runs


def counted(replicas: int) -> str:
    """So many replicas."""
    return "1 replica" if replicas == 1 else f"{replicas} replicas"


def without_decisions(job: "Job", since: str, *, of_shadow: bool = False) -> str:
    """Why nothing is recorded of a job in that time, or of its shadow policy."""
    scaling = job.spec.scaling
    if of_shadow and scaling.shadow is None:
        return f"{job.name} has no shadow policy, and had none in the last {since}; `hostler shadow set` makes one"
    told = f"no decision {'of its shadow policy' if of_shadow else 'about its number of replicas'} in the last {since}"
    if scaling.min_replicas == scaling.max_replicas:
        return f"{told}: there is none to make, min_replicas is max_replicas ({scaling.max_replicas})"
    if not scaling.targets and scaling.min_replicas > 0:
        return f"{told}: there is none to make, it has no targets"
    if job.status.desired_phase != "Running":
        return f"{told}: there is none to make, it is {job.status.phase}"
    return f"{told}; the first comes with the next look of the autoscaler, within seconds"
