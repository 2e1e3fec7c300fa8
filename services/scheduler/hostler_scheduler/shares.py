"""How many GPUs each project's replicas hold, and what its quota and its limit say about one more. Pure; `room` keeps one.

The quota bounds the replicas that nobody may take away: of each job the first `guaranteed_replicas` active ones. The limit bounds
all that have not ended. Both are asked only when a replica is placed: a bound that is lowered takes nothing away.
"""

from collections.abc import Mapping

from hostler_domain.catalogue import Project
from hostler_domain.job import Job
from hostler_domain.phases import PhaseReason

Refused = tuple[PhaseReason, str]
"""Why a project's bounds keep a replica from being placed, as a reason and as a sentence."""


class Shares:
    """The sums while one plan is made.

    `held` is what replicas hold now; `coming` is what they will when those that drain have ended and those that wait have got what
    is kept for them.
    """

    def __init__(self, projects: Mapping[str, Project]) -> None:
        self._projects = projects
        self._held: dict[str, int] = {}
        self._coming: dict[str, int] = {}
        self._guaranteed: dict[str, int] = {}
        self._active: dict[str, int] = {}

    def hold(self, job: Job, gpus: int, *, active: bool) -> None:
        """A replica of the job holds so many; one that is not active gives them back soon."""
        project = job.spec.project
        self._held[project] = self._held.get(project, 0) + gpus
        if active:
            self.keep(job, gpus)

    def keep(self, job: Job, gpus: int) -> None:
        """Keep so many for a replica that waits, and count it as if it were there."""
        project, count = job.spec.project, self._active.get(job.job_id, 0)
        self._active[job.job_id] = count + 1
        self._coming[project] = self._coming.get(project, 0) + gpus
        if count < job.spec.guaranteed_replicas:
            self._guaranteed[project] = self._guaranteed.get(project, 0) + gpus

    def end(self, job: Job, gpus: int) -> None:
        """An active replica of the job, none of the guaranteed ones, is to drain."""
        self._active[job.job_id] -= 1
        self._coming[job.spec.project] -= gpus

    def refused(self, job: Job, gpus: int, *, once_ended: int = 0) -> Refused | None:
        """Why one more replica of the job can't have so many GPUs now, though `once_ended` were given back; None when it can."""
        project = self._projects.get(job.spec.project)
        if project is None or gpus == 0:
            return None
        guaranteed = self._over_quota(job, project, gpus)
        if guaranteed is not None:
            return guaranteed
        held = max(self._held.get(project.name, 0), self._coming.get(project.name, 0)) - once_ended
        if project.gpu_limit is not None and held + gpus > project.gpu_limit:
            return PhaseReason.OVER_LIMIT, (
                f"project {project.name} has a limit of {project.gpu_limit} GPUs and holds {held}; "
                f"one more replica takes {gpus}"
            )
        return None

    def over_quota(self, job: Job, gpus: int) -> bool:
        """Whether the quota keeps one more replica of the job from being placed, which no end of another replica changes."""
        project = self._projects.get(job.spec.project)
        return project is not None and gpus > 0 and self._over_quota(job, project, gpus) is not None

    def missing_below_limit(self, job: Job, gpus: int) -> int:
        """How many GPUs the project must give up for one more replica, beyond what it gives back soon; 0 or less for none."""
        project = self._projects.get(job.spec.project)
        if project is None or project.gpu_limit is None or gpus == 0:
            return 0
        return self._coming.get(project.name, 0) + gpus - project.gpu_limit

    def sums(self, project: str) -> tuple[int, int]:
        """GPUs that its replicas hold, and of these those of replicas that nobody may take away."""
        return self._held.get(project, 0), self._guaranteed.get(project, 0)

    def _over_quota(self, job: Job, project: Project, gpus: int) -> Refused | None:
        if project.gpu_quota is None or self._active.get(job.job_id, 0) >= job.spec.guaranteed_replicas:
            return None
        held = self._guaranteed.get(project.name, 0)
        if held + gpus <= project.gpu_quota:
            return None
        return PhaseReason.NON_PREEMPTIBLE_OVER_QUOTA, (
            f"project {project.name} has a quota of {project.gpu_quota} GPUs for replicas that can't be preempted and "
            f"holds {held}; one more takes {gpus}"
        )
