"""`hostler deploy`: a model becomes a managed inference job."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from hostler_cli import placing_options, routing_options, schedule_options
from hostler_cli.context import ApiKeyFile, ApiUrl, DataDir, Flags, find
from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError
from hostler_cli.output import Output, OutputFormat, print_columns, print_json, say
from hostler_domain.job import EndpointAuth

if TYPE_CHECKING:
    # The client is loaded when a command runs, not when its options are declared.
    from hostler_client import Job

FROM_STDIN = "-"


_LISTENERS = frozenset({"whisper", "parakeet"})
"""Runtimes that are sent audio."""


def deploy(
    model: Annotated[str, typer.Argument(help="Hugging Face id of the model.", metavar="MODEL")],
    *,
    name: Annotated[
        str | None, typer.Option(help="Name of the job; made from the model where it is left out.")
    ] = None,
    project: Annotated[str | None, typer.Option(help="Project that it belongs to.")] = None,
    gpu: Annotated[
        str | None,
        typer.Option(
            "--gpu",
            "-g",
            metavar="PROFILE",
            help="Hardware profile; by default what the model's master recommends, else gpu.a100.",
        ),
    ] = None,
    gpu_count: Annotated[int | None, typer.Option(min=0, help="GPUs per replica.")] = None,
    min_replicas: Annotated[
        int | None,
        typer.Option(min=0, help="Replicas that are kept warm; 1, or with --endpoint one for each."),
    ] = None,
    max_replicas: Annotated[
        int | None,
        typer.Option(min=1, help="Replicas that are never exceeded; by default as many as the minimum."),
    ] = None,
    target_rps: Annotated[
        float, typer.Option(help="Requests per second and replica at which to scale up.")
    ] = 10.0,
    target_latency: Annotated[
        float, typer.Option(metavar="MS", help="95th percentile of the latency at which to scale up.")
    ] = 5000.0,
    stabilisation: Annotated[
        int, typer.Option(metavar="SECONDS", help="A scale-down follows the highest need of this window.")
    ] = 300,
    initial_replicas: Annotated[
        int | None,
        typer.Option(min=0, help="Replicas to begin with; by default the minimum, and at least one."),
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
    schedule: schedule_options.Schedule = None,
    root_disk_gb: Annotated[
        int | None,
        typer.Option(min=1, metavar="GB", help="Disk of a replica; the model master's by default."),
    ] = None,
    location: placing_options.Location = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="For people and filters; repeatable.")
    ] = None,
    priority: placing_options.Priority = None,
    preemptible: Annotated[
        bool,
        typer.Option(
            "--preemptible",
            help="More urgent jobs may take the room of all its replicas, not only of those above the minimum.",
        ),
    ] = False,
    endpoint_auth: Annotated[
        EndpointAuth | None, typer.Option(help="Whether requests need a key; key by default.")
    ] = None,
    initialization_timeout: Annotated[
        int | None, typer.Option(min=1, metavar="SECONDS", help="How long a replica may take to be ready.")
    ] = None,
    request_timeout: Annotated[
        int | None, typer.Option(min=1, metavar="SECONDS", help="How long one request may take.")
    ] = None,
    balancing: routing_options.BalancingOption = None,
    prefix_chars: routing_options.PrefixChars = None,
    session_header: routing_options.SessionHeader = None,
    concurrency: routing_options.Concurrency = None,
    queue: routing_options.Queue = None,
    queue_timeout: routing_options.QueueTimeout = None,
    resume: routing_options.Resume = None,
    allow: routing_options.Allow = None,
    hf_token: Annotated[
        str | None,
        typer.Option(
            "--hf-token",
            "-t",
            envvar="HF_TOKEN",
            metavar="TOKEN",
            help="Hugging Face token for gated models. Others can see it among the processes: better set HF_TOKEN, or give - and write it to stdin.",
        ),
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(help="Inference server; by default the model master's.")
    ] = None,
    runtime_image: Annotated[str | None, typer.Option(help="What a machine boots.")] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="An OpenAI-compatible server that runs already, for --runtime external; repeatable, a replica for each.",
        ),
    ] = None,
    served_model: Annotated[
        str | None, typer.Option(help="What these servers call the model; MODEL by default.")
    ] = None,
    upstream_key: Annotated[
        str | None,
        typer.Option(
            envvar="HOSTLER_UPSTREAM_KEY",
            metavar="KEY",
            help="Key that these servers ask for: better in HOSTLER_UPSTREAM_KEY, or give - and write it to stdin.",
        ),
    ] = None,
    arg: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Argument of the runtime; repeatable.")
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Environment variable of the runtime; repeatable."),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option("--wait", "-w", help="Return when a replica serves; 6 on a timeout, 1 when it fails."),
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long --wait waits.")
    ] = 1800.0,
    output: Output = OutputFormat.TABLE,
    api_url: ApiUrl = None,
    api_key_file: ApiKeyFile = None,
    data_dir: DataDir = None,
) -> None:
    """Serve a model behind an OpenAI-compatible endpoint."""
    windows = schedule_options.windows(schedule)
    args, variables, labels = pairs(arg, "--arg"), pairs(env, "--env"), pairs(label, "--label")
    routing = routing_options.routing_fields(
        balancing=balancing,
        prefix_chars=prefix_chars,
        session_header=session_header,
        concurrency=concurrency,
        queue=queue,
        queue_timeout=queue_timeout,
        resume=resume,
        allow=allow,
    )
    connection = find(Flags(api_url=api_url, api_key_file=api_key_file, data_dir=data_dir))
    from pydantic import SecretStr

    from hostler_client import (
        HostlerClient,
        NewExternal,
        NewJob,
        NewRouting,
        NewScaling,
        NewServing,
        NewTimeouts,
        NewWindow,
        Until,
    )

    token = _read_token("Hugging Face token", "--hf-token") if hf_token == FROM_STDIN else hf_token
    if not endpoint and served_model:
        raise CliError("--served-model goes with --endpoint", code=ExitCode.USAGE)
    external = None
    if endpoint:
        key = (
            _read_token("key of the servers", "--upstream-key")
            if upstream_key == FROM_STDIN
            else upstream_key
        )
        external = NewExternal(
            endpoints=tuple(endpoint), served_model=served_model, api_key=SecretStr(key) if key else None
        )
    wanted = NewJob(
        model=model,
        name=name,
        project=project,
        runtime=runtime,
        runtime_image=runtime_image,
        serving=NewServing(args=args or None, env=variables or None) if args or variables else None,
        hardware_profile=gpu,
        gpu_count=gpu_count,
        root_disk_gb=root_disk_gb,
        scaling=NewScaling(
            min_replicas=1 if min_replicas is None and not endpoint else min_replicas,
            max_replicas=max_replicas,
            initial_replicas=initial_replicas,
            activation_replicas=activation_replicas,
            stabilisation_window_seconds=stabilisation,
            scale_to_zero_after_seconds=scale_to_zero_after,
            mode=scaling_mode,
            schedule=tuple(NewWindow.model_validate(each) for each in windows) if windows else None,
        ),
        target_rps=target_rps,
        target_latency_p95_ms=target_latency,
        location=location[0] if location and len(location) == 1 else None,
        locations=tuple(location) if location and len(location) > 1 else None,
        labels=labels or None,
        priority=placing_options.priority_of(priority),
        preemptible=preemptible or None,
        endpoint_auth=endpoint_auth,
        timeouts=NewTimeouts(initialization_seconds=initialization_timeout, request_seconds=request_timeout)
        if initialization_timeout or request_timeout
        else None,
        hf_token=SecretStr(token) if token else None,
        external=external,
        routing=NewRouting.model_validate(routing) if routing else None,
    )
    with HostlerClient.to(connection) as client:
        job = client.jobs.create(wanted)
    say(f"job {job.name} ({job.job_id}): {job.model} on {job.spec.hardware_profile}")
    if wait:
        from hostler_cli.waits import wait_for

        job = wait_for(connection, job, Until.READY, timeout)
    print_jobs([job], output, single=True)
    say(
        f"next: `{_use(job)}`"
        if wait
        else f"next: `hostler jobs get {job.name}` or `hostler jobs events -f {job.name}`"
    )


def _use(job: "Job") -> str:
    """The command that asks its model something."""
    if job.spec.runtime in _LISTENERS:
        return f"hostler transcribe FILE --job {job.name}"
    return f"hostler chat {job.name}"


def print_jobs(jobs: "Sequence[Job]", output: OutputFormat, *, single: bool = False) -> None:
    """Print jobs as asked for; `single` is for commands about exactly one."""
    from hostler_cli import job_text

    match output:
        case OutputFormat.JSON:
            print_json(jobs[0] if single else jobs)
        case OutputFormat.NAME | OutputFormat.ID:
            for job in jobs:
                print(job.name if output is OutputFormat.NAME else job.job_id)
        case OutputFormat.TABLE:
            now = datetime.now(UTC)
            print_columns(job_text.JOB_HEADINGS, (job_text.job_row(job, now) for job in jobs))


def pairs(given: list[str] | None, flag: str) -> dict[str, str]:
    """Read NAME=VALUE arguments.

    Raises:
        CliError: one has no name or no `=`.
    """
    found: dict[str, str] = {}
    for each in given or []:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise CliError(f"{flag} {each}: write NAME=VALUE", code=ExitCode.USAGE)
        found[name] = value
    return found


def _read_token(what: str, flag: str) -> str:
    if sys.stdin.isatty():
        from getpass import getpass

        token = getpass(f"{what}: ")
    else:
        token = sys.stdin.readline()
    if not token.strip():
        raise CliError(f"{flag} -: nothing came from stdin", code=ExitCode.USAGE)
    return token.strip()
