"""Disks: where a machine's root disk comes from, its model cache, and the manifests of both.

Pure; called by `manifests` and `virtual_machine`. A disk belongs to the job's anchor and never to a machine.
"""

from hostler_domain.errors import PermanentError
from hostler_provisioner.kubevirt.documents import Json, Manifest, job_metadata, replica_metadata
from hostler_provisioner.kubevirt.machine import Cache, ClusterSettings, Machine, Storage
from hostler_provisioner.kubevirt.names import cache_name

_CDI = "cdi.kubevirt.io/v1beta1"
# An importer that collected finished DataVolumes would take away what says how far a disk is.
_KEEP = {"cdi.kubevirt.io/storage.deleteAfterCompletion": "false"}


def root_source(image: str, storage: Storage) -> dict[str, Json]:
    """Where CDI takes a root disk from, by the form of the image's name.

    | image | source |
    | --- | --- |
    | `registry/name:tag`, `docker://...` | a containerDisk in a registry |
    | `https://...`, `http://...` | a disk image on a web server |
    | `pvc://NAME`, `snapshot://NAME` | a volume, or a snapshot of one, in the namespace for images |

    Raises:
        PermanentError: such an image can't be used here.
    """
    scheme, separator, rest = image.partition("://")
    if not separator:
        scheme, rest = "docker", image
    match scheme:
        case "docker":
            return {"registry": {"url": f"docker://{rest}", **_credentials(storage)}}
        case "http" | "https":
            return {"http": {"url": image, **_credentials(storage)}}
        case "pvc" | "snapshot":
            # Any other namespace has disks in it that are not images, of other projects among them.
            if storage.image_namespace is None:
                raise PermanentError(f"runtime_image {image!r}: this cluster has no namespace with images")
            if "/" in rest:
                raise PermanentError(f"runtime_image {image!r} must be {scheme}://NAME, without a namespace")
            return {scheme: {"name": rest, "namespace": storage.image_namespace}}
        case _:
            raise PermanentError(
                f"runtime_image {image!r} must be a containerDisk in a registry, or begin with https://, pvc:// or snapshot://"
            )


def container_disk(image: str) -> str:
    """The image of a containerDisk, where there is no storage to import one into.

    Raises:
        PermanentError: it is none.
    """
    scheme, separator, rest = image.partition("://")
    if separator and scheme != "docker":
        raise PermanentError(
            f"runtime_image {image!r} must be a containerDisk in a registry: this cluster has no storage to import it into"
        )
    return rest if separator else image


def root_disk(settings: ClusterSettings, machine: Machine, anchor_uid: str) -> Manifest | None:
    """A replica's root disk; None where the machine boots from a containerDisk."""
    storage = settings.storage
    if machine.root_disk is None:
        return None
    return _data_volume(
        settings,
        machine,
        anchor_uid,
        machine.root_disk,
        root_source(machine.image, storage),
        machine.root_disk_gb or storage.root_disk_gb,
        storage.root_storage_class,
    )


def replica_cache(settings: ClusterSettings, machine: Machine, anchor_uid: str) -> Manifest | None:
    """A replica's own model cache; None where it has none, or shares its job's."""
    storage = settings.storage
    if storage.cache is not Cache.DISK or machine.cache is None:
        return None
    return _data_volume(
        settings,
        machine,
        anchor_uid,
        machine.cache,
        {"blank": {}},
        storage.cache_gb,
        storage.cache_storage_class,
    )


def job_cache(settings: ClusterSettings, project: str, job_id: str, anchor_uid: str) -> Manifest | None:
    """The model cache that all replicas of a job share; None where they don't."""
    storage = settings.storage
    if storage.cache is not Cache.SHARED:
        return None
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": job_metadata(settings, cache_name(job_id), project, job_id, anchor_uid),
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "volumeMode": "Filesystem",
            **_storage_class(storage.cache_storage_class),
            "resources": {"requests": {"storage": f"{storage.cache_gb}Gi"}},
        },
    }


def _data_volume(
    settings: ClusterSettings,
    machine: Machine,
    anchor_uid: str,
    name: str,
    source: dict[str, Json],
    size_gb: int,
    storage_class: str | None,
) -> Manifest:
    return {
        "apiVersion": _CDI,
        "kind": "DataVolume",
        "metadata": {**replica_metadata(settings, name, machine, anchor_uid), "annotations": _KEEP},
        "spec": {
            "source": source,
            "storage": {
                # A machine with a GPU can't be migrated, so no disk of it needs a second writer.
                "accessModes": ["ReadWriteOnce"],
                **_storage_class(storage_class),
                "resources": {"requests": {"storage": f"{size_gb}Gi"}},
            },
        },
    }


def _credentials(storage: Storage) -> dict[str, Json]:
    return {"secretRef": storage.import_secret} if storage.import_secret else {}


def _storage_class(name: str | None) -> dict[str, Json]:
    return {"storageClassName": name} if name else {}
