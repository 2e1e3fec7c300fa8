"""`hostler jobs stop|resume|restart|update`: what can be done with a job between its deploy and its end."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from hostler_cli import placing_options, routing_options, schedule_options
from hostler_cli.completion import job_names
from hostler_cli.deploy import pairs, print_jobs
from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError
from hostler_cli.located import located, open_client
from hostler_cli.output import Output, OutputFormat
from hostler_domain.job import EndpointAuth

if TYPE_CHECKING:
    # The client is loaded when a command runs, not when its options are declared.
    from hostler_client import HostlerClient, Job, JobChanges, Until

JobName = Annotated[
    str, typer.Argument(metavar="JOB", autocompletion=job_names, help="Id or name of the job.")
]
Project = Annotated[str | None, typer.Option(help="Project to look in; by default the key's own.")]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Return when it is done; 6 on a timeout.")]
Timeout = Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How long --wait waits.")]
Change = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="Repeatable; NAME= takes it away.")
]


@located
def stop(
    job: JobName,
    *,
    project: Project = None,
    wait: Wait = False,
    timeout: Timeout = 300.0,
    output: Output = OutputFormat.TABLE,
) -> None:
    """End all replicas of a job and keep it; requests get 503 until it is resumed."""
    from hostler_client import Until

    until = Until.STOPPED if wait else None
    _do(job, project, lambda client, found: client.jobs.stop(found.job_id), until, timeout, output)


@located
def resume(
    job: JobName,
    *,
    project: Project = None,
    wait: Wait = False,
    timeout: Timeout = 1800.0,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Start a stopped or failed job over."""
    from hostler_client import Until

    until = Until.READY if wait else None
    _do(job, project, lambda client, found: client.jobs.resume(found.job_id), until, timeout, output)


@located
def restart(
    job: JobName,
    *,
    project: Project = None,
    wait: Wait = False,
    timeout: Timeout = 1800.0,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Replace every replica of a job, one at a time; requests go on being answered."""
    from hostler_client import Until

    def again(client: "HostlerClient", found: "Job") -> "Job":
        return client.jobs.restart(found.job_id, of_generation=found.generation)

    _do(job, project, again, Until.SETTLED if wait else None, timeout, output)


@located
def update(
    job: JobName,
    *,
    project: Project = None,
    min_replicas: Annotated[int | None, typer.Option(min=0, help="Replicas that are kept warm.")] = None,
    max_replicas: Annotated[int | None, typer.Option(min=1, help="Replicas that are never exceeded.")] = None,
    target_rps: Annotated[
        float | None, typer.Option(help="Requests per second and replica at which to scale up.")
    ] = None,
    target_latency: Annotated[
        float | None, typer.Option(metavar="MS", help="95th percentile of the latency at which to scale up.")
    ] = None,
    stabilisation: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", help="A scale-down follows the highest need of this window."),
    ] = None,
    activation_replicas: Annotated[
        int | None, typer.Option(min=1, help="Replicas that a request wakes a job with that has none.")
    ] = None,
    scale_to_zero_after: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="SECONDS", help="With --min-replicas 0: end all after this long without a request."
        ),
    ] = None,
    scaling_mode: Annotated[
        str | None,
        typer.Option(
            metavar="MODE",
            help="target: the target rate is a ceiling. slo: replicas are given as much as they carry within the target latency.",
        ),
    ] = None,
    schedule: schedule_options.ScheduleChange = None,
    endpoint_auth: Annotated[EndpointAuth | None, typer.Option(help="Whether requests need a key.")] = None,
    gpu: Annotated[
        str | None, typer.Option("--gpu", "-g", metavar="PROFILE", help="Hardware profile.")
    ] = None,
    gpu_count: Annotated[int | None, typer.Option(min=0, help="GPUs per replica.")] = None,
    runtime_image: Annotated[str | None, typer.Option(help="What a machine boots.")] = None,
    priority: placing_options.Priority = None,
    initialization_timeout: Annotated[
        int | None, typer.Option(min=1, metavar="SECONDS", help="How long a replica may take to be ready.")
    ] = None,
    request_timeout: Annotated[
        int | None, typer.Option(min=1, metavar="SECONDS", help="How long one request may take.")
    ] = None,
    balancing: routing_options.BalancingOption = None,
    prefix_chars: routing_options.PrefixChars = None,
    session_header: routing_options.SessionHeader = None,
    concurrency: routing_options.ConcurrencyChange = None,
    queue: routing_options.QueueChange = None,
    queue_timeout: routing_options.QueueTimeoutChange = None,
    resume: routing_options.Resume = None,
    allow: routing_options.Allow = None,
    arg: Change = None,
    env: Change = None,
    label: Change = None,
    revision: Annotated[
        int | None, typer.Option(min=1, help="Only if the job is still at this revision; 5 if it is not.")
    ] = None,
    wait: Wait = False,
    timeout: Timeout = 1800.0,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Change a job. New arguments, variables or hardware replace its replicas one at a time; bounds, labels and routing replace none."""
    from hostler_client import Until

    changes = _changes(
        scaling={
            "min_replicas": min_replicas,
            "max_replicas": max_replicas,
            "activation_replicas": activation_replicas,
            "stabilisation_window_seconds": stabilisation,
            "scale_to_zero_after_seconds": scale_to_zero_after,
            "mode": scaling_mode,
            "schedule": schedule_options.windows(schedule),
        },
        serving={"args": _named(arg, "--arg"), "env": _named(env, "--env")},
        timeouts={"initialization_seconds": initialization_timeout, "request_seconds": request_timeout},
        routing=routing_options.routing_fields(
            balancing=balancing,
            prefix_chars=prefix_chars,
            session_header=session_header,
            resume=resume,
            allow=allow,
        )
        | routing_options.bound_changes(concurrency=concurrency, queue=queue, queue_timeout=queue_timeout),
        plain={
            "target_rps": target_rps,
            "target_latency_p95_ms": target_latency,
            "hardware_profile": gpu,
            "gpu_count": gpu_count,
            "runtime_image": runtime_image,
            "priority": placing_options.priority_of(priority),
            "endpoint_auth": endpoint_auth,
            "labels": _named(label, "--label"),
        },
    )

    def change(client: "HostlerClient", found: "Job") -> "Job":
        return client.jobs.update(found.job_id, changes, revision=revision)

    _do(job, project, change, Until.SETTLED if wait else None, timeout, output)


def register(jobs_app: typer.Typer) -> None:
    """Add the commands to `hostler jobs`."""
    for command in (stop, resume, restart, update):
        jobs_app.command(command.__name__)(command)


def _do(
    job: str,
    project: str | None,
    act: "Callable[[HostlerClient, Job], Job]",
    until: "Until | None",
    timeout_seconds: float,
    output: OutputFormat,
) -> None:
    """Find the job, act on it, wait where that was asked for, print it."""
    with open_client() as client:
        found = act(client, client.jobs.get(job, project=project))
    if until is not None:
        from hostler_cli.waits import wait_for

        found = wait_for(client.connection, found, until, timeout_seconds)
    print_jobs([found], output, single=True)


def _named(given: list[str] | None, flag: str) -> dict[str, str | None] | None:
    """NAME=VALUE options; one without a value takes the name away."""
    return {name: value or None for name, value in pairs(given, flag).items()} or None


def _changes(
    *,
    scaling: dict[str, object],
    serving: dict[str, object],
    timeouts: dict[str, object],
    routing: dict[str, object],
    plain: dict[str, object],
) -> "JobChanges":
    """What was given, and nothing else: what is not sent stays as it is.

    Raises:
        CliError: nothing was given.
    """
    from hostler_client import JobChanges

    groups = {
        "scaling": _given(scaling),
        "serving": _given(serving),
        "timeouts": _given(timeouts),
        "routing": routing,
    }
    wanted = _given(plain) | {name: group for name, group in groups.items() if group}
    if not wanted:
        raise CliError("nothing to change: say what, `--max-replicas 3` for example", code=ExitCode.USAGE)
    return JobChanges.model_validate(wanted)


def _given(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
