"""What KubeVirt's and Kubernetes' own admission does to objects beyond their schema, as far as Hostler meets it."""

from collections.abc import Mapping
from typing import Any

from tests.support.kubernetes.catalog import CLAIMS, VMIS, Resource
from tests.support.kubernetes.refusals import invalid

VMI_FINALIZER = "kubevirt.io/foregroundDeleteVirtualMachine"
CLAIM_FINALIZER = "kubernetes.io/pvc-protection"


def on_create(resource: Resource, body: dict[str, Any], *, by_kubevirt: bool) -> dict[str, Any]:
    """The object as it is admitted."""
    if resource is VMIS and not by_kubevirt:
        _check_disks(body)
    finalizer = {VMIS: VMI_FINALIZER, CLAIMS: CLAIM_FINALIZER}.get(resource)
    if finalizer is None:
        return body
    metadata = body["metadata"]
    finalizers = [*(each for each in metadata.get("finalizers", ()) if each != finalizer), finalizer]
    return {**body, "metadata": {**metadata, "finalizers": finalizers}}


def on_update(
    resource: Resource, before: Mapping[str, Any], after: Mapping[str, Any], *, by_kubevirt: bool
) -> None:
    """Refuse what KubeVirt refuses: users can't change the spec of a VMI."""
    if resource is VMIS and not by_kubevirt and before.get("spec") != after.get("spec"):
        raise invalid(
            resource,
            before["metadata"]["name"],
            [("spec", "FieldValueNotSupported", "update of VMI object is restricted")],
        )


def _check_disks(body: Mapping[str, Any]) -> None:
    """A disk needs a volume of its name. KubeVirt's webhook says so; the schema can't."""
    spec = body.get("spec") or {}
    volumes = {each.get("name") for each in spec.get("volumes") or ()}
    devices = (spec.get("domain") or {}).get("devices") or {}
    causes = [
        (
            f"spec.domain.devices.disks[{number}].name",
            "FieldValueInvalid",
            f"spec.domain.devices.disks[{number}].name '{disk.get('name')}' not found.",
        )
        for number, disk in enumerate(devices.get("disks") or ())
        if disk.get("name") not in volumes
    ]
    if causes:
        raise invalid(VMIS, body["metadata"]["name"], causes)
