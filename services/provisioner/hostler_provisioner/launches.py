"""From a job and one of its replicas to everything that a backend needs to start it, opened secrets included.

Called by the effects that start replicas, and by the external backend when it finds its replicas again.
"""

from hostler_bus.port import Bucket
from hostler_contracts import catalogue
from hostler_domain.catalogue import HardwareProfile
from hostler_domain.errors import PermanentError
from hostler_domain.external import endpoint_at
from hostler_domain.job import Job, Replica
from hostler_kit.secret_key import SecretKey
from hostler_provisioner.backend import Launch


class Launches:
    """Makes launches."""

    def __init__(self, secrets: Bucket, secret_key: SecretKey, profiles: Bucket | None = None) -> None:
        """Make them; `profiles` is needed for jobs with GPUs."""
        self._secrets = secrets
        self._profiles = profiles
        self._secret_key = secret_key

    async def launch(self, job: Job, replica: Replica) -> Launch:
        """What starts this replica.

        Raises:
            PermanentError: a secret of the job is not there, or can't be opened.
        """
        spec, servers = job.spec, job.spec.external
        token = await self._open(spec.hf_token_secret, "Hugging Face token")
        if servers is None:
            key: str | None = self._secret_key.replica_key(replica.replica_id)
        else:
            key = await self._open(servers.api_key_secret, "key for its servers")
        # Nothing but a GPU needs more of the profile than the placement says.
        profile = await self._profile(spec.hardware_profile) if replica.placement.taken.gpus else None
        return Launch(
            replica_id=replica.replica_id,
            job_id=job.job_id,
            project=spec.project,
            model=spec.model,
            served_name=spec.model,
            runtime=spec.runtime,
            args=tuple(sorted(spec.serving.args.items())),
            env=tuple(sorted(spec.serving.env.items())),
            cpu_cores=replica.placement.taken.cpu_cores,
            memory_bytes=replica.placement.taken.memory_bytes,
            api_key=key or "",
            hf_token=token,
            endpoint_url=endpoint_at(servers, replica.placement.node) if servers else None,
            generation=replica.generation,
            node=replica.placement.node,
            gpu_count=replica.placement.taken.gpus,
            gpu_model=profile.gpu_model if profile else None,
            device_name=profile.device_name if profile else None,
            image=spec.runtime_image,
            root_disk_gb=spec.root_disk_gb,
            initialization_seconds=spec.timeouts.initialization_seconds,
            # What the router finds the job by; it passes on what the caller wrote.
            aliases=(spec.name, f"{spec.project}/{spec.name}", job.job_id),
            ssh_keys=spec.ssh_keys,
        )

    async def _profile(self, name: str) -> HardwareProfile:
        entry = None if self._profiles is None else await self._profiles.get(name)
        if entry is None:
            raise PermanentError(f"hardware_profile: {name!r} is not there any more")
        return catalogue.HARDWARE_PROFILES.decode(entry.value)

    async def _open(self, name: str | None, what: str) -> str | None:
        if name is None:
            return None
        sealed = await self._secrets.get(name)
        if sealed is None:
            raise PermanentError(f"the job's {what} is not stored any more")
        return self._secret_key.open(name, sealed.value)
