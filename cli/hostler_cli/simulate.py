"""`hostler simulate JOB`: what the job's recorded traffic would have led to under other settings, beside what it led to."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hostler_cli.completion import job_names
from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError
from hostler_cli.located import located, open_client
from hostler_cli.metrics import chart, figure, span
from hostler_cli.output import DataFormat, DataOutput, columns, print_json, say

if TYPE_CHECKING:
    from hostler_client import (
        Replay,
        Simulation,
    )  # for signatures; the client is loaded when the command runs

_CHART_WIDTH: Final = 72
_BACK_LEAST: Final = timedelta(minutes=1)
_BACK_MOST: Final = timedelta(days=3)
"""So long are decisions kept."""


@located
def simulate(
    job: Annotated[
        str, typer.Argument(metavar="JOB", autocompletion=job_names, help="Id or name of the job.")
    ],
    *,
    since: Annotated[str, typer.Option(help="How far back: 30m, 6h, 3d.")] = "24h",
    policy: Annotated[
        str | None,
        typer.Option(
            help="By whose rule: hostler (its own, by default), hpa, hpa-p95, knative, ray, dstack, skyserve, aibrix, dynamo, max."
        ),
    ] = None,
    target_rps: Annotated[float | None, typer.Option(help="Requests per second and replica.")] = None,
    target_latency: Annotated[
        float | None, typer.Option(metavar="MS", help="95th percentile of the latency.")
    ] = None,
    min_replicas: Annotated[int | None, typer.Option(min=0, help="Replicas that are kept warm.")] = None,
    max_replicas: Annotated[int | None, typer.Option(min=1, help="Replicas that are never exceeded.")] = None,
    stabilisation: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", help="A scale-down follows the highest need of this window."),
    ] = None,
    scaling_mode: Annotated[
        str | None,
        typer.Option(metavar="MODE", help="target or slo: which target leads where a job has both."),
    ] = None,
    project: Annotated[str | None, typer.Option(help="Project to look in; by default the key's own.")] = None,
    output: DataOutput = DataFormat.TABLE,
) -> None:
    """Replay a job's own traffic with other settings: attainment, replica-hours, cost and flaps against what was. It changes nothing."""
    from hostler_client import Conflict, ScalingChanges

    given = {
        "min_replicas": min_replicas,
        "max_replicas": max_replicas,
        "stabilisation_window_seconds": stabilisation,
        "mode": scaling_mode,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    seconds = int(span(since, least=_BACK_LEAST, most=_BACK_MOST).total_seconds())
    say("replaying; this may take a minute and a half")
    with open_client() as client:
        try:
            found = client.scaling.simulate(
                job,
                policy=policy,
                since_seconds=seconds,
                scaling=ScalingChanges.model_validate(changes) if changes else None,
                target_rps=target_rps,
                target_latency_p95_ms=target_latency,
                project=project,
            )
        except Conflict as refused:
            raise CliError(
                f"nothing can be replayed: {refused.detail or refused.title}",
                code=ExitCode.CONFLICT,
                hint=f"`hostler explain {job} --since {since}` shows the decisions from whose figures it would be",
                request_id=refused.request_id,
            ) from refused
    if output is DataFormat.JSON:
        print_json(found)
        return
    for line in simulation_lines(found):
        print(line)


def simulation_lines(found: "Simulation") -> Iterator[str]:
    """The comparison as text."""
    engine = found.engine
    guessed = " (partly guessed)" if engine.guessed else ""
    yield (
        f"{found.requests} requests from {found.begin.astimezone():%Y-%m-%d %H:%M:%S} to {found.end.astimezone():%Y-%m-%d %H:%M:%S}, "
        f"replayed on replicas of {engine.alpha_ms:.4g} ms + {engine.beta_ms:.3g} ms per request at a time "
        f"for each of {engine.units_per_request:.4g} {engine.unit}{guessed}, {found.cold_start_seconds:.0f} s to start"
    )
    yield from (f"note: {each}" for each in found.notes)
    yield ""
    yield from columns(("", "AS IT WAS", found.policy.upper(), "CHANGE"), _rows(found))
    yield ""
    yield from columns(("", "LOWEST", "HIGHEST", "OVER TIME"), _charts(found))


def _rows(found: "Simulation") -> Iterator[tuple[str, ...]]:
    was, would = found.was, found.would
    yield _row("attainment %", was.attainment, would.attainment, absolute=True)
    yield _row("p50 ms", was.p50_ms, would.p50_ms)
    yield _row("p95 ms", was.p95_ms, would.p95_ms)
    yield _row("replica-hours", was.replica_hours, would.replica_hours)
    if found.price_per_hour:
        yield _row("cost", was.cost, would.cost)
    yield _row("changes", was.changes, would.changes, absolute=True)
    yield _row("flaps", was.flaps, would.flaps, absolute=True)
    yield _row("launches", was.launches, would.launches, absolute=True)
    if was.unfinished or would.unfinished:
        yield _row("never answered", was.unfinished, would.unfinished, absolute=True)


def _row(
    name: str, was: float | None, would: float | None, *, absolute: bool = False
) -> tuple[str, str, str, str]:
    if was is None or would is None:
        return name, figure(was), figure(would), "-"
    if absolute:
        return name, figure(was), figure(would), f"{'+' if would >= was else ''}{figure(would - was)}"
    return name, figure(was), figure(would), f"{would / was - 1:+.0%}" if was else "-"


def _charts(found: "Simulation") -> Iterator[tuple[str, ...]]:
    yield _chart("requests/s", [each.rps for each in found.traffic])
    yield _chart("replicas as it was", _wanted(found.was))
    yield _chart(f"replicas {found.policy}", _wanted(found.would))


def _wanted(replay: "Replay") -> list[float]:
    return [float(each.wanted) for each in replay.points]


def _chart(name: str, values: Sequence[float]) -> tuple[str, ...]:
    if not values:
        return name, "-", "-", "-"
    parts = min(len(values), _CHART_WIDTH)
    # The highest of each part: a peak is what replicas are for.
    highest = [
        max(values[len(values) * part // parts : len(values) * (part + 1) // parts]) for part in range(parts)
    ]
    return name, figure(min(values)), figure(max(values)), chart(highest)
