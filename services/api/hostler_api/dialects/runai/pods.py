"""A replica as Run:ai's clients read it: a pod. Pure."""

from collections.abc import Mapping

from hostler_api.dialects.runai import ids
from hostler_api.dialects.runai.documents import ContainerAnswer, PodAnswer
from hostler_api.dialects.runai.workloads import Names, allocated
from hostler_domain.job import Job, Replica
from hostler_domain.priorities import nearest_class
from hostler_domain.replica_states import ReplicaState

_POD_PHASES: Mapping[ReplicaState, str] = {
    ReplicaState.PENDING: "Pending",
    ReplicaState.SCHEDULED: "Pending",
    ReplicaState.IMPORTING: "Pending",
    ReplicaState.BOOTING: "Running",
    ReplicaState.LOADING: "Running",
    ReplicaState.READY: "Running",
    ReplicaState.UNHEALTHY: "Running",
    ReplicaState.DRAINING: "Running",
    ReplicaState.TERMINATING: "Running",
    ReplicaState.TERMINATED: "Succeeded",
    ReplicaState.FAILED: "Failed",
}


def pod(job: Job, replica: Replica, names: Names) -> PodAnswer:
    """One replica."""
    spec = job.spec
    ended_at = replica.since if replica.ended else None
    return PodAnswer(
        name=f"{spec.name}-{replica.replica_id[-12:]}",
        priority_class_name=nearest_class(spec.priority),
        id=replica.replica_id,
        workload_id=job.job_id,
        revision_id=ids.revision_id(job.job_id, replica.generation),
        cluster_id=ids.CLUSTER_ID,
        project_id=ids.project_id(spec.project, names.projects),
        node_name=replica.placement.node_key,
        created_at=replica.created_at,
        completed_at=ended_at,
        containers=(
            ContainerAnswer(
                name=spec.runtime, image=spec.runtime_image or spec.runtime, started_at=replica.ready_at
            ),
        ),
        current_node_pool=spec.hardware_profile,
        requested_node_pools=(spec.hardware_profile,),
        allocated_resources=allocated(*(() if replica.ended else (replica.placement.taken,))),
        k8s_phase=_POD_PHASES[replica.state],
        tenant_id=ids.TENANT_ID,
        k8s_phase_updated_at=replica.since,
        updated_at=replica.since,
        deleted_at=ended_at,
        project_name=spec.project,
        workload_name=spec.name,
    )
