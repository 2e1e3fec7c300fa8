"""A job as Run:ai's clients read it: the workload, its row in the list, its replicas as pods. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from hostler_api.dialects.runai import ids
from hostler_api.dialects.runai.arguments import args_line
from hostler_api.dialects.runai.autoscaling import autoscaling_body
from hostler_api.dialects.runai.bodies import (
    EnvironmentVariableBody,
    NameValueBody,
    ServingConfigurationBody,
    ServingPortBody,
    SpecBody,
)
from hostler_api.dialects.runai.creation import (
    ANNOTATION_PREFIX,
    CATEGORIES,
    CATEGORY_LABEL,
    LABEL_PREFIX,
    PORT_LABEL,
    REQUESTED_NAME_LABEL,
)
from hostler_api.dialects.runai.documents import (
    ActionsSupport,
    AllocatedResources,
    ConditionAnswer,
    ContainerAnswer,
    Cores,
    InferenceAnswer,
    PodAnswer,
    Quantity,
    RequestedPods,
    RequestedResources,
    WorkloadAnswer,
)
from hostler_api.dialects.runai.hardware import compute_body, quantity
from hostler_domain.capacity import Resources, requirement
from hostler_domain.catalogue import HardwareProfile, Project
from hostler_domain.job import EndpointAuth, Job, JobSpec, Replica
from hostler_domain.phases import DesiredPhase, JobPhase, PhaseReason
from hostler_domain.priorities import class_of, nearest_class
from hostler_domain.replica_states import ReplicaState

WORKLOAD_TYPE = "Inference"
_REASONS = (PhaseReason.NON_PREEMPTIBLE_OVER_QUOTA, PhaseReason.OVER_LIMIT)
"""The reasons that Run:ai has a word for; the others are in the message."""
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


@dataclass(frozen=True, slots=True)
class Names:
    """What a job's record only refers to.

    Attributes:
        projects: Projects by name.
        profiles: Hardware profiles by name.
    """

    projects: Mapping[str, Project]
    profiles: Mapping[str, HardwareProfile]


def inference(job: Job, names: Names) -> InferenceAnswer:
    """The workload."""
    spec = job.spec
    return InferenceAnswer(
        name=spec.name,
        requested_name=spec.labels.get(REQUESTED_NAME_LABEL, spec.name),
        workload_id=job.job_id,
        project_id=ids.project_id(spec.project, names.projects),
        department_id=ids.DEPARTMENT_ID,
        cluster_id=ids.CLUSTER_ID,
        created_by=job.created_by,
        created_at=job.created_at,
        deleted_at=job.deleted_at,
        desired_phase=job.status.desired_phase,
        actual_phase=phase_word(job.status.phase),
        spec=spec_body(spec, names.profiles),
    )


def spec_body(spec: JobSpec, profiles: Mapping[str, HardwareProfile]) -> SpecBody:
    """What a job really is, in the words of a creation."""
    annotations = {
        name.removeprefix(ANNOTATION_PREFIX): value
        for name, value in spec.labels.items()
        if name.startswith(ANNOTATION_PREFIX)
    }
    labels = {name: value for name, value in spec.labels.items() if not name.startswith(LABEL_PREFIX)}
    port = spec.labels.get(PORT_LABEL, "")
    return SpecBody.model_construct(
        # Without the checks of requests: a job that was made natively may be longer here and there.
        autoscaling=autoscaling_body(spec.scaling),
        serving_configuration=ServingConfigurationBody(
            initialization_timeout_seconds=spec.timeouts.initialization_seconds,
            request_timeout_seconds=spec.timeouts.request_seconds,
        ),
        annotations=_name_values(annotations),
        args=args_line(spec.model, spec.serving.args),
        category=category_of(spec),
        compute=compute_body(spec, profiles),
        environment_variables=tuple(
            EnvironmentVariableBody.model_construct(name=name, value=value)
            for name, value in spec.serving.env.items()
        ),
        image=spec.runtime_image,
        labels=_name_values(labels),
        node_pools=(spec.hardware_profile,),
        preemptibility="preemptible" if spec.preemptible else "non-preemptible",
        priority_class=class_of(spec.priority),
        serving_port=ServingPortBody(
            container=int(port) if port.isdecimal() and 1 <= int(port) <= 65535 else None,
            protocol="http",
            authorization_type="public"
            if spec.endpoint_auth is EndpointAuth.PUBLIC
            else "authenticatedUsers",
        ),
    )


def workload(job: Job, names: Names, updated_at: datetime) -> WorkloadAnswer:
    """The row in the list of workloads.

    Args:
        job: The job.
        names: What it refers to.
        updated_at: When its record last changed.
    """
    spec, status = job.spec, job.status
    wanted = max(status.desired_replicas, 0)
    each = _resources_of(spec, names.profiles)
    held = [replica for replica in job.replicas if not replica.ended]
    pools = sorted({spec.hardware_profile} if held else set())
    # What each replica asks for, as many times as replicas are wanted.
    asked = Resources(each.cpu_cores * wanted, each.memory_bytes * wanted, each.gpus * wanted)
    return WorkloadAnswer(
        tenant_id=ids.TENANT_ID,
        running_pods=len(job.ready_replicas),
        phase_updated_at=status.phase_since,
        k8s_phase_updated_at=status.phase_since,
        updated_at=updated_at,
        source="Control-plane",
        deleted_at=job.deleted_at,
        type=WORKLOAD_TYPE,
        name=spec.name,
        id=job.job_id,
        priority=spec.priority,
        priority_class_name=nearest_class(spec.priority),
        submitted_by=job.created_by,
        cluster_id=ids.CLUSTER_ID,
        project_name=spec.project,
        project_id=ids.project_id(spec.project, names.projects),
        department_name=ids.DEPARTMENT_NAME,
        department_id=ids.DEPARTMENT_ID,
        namespace=spec.project,
        created_at=job.created_at,
        workload_requested_resources=RequestedResources(
            gpu=Cores(request=asked.gpus),
            cpu=Cores(request=asked.cpu_cores),
            cpu_memory=Quantity(request=quantity(asked.memory_bytes)),
        ),
        allocated_resources=_allocated(*(replica.placement.taken for replica in held)),
        actions_support=ActionsSupport(
            delete=status.desired_phase is not DesiredPhase.DELETED,
            suspend=status.desired_phase is DesiredPhase.RUNNING,
        ),
        phase=phase_word(status.phase),
        conditions=tuple(
            ConditionAnswer(
                type=condition.type,
                status=str(condition.status),
                message=condition.message,
                reason=condition.reason,
                last_transition_time=condition.last_transition_at,
            )
            for condition in status.conditions
        ),
        phase_message=_phase_message(job),
        k8s_phase=phase_word(status.phase),
        requested_pods=requested_pods(job),
        requested_node_pools=(spec.hardware_profile,),
        current_node_pools=tuple(pools),
        images=images(spec),
        urls=(),
        preemptible=spec.preemptible,
        environment_variables=dict(spec.serving.env),
        arguments=args_line(spec.model, spec.serving.args),
        phase_reason=status.phase_reason if status.phase_reason in _REASONS else None,
        category=category_of(spec),
    )


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
        allocated_resources=_allocated(*(() if replica.ended else (replica.placement.taken,))),
        k8s_phase=_POD_PHASES[replica.state],
        tenant_id=ids.TENANT_ID,
        k8s_phase_updated_at=replica.since,
        updated_at=replica.since,
        deleted_at=ended_at,
        project_name=spec.project,
        workload_name=spec.name,
    )


def phase_word(phase: JobPhase) -> str:
    """A job's phase as Run:ai says it: it has no word for what is gone, which it tells by `deletedAt`."""
    return JobPhase.DELETING if phase is JobPhase.DELETED else phase


def category_of(spec: JobSpec) -> str:
    """The category that was asked for, or the default one."""
    return spec.labels.get(CATEGORY_LABEL, CATEGORIES[0])


def images(spec: JobSpec) -> tuple[str, ...]:
    """The image of the runtime, where there is one."""
    return (spec.runtime_image,) if spec.runtime_image else ()


def requested_pods(job: Job) -> RequestedPods:
    """How many replicas are wanted, and the bounds."""
    scaling = job.spec.scaling
    return RequestedPods(number=job.wanted_replicas, min=scaling.min_replicas, max=scaling.max_replicas)


def _phase_message(job: Job) -> str:
    reason, detail = job.status.phase_reason, job.status.phase_detail
    if reason is None or reason in _REASONS:
        return detail
    return f"{reason}: {detail}" if detail else reason


def _name_values(items: Mapping[str, str]) -> tuple[NameValueBody, ...]:
    return tuple(NameValueBody.model_construct(name=name, value=value) for name, value in items.items())


def _resources_of(spec: JobSpec, profiles: Mapping[str, HardwareProfile]) -> Resources:
    profile = profiles.get(spec.hardware_profile)
    if profile is None:
        return Resources(gpus=spec.gpu_count)
    return requirement(profile, spec.gpu_count)


def _allocated(*taken: Resources) -> AllocatedResources:
    return AllocatedResources(
        gpu=sum(each.gpus for each in taken),
        cpu=sum(each.cpu_cores for each in taken),
        cpu_memory=quantity(sum(each.memory_bytes for each in taken)),
    )
