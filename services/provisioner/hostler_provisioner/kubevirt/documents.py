"""What Kubernetes' documents look like here: JSON as a type, and the metadata that everything of ours has."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from hostler_provisioner.kubevirt.machine import ClusterSettings, Machine
from hostler_provisioner.kubevirt.names import (
    RUNTIME_LABEL,
    job_labels,
    job_name,
    label_value,
    replica_labels,
)

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"
Manifest: TypeAlias = Mapping[str, Json]
"""One object for the Kubernetes API."""


def job_metadata(
    settings: ClusterSettings, name: str, project: str, job_id: str, anchor_uid: str | None
) -> Mapping[str, Json]:
    """The metadata of what a job has once; only the anchor itself has no `anchor_uid`."""
    labels = job_labels(settings.cluster, project, job_id)
    return _metadata(settings, name, labels, job_id, anchor_uid)


def replica_metadata(
    settings: ClusterSettings, name: str, machine: Machine, anchor_uid: str
) -> Mapping[str, Json]:
    """The metadata of what a replica has once."""
    labels = replica_labels(
        settings.cluster, machine.project, machine.job_id, machine.replica_id, machine.generation
    )
    labels[RUNTIME_LABEL] = label_value(machine.runtime)
    return _metadata(settings, name, labels, machine.job_id, anchor_uid)


def _metadata(
    settings: ClusterSettings, name: str, labels: Mapping[str, str], job_id: str, anchor_uid: str | None
) -> Mapping[str, Json]:
    metadata: dict[str, Json] = {"name": name, "namespace": settings.namespace, "labels": labels}
    if anchor_uid is not None:
        metadata["ownerReferences"] = [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": job_name(job_id),
                "uid": anchor_uid,
                "controller": False,
                # Whoever deletes the anchor in the foreground sees it gone only when all of this is.
                "blockOwnerDeletion": True,
            }
        ]
    return metadata
