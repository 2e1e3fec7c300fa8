"""`hostler workspace`: a machine with GPUs that opens to SSH keys, and nothing in front of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hostler_cli import placing_options
from hostler_cli.deploy import print_jobs
from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError
from hostler_cli.located import located, open_client
from hostler_cli.output import Output, OutputFormat, say
from hostler_domain.kinds import JobKind

if TYPE_CHECKING:
    from hostler_client import Job

_KEY_FILE_LENGTH_MAX = 65_536


@located
def workspace(
    name: Annotated[str, typer.Argument(help="Name of the job.", metavar="NAME")],
    *,
    ssh_key: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="File with OpenSSH public keys, one a line; repeatable."),
    ],
    training: Annotated[
        bool,
        typer.Option(
            "--training",
            help="A training instead: it waits for workspaces and inferences, and gives way to them.",
        ),
    ] = False,
    project: Annotated[str | None, typer.Option(help="Project that it belongs to.")] = None,
    gpu: Annotated[
        str | None,
        typer.Option("--gpu", "-g", metavar="PROFILE", help="Hardware profile, gpu.a100 by default."),
    ] = None,
    gpu_count: Annotated[int | None, typer.Option(min=0, help="GPUs of the machine.")] = None,
    root_disk_gb: Annotated[int | None, typer.Option(min=1, metavar="GB", help="Its disk.")] = None,
    runtime_image: Annotated[str | None, typer.Option(help="What it boots.")] = None,
    location: placing_options.Location = None,
    priority: placing_options.Priority = None,
    preemptible: Annotated[
        bool | None, typer.Option(help="Whether more urgent jobs may take its room; a training's they may.")
    ] = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Get a machine with GPUs to work on by SSH. It counts as Running when it takes connections."""
    from hostler_client import NewJob

    kind = JobKind.TRAINING if training else JobKind.WORKSPACE
    wanted = NewJob.model_validate(
        {
            "kind": kind.value,
            "name": name,
            "project": project,
            "ssh_keys": tuple(key for path in ssh_key for key in _keys(path)),
            "hardware_profile": gpu,
            "gpu_count": gpu_count,
            "root_disk_gb": root_disk_gb,
            "runtime_image": runtime_image,
            "priority": placing_options.priority_of(priority),
            "preemptible": preemptible,
            **placing_options.sites(location),
        }
    )
    with open_client() as client:
        job: Job = client.jobs.create(wanted)
    say(f"job {job.name} ({job.job_id}): a {kind} on {job.spec.hardware_profile}")
    print_jobs([job], output, single=True)


def _keys(path: Path) -> list[str]:
    """The keys in a file; lines that are empty or comments are none.

    Raises:
        CliError: it can't be read, or holds a private key, which is not to leave this machine.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_KEY_FILE_LENGTH_MAX)
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"--ssh-key {path}: {error}", code=ExitCode.USAGE) from error
    if "PRIVATE KEY" in text:
        raise CliError(
            f"--ssh-key {path}: that is a private key; give the file beside it that ends in .pub",
            code=ExitCode.USAGE,
        )
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
