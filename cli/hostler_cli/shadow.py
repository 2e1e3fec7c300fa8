"""`hostler shadow set|show|promote|clear`: a second policy beside a job's own, whose decisions are written down and not carried out."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import typer

from hostler_cli.completion import job_names
from hostler_cli.decision_words import counted, without_decisions
from hostler_cli.deploy import print_jobs
from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError
from hostler_cli.located import located, open_client
from hostler_cli.metrics import chart, span
from hostler_cli.output import DataFormat, DataOutput, Output, OutputFormat, columns, print_json

if TYPE_CHECKING:
    # The client is loaded when a command runs, not when its options are declared.
    from hostler_client import Job, NewShadow, ScalingDecision

shadow_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Try other targets beside a job's own, without any effect.",
)

JobName = Annotated[
    str, typer.Argument(metavar="JOB", autocompletion=job_names, help="Id or name of the job.")
]
Project = Annotated[str | None, typer.Option(help="Project to look in; by default the key's own.")]


@shadow_app.command("set")
@located
def set_shadow(
    job: JobName,
    *,
    target_rps: Annotated[float | None, typer.Option(help="Requests per second and replica.")] = None,
    target_latency: Annotated[
        float | None, typer.Option(metavar="MS", help="95th percentile of the latency.")
    ] = None,
    scaling_mode: Annotated[
        str | None, typer.Option(metavar="MODE", help="target or slo: which target leads.")
    ] = None,
    stabilisation: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", help="A scale-down follows the highest need of this window."),
    ] = None,
    project: Project = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Have a second policy decide beside the first; what is left out is as the job has it. One that is there is replaced."""
    if all(each is None for each in (target_rps, target_latency, scaling_mode, stabilisation)):
        raise CliError("say what is to be tried, `--target-rps 5` for example", code=ExitCode.USAGE)
    from hostler_client import JobChanges, ScalingChanges

    with open_client() as client:
        found = client.jobs.get(job, project=project)
        wanted = _shadow(found, target_rps, target_latency, scaling_mode, stabilisation)
        changes = JobChanges(scaling=ScalingChanges(shadow=wanted))
        print_jobs([client.jobs.update(found.job_id, changes)], output, single=True)


@shadow_app.command("show")
@located
def show_shadow(
    job: JobName,
    *,
    since: Annotated[str, typer.Option(help="How far back: 30m, 6h, 3d.")] = "24h",
    project: Project = None,
    output: DataOutput = DataFormat.TABLE,
) -> None:
    """Compare what was decided with what the shadow policy would have: replica-hours, changes, and the numbers over time."""
    back = span(since)
    with open_client() as client:
        decisions = list(client.scaling.decisions(job, since=datetime.now(UTC) - back, project=project))
        found = client.jobs.get(job, project=project)
    both = [each for each in decisions if each.shadow is not None]
    if output is DataFormat.JSON:
        print_json(both)
        return
    for line in shadow_lines(both, since, none=without_decisions(found, since, of_shadow=True)):
        print(line)


@shadow_app.command("promote")
@located
def promote_shadow(
    job: JobName,
    *,
    revision: Annotated[
        int | None, typer.Option(min=1, help="Only if the job is still at this revision; 5 if it is not.")
    ] = None,
    project: Project = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Let the job be scaled by what its shadow policy goes by. Its history has the change as any other update."""
    with open_client() as client:
        found = client.jobs.get(job, project=project)
        print_jobs([client.scaling.promote_shadow(found.job_id, revision=revision)], output, single=True)


@shadow_app.command("clear")
@located
def clear_shadow(job: JobName, *, project: Project = None, output: Output = OutputFormat.TABLE) -> None:
    """End a job's shadow policy."""
    from hostler_client import JobChanges, ScalingChanges

    with open_client() as client:
        found = client.jobs.get(job, project=project)
        changes = JobChanges(scaling=ScalingChanges(shadow=None))
        print_jobs([client.jobs.update(found.job_id, changes)], output, single=True)


def shadow_lines(decisions: "Sequence[ScalingDecision]", since: str, *, none: str = "") -> Iterator[str]:
    """The comparison as text; every decision has a shadow's beside it. `none` is said where there is none."""
    if not decisions:
        yield none
        return
    own = [each.replicas for each in decisions]
    shadow = [each.shadow.replicas for each in decisions if each.shadow is not None]
    times = [each.at for each in decisions]
    yield from columns(
        ("", "REPLICA-HOURS", "CHANGES", "LOWEST", "HIGHEST", f"THE LAST {since}"),
        (_row(name, times, numbers) for name, numbers in (("as it is", own), ("shadow", shadow))),
    )
    more, fewer = (
        sum(sign * (b - a) > 0 for a, b in zip(own, shadow, strict=True)) / len(own) for sign in (1, -1)
    )
    yield ""
    yield f"the shadow wanted more in {more:.0%} and fewer in {fewer:.0%} of {len(own)} decisions"
    latest = decisions[-1].shadow
    if latest is not None:
        yield f"its latest: {counted(latest.replicas)}, {latest.reason}"


def _row(name: str, times: "Sequence[datetime]", numbers: Sequence[int]) -> tuple[str, ...]:
    spans = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    hours = sum(number * seconds for number, seconds in zip(numbers, spans, strict=False)) / 3600
    changes = sum(a != b for a, b in pairwise(numbers))
    parts = min(len(numbers), 60)
    drawn = [max(numbers[len(numbers) * n // parts : len(numbers) * (n + 1) // parts]) for n in range(parts)]
    told = f"{hours:.2f}" if hours >= 1 else f"{hours:.2g}"
    return (name, told, str(changes), str(min(numbers)), str(max(numbers)), chart(drawn))


def _shadow(
    job: "Job", rps: float | None, latency_ms: float | None, mode: str | None, stabilisation: int | None
) -> "NewShadow":
    """The job's targets with those that were given in their place."""
    from hostler_client import NewShadow, NewTarget

    given = {"throughput": rps, "latency_p95": latency_ms}
    targets = None
    if rps is not None or latency_ms is not None:
        kept = [each for each in job.spec.scaling.targets if given.get(each.metric) is None]
        targets = tuple(
            NewTarget(metric=each.metric, threshold=each.threshold, percentage=each.percentage)
            for each in kept
        ) + tuple(
            NewTarget(metric=metric, threshold=value) for metric, value in given.items() if value is not None
        )
    # What is left out is not sent: the API takes it from the job.
    fields = {"targets": targets, "mode": mode, "stabilisation_window_seconds": stabilisation}
    return NewShadow.model_validate({name: value for name, value in fields.items() if value is not None})
