"""`hostler logs JOB`: what its replicas wrote, once or as they write it."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from hostler_cli.completion import job_names
from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError
from hostler_cli.located import located, open_client
from hostler_cli.output import say

if TYPE_CHECKING:
    from hostler_client import HostlerClient, Job, Replica  # for signatures; loaded when the command runs

_POLL_SECONDS = 1.0


@located
def logs(
    job: Annotated[
        str, typer.Argument(metavar="JOB", autocompletion=job_names, help="Id or name of the job.")
    ],
    *,
    replica: Annotated[
        str | None,
        typer.Option("--replica", "-r", metavar="ID", help="Only this one: its id, or the end of it."),
    ] = None,
    tail: Annotated[int, typer.Option(min=0, max=10_000, help="How many of the last lines.")] = 200,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written.")] = False,
    project: Annotated[str | None, typer.Option(help="Project to look in; by default the key's own.")] = None,
) -> None:
    """Show what a job's replicas wrote; by default of those that live, or of the last one that ended."""
    with open_client() as client:
        reader = _Reader(client, client.jobs.get(job, project=project), replica, tail)
        reader.read_all()
        while follow and not reader.over:
            time.sleep(_POLL_SECONDS)
            reader.read_more()


class _Reader:
    """Prints logs, each from where it was left."""

    def __init__(self, client: "HostlerClient", job: "Job", wanted: str | None, tail: int) -> None:
        self._client = client
        self._job = job
        self._wanted = wanted
        self._tail = tail
        self._places: dict[str, int] = {}
        self._ended: set[str] = set()
        self._away = False

    @property
    def over(self) -> bool:
        """Whether nothing more can come."""
        if self._wanted is not None:
            return bool(self._ended)
        return self._job.deleted_at is not None

    def read_all(self) -> None:
        """Print the last lines of each."""
        chosen = _chosen(self._job, self._wanted)
        if not chosen:
            say(f"job {self._job.name} has no replica yet")
        for each in chosen:
            self._read(each.replica_id)

    def read_more(self) -> None:
        """Print what has come since; a provisioner that is away for a moment is waited for."""
        from hostler_client import NotFound, Unavailable, Unreachable

        try:
            self._job = self._client.jobs.get(self._job.job_id)
            followed = {each.replica_id for each in _chosen(self._job, self._wanted)} | set(self._places)
            for replica_id in sorted(followed - self._ended):
                try:
                    self._read(replica_id)
                except NotFound:
                    if replica_id in self._places:
                        self._ended.add(replica_id)
            self._away = False
        except (Unavailable, Unreachable) as error:
            if not self._away:
                say(f"waiting: {error}")
            self._away = True

    def _read(self, replica_id: str) -> None:
        from hostler_cli.job_text import short

        part = self._client.jobs.replica_log(
            self._job.job_id, replica_id, tail=self._tail, after=self._places.get(replica_id)
        )
        self._places[replica_id] = part.next
        if part.ended:
            self._ended.add(replica_id)
        several = len(self._places) > 1 or len(_chosen(self._job, self._wanted)) > 1
        head = f"{short(replica_id)} | " if several else ""
        for line in part.text.splitlines():
            print(f"{head}{line}", flush=True)


def _chosen(job: "Job", wanted: str | None) -> "tuple[Replica, ...]":
    """The replicas whose logs are wanted."""
    replicas = job.status.replicas
    if wanted is None:
        return job.living_replicas or replicas[-1:]
    found = tuple(each for each in replicas if each.replica_id.endswith(wanted))
    if len(found) != 1:
        problem = "is not one of" if not found else "fits several of"
        raise CliError(
            f"--replica {wanted} {problem} the job's replicas",
            code=ExitCode.NOT_FOUND if not found else ExitCode.USAGE,
            hint=f"`hostler jobs get {job.name}` shows them",
        )
    return found
