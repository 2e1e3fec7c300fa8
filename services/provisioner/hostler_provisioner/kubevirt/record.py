"""The record of a replica in the cluster: a small ConfigMap that says what was begun, made before all else and taken away last.

It is how a provisioner finds what another left half done, and holds what can't be read off the machine: whose disks it took, what
its server is asked, and the name of its Secret, because the provisioner may not list Secrets. There is nothing secret in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hostler_provisioner.kubevirt.names import replica_name


@dataclass(frozen=True, slots=True)
class Record:
    """What stands in it.

    Attributes:
        slot: The replica that its disks were first made for; itself where they are its own.
        port: Where its server listens; None for one that has no endpoint.
        health_path: What its server is asked.
        secret: Name of its Secret.
        grace_seconds: How long its guest may take to shut down.
    """

    slot: str
    port: int | None
    health_path: str
    secret: str
    grace_seconds: int


def record_name(job_id: str, replica_id: str, generation: int) -> str:
    """Its name, a function of the replica."""
    return f"{replica_name(job_id, replica_id, generation)}-record"


def record_data(record: Record) -> dict[str, str]:
    """The record as a ConfigMap's data."""
    return {
        "slot": record.slot,
        "port": "" if record.port is None else str(record.port),
        "health_path": record.health_path,
        "secret": record.secret,
        "grace_seconds": str(record.grace_seconds),
    }


def read_record(data: Mapping[str, str]) -> Record | None:
    """The record in a ConfigMap's data; None for another ConfigMap."""
    slot, secret, grace = data.get("slot", ""), data.get("secret", ""), data.get("grace_seconds", "")
    if not slot or not secret or not grace.isdecimal():
        return None
    port = data.get("port", "")
    return Record(
        slot, int(port) if port.isdecimal() else None, data.get("health_path", ""), secret, int(grace)
    )
