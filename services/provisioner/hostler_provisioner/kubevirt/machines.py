"""From a launch to the machine that carries it out, and that machine on the disks of a slot. Pure."""

from dataclasses import replace

from hostler_domain.errors import PermanentError
from hostler_provisioner.backend import Launch
from hostler_provisioner.kubevirt.guest import Guest
from hostler_provisioner.kubevirt.machine import Cache, ClusterSettings, Machine, own_disks
from hostler_provisioner.kubevirt.names import replica_cache_name
from hostler_provisioner.kubevirt.observed import SeenDisk


def machine_of(settings: ClusterSettings, launch: Launch, guest: Guest) -> Machine:
    """The machine of a replica, with disks of its own.

    Raises:
        PermanentError: nobody says what it boots, or what claims its GPUs.
    """
    image = launch.image or settings.images.get(launch.runtime)
    if not image:
        raise PermanentError(
            f"runtime_image: neither the job nor the settings of cluster {settings.cluster} name one for {launch.runtime!r}"
        )
    if launch.gpu_count and not launch.device_name:
        raise PermanentError("hardware_profile: it has GPUs and no device_name that claims one in a cluster")
    root, cache = own_disks(settings, launch.job_id, launch.replica_id, launch.generation)
    return Machine(
        job_id=launch.job_id,
        project=launch.project,
        replica_id=launch.replica_id,
        generation=launch.generation,
        runtime=launch.runtime,
        image=image,
        cpu_cores=launch.cpu_cores,
        memory_bytes=launch.memory_bytes,
        guest=guest,
        root_disk=root,
        cache=cache,
        node=launch.node or None,
        gpu_product=launch.gpu_model if launch.gpu_count else None,
        gpu_device=launch.device_name if launch.gpu_count else None,
        gpu_count=launch.gpu_count,
        root_disk_gb=launch.root_disk_gb,
        initialization_seconds=launch.initialization_seconds,
    )


def on_slot(settings: ClusterSettings, machine: Machine, disk: SeenDisk | None) -> Machine:
    """The machine on a disk that is there, and on the cache that goes with it; on its own where there is none."""
    if disk is None or disk.name == machine.root_disk:
        return machine
    cache = machine.cache
    if settings.storage.cache is Cache.DISK:
        cache = replica_cache_name(disk.owner.job_id, disk.slot, disk.owner.generation or 0)
    return replace(machine, root_disk=disk.name, cache=cache)
