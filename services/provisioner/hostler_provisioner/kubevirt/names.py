"""Names, labels and marks of everything that the provisioner makes in a cluster, and the way back from labels to the replica.

Pure. `manifests` writes them, the reconciler reads them. A name is a function of what it stands for, so that a step that is repeated
meets what it made before; it says enough for people, and a digest keeps apart what their eyes or Kubernetes' alphabet would not.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

DOMAIN = "hostler.dev"
FIELD_MANAGER = "hostler-provisioner"
"""Who sets fields, for server-side apply."""

JOB_LABEL = f"{DOMAIN}/job"
REPLICA_LABEL = f"{DOMAIN}/replica"
GENERATION_LABEL = f"{DOMAIN}/generation"
PROJECT_LABEL = f"{DOMAIN}/project"
CLUSTER_LABEL = f"{DOMAIN}/cluster"
RUNTIME_LABEL = f"{DOMAIN}/runtime"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "hostler"
MANAGED_SELECTOR = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
"""Selects everything of every provisioner in a namespace."""

NAME_LENGTH_MAX = 63
_SLUG_LENGTH_MAX = 36  # an id of ours whole
_DIGEST_LENGTH = 16
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", re.ASCII)
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Owner:
    """Which job, and which replica of it, an object in the cluster belongs to.

    Attributes:
        cluster: The provisioner's cluster that made it, as a label says it.
        job_id: The job.
        replica_id: The replica; None for what belongs to the job as a whole.
        generation: The job's generation that the replica was made from; None likewise.
    """

    cluster: str
    job_id: str
    replica_id: str | None = None
    generation: int | None = None


def job_name(job_id: str) -> str:
    """The name of what a job has once: its anchor, its Service, its NetworkPolicy."""
    return _name("j", job_id, job_id)


def replica_name(job_id: str, replica_id: str, generation: int) -> str:
    """The name of what a replica has once: its virtual machine and its Secret."""
    # With their lengths, so that no two triples are written the same.
    meant = f"{len(job_id)}:{job_id}/{len(replica_id)}:{replica_id}/{generation}"
    return _name("r", replica_id, meant)


def root_disk_name(job_id: str, replica_id: str, generation: int) -> str:
    """The name of a replica's own root disk."""
    return f"{replica_name(job_id, replica_id, generation)}-root"


def cache_name(job_id: str) -> str:
    """The name of the model cache that all replicas of a job share."""
    return f"{job_name(job_id)}-cache"


def replica_cache_name(job_id: str, replica_id: str, generation: int) -> str:
    """The name of the model cache of one replica, where the storage can't be shared."""
    return f"{replica_name(job_id, replica_id, generation)}-cache"


def job_labels(cluster: str, project: str, job_id: str) -> dict[str, str]:
    """The labels of everything of a job."""
    return {
        MANAGED_BY_LABEL: MANAGED_BY,
        CLUSTER_LABEL: label_value(cluster),
        PROJECT_LABEL: label_value(project),
        JOB_LABEL: label_value(job_id),
    }


def replica_labels(
    cluster: str, project: str, job_id: str, replica_id: str, generation: int
) -> dict[str, str]:
    """The labels of everything of a replica."""
    return job_labels(cluster, project, job_id) | {
        REPLICA_LABEL: label_value(replica_id),
        GENERATION_LABEL: str(generation),
    }


def owner_of(labels: Mapping[str, str] | None) -> Owner | None:
    """Whose an object with these labels is; None for one that no provisioner made, which must be left alone."""
    labels = labels or {}
    if labels.get(MANAGED_BY_LABEL) != MANAGED_BY or JOB_LABEL not in labels or CLUSTER_LABEL not in labels:
        return None
    generation = labels.get(GENERATION_LABEL, "")
    whole = generation.isascii() and generation.isdigit()
    return Owner(
        labels[CLUSTER_LABEL],
        labels[JOB_LABEL],
        labels.get(REPLICA_LABEL),
        int(generation) if whole else None,
    )


def cluster_selector(cluster: str) -> str:
    """Selects everything that the provisioner of one cluster made."""
    return f"{MANAGED_SELECTOR},{CLUSTER_LABEL}={label_value(cluster)}"


def job_selector(cluster: str, job_id: str) -> str:
    """Selects everything of one job."""
    return f"{cluster_selector(cluster)},{JOB_LABEL}={label_value(job_id)}"


def label_value(text: str) -> str:
    """`text` where it can be the value of a label, as all ids of ours can; else something like it that no other text gives."""
    if _LABEL_VALUE.fullmatch(text) and not text.startswith("x-"):
        return text
    return f"x-{_slug(text)}-{_digest(text)}" if _slug(text) else f"x-{_digest(text)}"


def _name(prefix: str, shown: str, meant: str) -> str:
    """A name that begins with a letter, as a Service's must, and leaves room for a suffix."""
    slug = _slug(shown)
    return f"{prefix}-{slug}-{_digest(meant)}" if slug else f"{prefix}-{_digest(meant)}"


def _slug(text: str) -> str:
    return _NOT_IN_NAMES.sub("-", text.lower())[:_SLUG_LENGTH_MAX].strip("-")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
