"""`hostler jobs scale|wait|replicas`: how many replicas a job has, which they are, and waiting until it is as wished.

Waiting follows the job's events, as everything that waits here does, and so shows each step; the API's own `/wait` tells the end alone.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from hostler_cli.completion import job_names
from hostler_cli.deploy import print_jobs
from hostler_cli.located import located, open_client
from hostler_cli.output import Output, OutputFormat, print_columns, print_json

if TYPE_CHECKING:
    from hostler_client import HostlerClient, Job  # for signatures; the client is loaded when a command runs

JobName = Annotated[
    str, typer.Argument(metavar="JOB", autocompletion=job_names, help="Id or name of the job.")
]
Project = Annotated[str | None, typer.Option(help="Project to look in; by default the key's own.")]

_LOOKED_THROUGH_MAX = 500
_HOLD_LEAST = timedelta(minutes=1)
_HOLD_MOST = timedelta(days=30)


class WaitFor(StrEnum):
    """What can be waited for; the words of `hostler_client.Until`, without loading it for `--help`."""

    READY = "ready"
    RUNNING = "running"
    STOPPED = "stopped"
    SETTLED = "settled"
    DELETED = "deleted"


@located
def scale(
    job: JobName,
    replicas: Annotated[int, typer.Argument(min=0, metavar="REPLICAS", help="How many it shall have.")],
    *,
    hold: Annotated[
        str | None,
        typer.Option(
            "--for",
            help="So long its load does not change the number: 30m, 2h, 1d; without it, it does at once.",
        ),
    ] = None,
    project: Project = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Have another number of replicas, within the job's bounds; with targets its load scales it on from there."""
    from hostler_cli.metrics import span

    held = None if hold is None else span(hold, "--for", least=_HOLD_LEAST, most=_HOLD_MOST)
    seconds = None if held is None else int(held.total_seconds())
    with open_client() as client:
        found = client.jobs.get(job, project=project)
        scaled = client.jobs.scale(found.job_id, replicas, hold_seconds=seconds)
        print_jobs([scaled], output, single=True)


@located
def wait(
    job: JobName,
    *,
    wanted: Annotated[
        WaitFor,
        typer.Option(
            "--for",
            help="ready: a replica serves; running: its minimum does; settled: and none is left to replace; stopped, deleted: none is left.",
        ),
    ] = WaitFor.READY,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long to wait; 6 when it took longer.")
    ] = 1800.0,
    project: Project = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Return when a job is as wished; 1 when it failed."""
    from hostler_cli.waits import wait_for
    from hostler_client import NotFound, Until

    with open_client() as client:
        try:
            found = client.jobs.get(job, project=project)
        except NotFound:
            gone = _deleted(client, job, project) if wanted is WaitFor.DELETED else None
            if gone is None:
                raise
            found = gone
    print_jobs([wait_for(client.connection, found, Until(wanted), timeout)], output, single=True)


@located
def replicas(
    job: JobName,
    *,
    project: Project = None,
    output: Annotated[
        OutputFormat, typer.Option("--output", "-o", help="How to print replicas; their name is their id.")
    ] = OutputFormat.TABLE,
) -> None:
    """List the replicas of a job: those that live, and the latest that ended."""
    from hostler_cli import job_text

    with open_client() as client:
        found = client.jobs.replicas(job, project=project)
    match output:
        case OutputFormat.JSON:
            print_json(found)
        case OutputFormat.NAME | OutputFormat.ID:
            for replica in found:
                print(replica.replica_id)
        case OutputFormat.TABLE:
            now = datetime.now(UTC)
            print_columns(
                job_text.REPLICA_HEADINGS, (job_text.replica_row(replica, now) for replica in found)
            )


def register(jobs_app: typer.Typer) -> None:
    """Add the commands to `hostler jobs`."""
    for command in (scale, wait, replicas):
        jobs_app.command(command.__name__)(command)


def _deleted(client: "HostlerClient", name: str, project: str | None) -> "Job | None":
    """The latest job that had the name: names are of living jobs, and a wait for its end may come after it."""
    newest = islice(client.jobs.list(project=project, include_deleted=True), _LOOKED_THROUGH_MAX)
    return next((each for each in newest if each.name == name), None)
