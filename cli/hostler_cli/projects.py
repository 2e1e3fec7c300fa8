"""`hostler projects ...`: make, see, change and delete projects. Most of it takes an admin's key."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError
from hostler_cli.limit_options import (
    NO_BOUND,
    Concurrency,
    ConcurrencyChange,
    Rpm,
    RpmChange,
    Tpm,
    TpmChange,
    bound,
    limit_changes,
    limits_text,
    new_limits,
)
from hostler_cli.located import located, open_client
from hostler_cli.output import OutputFormat, print_columns, print_json, say

if TYPE_CHECKING:
    # The client is loaded when a command runs, not when its options are declared.
    from collections.abc import Sequence

    from hostler_client import Project

projects_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make, see and change projects.")

Name = Annotated[str, typer.Argument(metavar="PROJECT", help="Name of the project.")]
Description = Annotated[str | None, typer.Option(help="For people.")]
Output = Annotated[OutputFormat, typer.Option("--output", "-o", help="How to print projects.")]
_HEADINGS = ("NAME", "GPU QUOTA", "GPU LIMIT", "LIMITS", "CREATED", "DESCRIPTION")


@projects_app.command("create")
@located
def create_project(
    name: Name,
    *,
    description: Description = None,
    gpu_quota: Annotated[
        int | None, typer.Option(min=0, help="GPUs of non-preemptible replicas; no bound by default.")
    ] = None,
    gpu_limit: Annotated[
        int | None, typer.Option(min=0, help="GPUs of all replicas; no bound by default.")
    ] = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    concurrency: Concurrency = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Make a project. Quota and limit of GPUs are kept; the scheduler does not hold anyone to them yet."""
    from hostler_client import NewProject

    wanted = NewProject(
        name=name,
        description=description or "",
        gpu_quota=gpu_quota,
        gpu_limit=gpu_limit,
        limits=new_limits(rpm, tpm, concurrency),
    )
    with open_client() as client:
        _print([client.projects.create(wanted)], output, single=True)


@projects_app.command("list")
@located
def list_projects(
    *,
    output: Output = OutputFormat.TABLE,
) -> None:
    """List projects by name."""
    with open_client() as client:
        _print(list(client.projects.list()), output)


@projects_app.command("get")
@located
def get_project(
    name: Name,
    *,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show one project."""
    with open_client() as client:
        _print([client.projects.get(name)], output, single=True)


@projects_app.command("update")
@located
def update_project(
    name: Name,
    *,
    description: Description = None,
    gpu_quota: Annotated[
        str | None, typer.Option(metavar="GPUS|none", help="GPUs of non-preemptible replicas.")
    ] = None,
    gpu_limit: Annotated[str | None, typer.Option(metavar="GPUS|none", help="GPUs of all replicas.")] = None,
    rpm: RpmChange = None,
    tpm: TpmChange = None,
    concurrency: ConcurrencyChange = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Change a project; what is not named stays."""
    from hostler_client import ProjectChanges

    changes: dict[str, object] = {}
    if description is not None:
        changes["description"] = description
    for field, flag, given in (
        ("gpu_quota", "--gpu-quota", gpu_quota),
        ("gpu_limit", "--gpu-limit", gpu_limit),
    ):
        if given is not None:
            changes[field] = bound(given, flag)
    if limits := limit_changes(rpm, tpm, concurrency):
        changes["limits"] = limits
    if not changes:
        raise CliError("nothing to change: name at least one option", code=ExitCode.USAGE)
    with open_client() as client:
        _print([client.projects.update(name, ProjectChanges.model_validate(changes))], output, single=True)


@projects_app.command("delete")
@located
def delete_project(
    name: Name,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Don't ask; nobody is asked off a terminal anyway.")
    ] = False,
) -> None:
    """Take a project away that has no jobs and no working keys any more."""
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(f"Delete the project {name}?", abort=True, err=True)
    with open_client() as client:
        client.projects.delete(name)
    say(f"project {name} is deleted")


def _print(projects: "Sequence[Project]", output: OutputFormat, *, single: bool = False) -> None:
    match output:
        case OutputFormat.JSON:
            print_json(projects[0] if single else projects)
        case OutputFormat.NAME | OutputFormat.ID:
            for project in projects:
                print(project.name if output is OutputFormat.NAME else project.project_id)
        case OutputFormat.TABLE:
            print_columns(
                _HEADINGS,
                (
                    (
                        project.name,
                        NO_BOUND if project.gpu_quota is None else str(project.gpu_quota),
                        NO_BOUND if project.gpu_limit is None else str(project.gpu_limit),
                        limits_text(project.limits),
                        f"{project.created_at:%Y-%m-%d}",
                        project.description,
                    )
                    for project in projects
                ),
            )
