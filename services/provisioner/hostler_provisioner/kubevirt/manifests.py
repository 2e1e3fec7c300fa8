"""Every object that a job and its replicas are in a cluster, as documents for the Kubernetes API.

Pure. The backend applies the anchor, then what `job_objects` gives, then what `replica_objects` gives for each replica. The anchor owns
all the rest, so that deleting it takes everything of the job away; a machine owns nothing, since what it owned would go with it, and
its disks are to outlive it.
"""

import base64

from hostler_provisioner.kubevirt.cloud_init import user_data
from hostler_provisioner.kubevirt.documents import Json, Manifest, job_metadata, replica_metadata
from hostler_provisioner.kubevirt.machine import ClusterSettings, Machine, Peer
from hostler_provisioner.kubevirt.names import JOB_LABEL, job_name, label_value
from hostler_provisioner.kubevirt.storage import job_cache, replica_cache, root_disk
from hostler_provisioner.kubevirt.virtual_machine import SSH_PORT, virtual_machine

USER_DATA_KEY = "userdata"
_HTTPS, _DNS = 443, 53


def anchor(settings: ClusterSettings, project: str, job_id: str) -> Manifest:
    """The object that owns all others of a job; its uid is given to the functions that make those."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": job_metadata(settings, job_name(job_id), project, job_id, None),
        "data": {"cluster": settings.cluster, "job": job_id, "project": project},
    }


def job_objects(
    settings: ClusterSettings, project: str, job_id: str, port: int | None, anchor_uid: str
) -> tuple[Manifest, ...]:
    """What a job has besides its anchor, whatever replicas it has.

    Args:
        settings: The cluster.
        project: The job's project.
        job_id: The job.
        port: Where its replicas serve; None for machines without an endpoint, which are logged in to.
        anchor_uid: Of the anchor as the cluster made it.
    """
    cache = job_cache(settings, project, job_id, anchor_uid)
    return (
        network_policy(settings, project, job_id, port, anchor_uid),
        service(settings, project, job_id, port, anchor_uid),
        *((cache,) if cache else ()),
    )


def replica_objects(settings: ClusterSettings, machine: Machine, anchor_uid: str) -> tuple[Manifest, ...]:
    """A replica's Secret and disks, and at the end its machine.

    Raises:
        PermanentError: its image or its guest can't be used here; the message names the field.
    """
    disks = (root_disk(settings, machine, anchor_uid), replica_cache(settings, machine, anchor_uid))
    return (
        secret(settings, machine, anchor_uid),
        *(disk for disk in disks if disk is not None),
        virtual_machine(settings, machine, anchor_uid),
    )


def secret(settings: ClusterSettings, machine: Machine, anchor_uid: str) -> Manifest:
    """What the machine is told at its first boot, keys and tokens included: the only place where they are."""
    text = user_data(machine.guest, hostname=machine.name, cache=settings.storage.cache)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": replica_metadata(settings, machine.name, machine, anchor_uid),
        "type": "Opaque",
        # Not as `stringData`, which server-side apply does not keep track of.
        "data": {USER_DATA_KEY: base64.b64encode(text.encode()).decode()},
    }


def service(
    settings: ClusterSettings, project: str, job_id: str, port: int | None, anchor_uid: str
) -> Manifest:
    """A name for the job's replicas, without an address of its own: routers choose among replicas themselves."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": job_metadata(settings, job_name(job_id), project, job_id, anchor_uid),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": {JOB_LABEL: label_value(job_id)},
            "ports": [
                {"name": "serve", "port": port or SSH_PORT, "targetPort": port or SSH_PORT, "protocol": "TCP"}
            ],
        },
    }


def network_policy(
    settings: ClusterSettings, project: str, job_id: str, port: int | None, anchor_uid: str
) -> Manifest:
    """Who may speak to a job's replicas, and to whom they may speak: one replica is nothing to another."""
    network = settings.network
    callers = network.login_callers if port is None else network.callers
    ingress: list[Json] = []
    if callers:
        ingress.append(
            {
                "from": [_peer(each) for each in callers],
                "ports": [{"protocol": "TCP", "port": port or SSH_PORT}],
            }
        )
    egress: list[Json] = [
        {"ports": [{"protocol": protocol, "port": _DNS} for protocol in ("UDP", "TCP")]},
        {
            "to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": list(network.private_blocks)}}],
            "ports": [{"protocol": "TCP", "port": _HTTPS}],
        },
    ]
    if network.egress_blocks:
        egress.append({"to": [{"ipBlock": {"cidr": block}} for block in network.egress_blocks]})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": job_metadata(settings, job_name(job_id), project, job_id, anchor_uid),
        "spec": {
            "podSelector": {"matchLabels": {JOB_LABEL: label_value(job_id)}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    }


def _peer(peer: Peer) -> Json:
    """An empty selector would mean all, so what is not asked for is left out."""
    found: dict[str, Json] = {}
    if peer.namespace_labels:
        found["namespaceSelector"] = {"matchLabels": peer.namespace_labels}
    if peer.pod_labels:
        found["podSelector"] = {"matchLabels": peer.pod_labels}
    return found
