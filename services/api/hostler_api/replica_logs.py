"""What a replica wrote: who can be asked for it.

The provisioner of the replica's cluster has the logs; the api only asks. The routes of every dialect ask through this.
"""

from typing import Protocol

from hostler_domain.errors import TemporaryError
from hostler_domain.job import Job


class ReplicaLogs(Protocol):
    """Whoever can get at a replica's log."""

    async def read(self, job: Job, replica_id: str, *, tail_lines: int) -> str:
        """The last lines that a replica of `job` wrote; empty where it wrote none.

        Raises:
            NotFound: the log is not kept any more.
            TemporaryError: nobody who has it answered.
        """
        ...


class NoReplicaLogs:
    """For an api whose provisioners can't be asked."""

    async def read(self, job: Job, replica_id: str, *, tail_lines: int) -> str:
        """Refuse: what asks may try again at another api."""
        del job, tail_lines
        raise TemporaryError(f"the log of replica {replica_id!r} can't be read through this api")
