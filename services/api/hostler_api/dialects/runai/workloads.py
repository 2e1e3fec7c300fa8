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
    Cores,
    InferenceAnswer,
    Quantity,
    RequestedPods,
    RequestedResources,
    WorkloadAnswer,
)
from hostler_api.dialects.runai.hardware import compute_body, quantity
from hostler_api.dialects.runai.listing import Value
from hostler_domain.capacity import Resources, requirement
from hostler_domain.catalogue import HardwareProfile, Project
from hostler_domain.job import EndpointAuth, Job, JobSpec
from hostler_domain.phases import DesiredPhase, JobPhase, PhaseReason
from hostler_domain.priorities import class_of, nearest_class

WORKLOAD_TYPE = "Inference"
_REASONS = (PhaseReason.NON_PREEMPTIBLE_OVER_QUOTA, PhaseReason.OVER_LIMIT)
"""The reasons that Run:ai has a word for; the others are in the message."""


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


def workload(job: Job, names: Names) -> WorkloadAnswer:
    """The row in the list of workloads."""
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
        updated_at=_updated_at(job),
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
        allocated_resources=allocated(*(replica.placement.taken for replica in held)),
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


def columns(job: Job, names: Names) -> Mapping[str, Value]:
    """What a row can be chosen and sorted by, without making the row."""
    spec = job.spec
    return {
        "type": WORKLOAD_TYPE,
        "name": spec.name,
        "clusterId": ids.CLUSTER_ID,
        "projectId": ids.project_id(spec.project, names.projects),
        "projectName": spec.project,
        "departmentId": ids.DEPARTMENT_ID,
        "departmentName": ids.DEPARTMENT_NAME,
        "createdAt": job.created_at,
        "deletedAt": job.deleted_at,
        "submittedBy": job.created_by,
        "phase": phase_word(job.status.phase),
        "nodepool": spec.hardware_profile,
        "allocatedGPU": sum(each.placement.taken.gpus for each in job.replicas if not each.ended),
        "phaseUpdatedAt": job.status.phase_since,
        "category": category_of(spec),
        "priority": spec.priority,
        "priorityClassName": nearest_class(spec.priority),
    }


def phase_word(phase: JobPhase) -> str:
    """A job's phase as Run:ai says it: it has no word for what is gone, which it tells by `deletedAt`."""
    return JobPhase.DELETING if phase is JobPhase.DELETED else phase


def category_of(spec: JobSpec) -> str:
    """The category that was asked for, or the default one."""
    return spec.labels.get(CATEGORY_LABEL, CATEGORIES[0])


def images(spec: JobSpec) -> tuple[str, ...]:
    """The image of the runtime, where there is one."""
    return (spec.runtime_image,) if spec.runtime_image else ()


def allocated(*taken: Resources) -> AllocatedResources:
    """What replicas hold together."""
    return AllocatedResources(
        gpu=sum(each.gpus for each in taken),
        cpu=sum(each.cpu_cores for each in taken),
        cpu_memory=quantity(sum(each.memory_bytes for each in taken)),
    )


def requested_pods(job: Job) -> RequestedPods:
    """How many replicas are wanted, and the bounds."""
    scaling = job.spec.scaling
    return RequestedPods(number=job.wanted_replicas, min=scaling.min_replicas, max=scaling.max_replicas)


def _updated_at(job: Job) -> datetime:
    """The latest moment that the record tells of."""
    return max(job.created_at, job.status.phase_since, *(replica.since for replica in job.replicas))


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
