"""`hostler jobs ...`: list, get, delete, events, and what `lifecycle`, `job_replicas` and `explain` add. A job is named by its id, or by its name within a project."""

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from hostler_cli import job_replicas, lifecycle
from hostler_cli.completion import job_names
from hostler_cli.deploy import pairs, print_jobs
from hostler_cli.explain import explain
from hostler_cli.located import located, open_client
from hostler_cli.output import (
    DataFormat,
    DataOutput,
    Output,
    OutputFormat,
    columns,
    print_columns,
    print_json,
    say,
)

jobs_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="See, change and end jobs.")
lifecycle.register(jobs_app)
job_replicas.register(jobs_app)
jobs_app.command("explain")(explain)

JobName = Annotated[
    str, typer.Argument(metavar="JOB", autocompletion=job_names, help="Id or name of the job.")
]
Project = Annotated[str | None, typer.Option(help="Project to look in; by default the key's own.")]
_EVENT_WIDTHS = (8, 12, 20)
"""Of the columns of a followed history, whose longest cell nobody knows yet."""


@jobs_app.command("list")
@located
def list_jobs(
    *,
    project: Project = None,
    phase: Annotated[str | None, typer.Option(help="Only jobs in this phase, such as Running.")] = None,
    model: Annotated[str | None, typer.Option(help="Only jobs that serve this model.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Only jobs with this label; repeatable, and then with all."),
    ] = None,
    include_deleted: Annotated[bool, typer.Option("--all", "-a", help="Deleted ones as well.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Not more than this many.")] = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """List jobs, newest first."""
    labels = pairs(label, "--label")
    from itertools import islice

    with open_client() as client:
        found = client.jobs.list(
            project=project, phase=phase, model=model, labels=labels, include_deleted=include_deleted
        )
        jobs = list(islice(found, limit))
    if jobs or output is OutputFormat.JSON:
        print_jobs(jobs, output)
    else:
        filtered = project or phase or model or labels
        say("no such jobs" if filtered else "no jobs; `hostler deploy MODEL` makes one")


@jobs_app.command("get")
@located
def get_job(
    job: JobName,
    *,
    project: Project = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show one job and its replicas."""
    from hostler_cli import job_text

    with open_client() as client:
        found = client.jobs.get(job, project=project)
    if output is not OutputFormat.TABLE:
        print_jobs([found], output, single=True)
        return
    now = datetime.now(UTC)
    for line in job_text.job_lines(found, now):
        print(line)
    if found.status.replicas:
        print()
        print_columns(
            job_text.REPLICA_HEADINGS,
            (job_text.replica_row(replica, now) for replica in found.status.replicas),
        )


@jobs_app.command("delete")
@located
def delete_job(
    job: JobName,
    *,
    project: Project = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Don't ask; nobody is asked off a terminal anyway.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Return when nothing of it is left.")] = False,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long --wait waits.")
    ] = 300.0,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Take a job down with everything that belongs to it. Its history stays readable."""
    from hostler_client import Until

    with open_client() as client:
        found = client.jobs.get(job, project=project)
        if not yes and sys.stdin.isatty() and sys.stderr.isatty():
            serving = (
                f"{found.status.ready_replicas} replicas serve"
                if found.status.ready_replicas
                else f"it is {found.phase}"
            )
            typer.confirm(f"Delete job {found.name} ({found.model}, {serving})?", abort=True, err=True)
        found = client.jobs.delete(found.job_id)
    if wait:
        from hostler_cli.waits import wait_for

        found = wait_for(client.connection, found, Until.DELETED, timeout)
    print_jobs([found], output, single=True)


@jobs_app.command("events")
@located
def job_events(
    job: JobName,
    *,
    project: Project = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until the job is deleted.")
    ] = False,
    after: Annotated[int, typer.Option(min=0, metavar="SEQUENCE", help="Only events behind this one.")] = 0,
    output: DataOutput = DataFormat.TABLE,
) -> None:
    """Show what happened to a job; with -f and -o json one event a line."""
    from hostler_cli import job_text

    with open_client() as client:
        job_id = client.jobs.get(job, project=project).job_id
        if not follow:
            events = list(client.jobs.events(job_id, after=after))
            if output is DataFormat.JSON:
                print_json(events)
            else:
                print_columns(job_text.EVENT_HEADINGS, (job_text.event_row(event) for event in events))
            return
        if output is DataFormat.TABLE:
            print(_event_line(job_text.EVENT_HEADINGS), flush=True)
        for event in client.jobs.follow(job_id, after=after):
            line = (
                event.model_dump_json()
                if output is DataFormat.JSON
                else _event_line(job_text.event_row(event))
            )
            print(line, flush=True)


def _event_line(cells: tuple[str, ...]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, (*_EVENT_WIDTHS, 0), strict=True))
    return next(columns(tuple(padded), ()))
