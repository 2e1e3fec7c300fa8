"""`hostler explain JOB`: why it is where it is, what each replica does since when, and what happens next.

With `--since` also how it was scaled: a timeline of the autoscaler's decisions with their figures, and what the latest weighed.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from hostler_cli.completion import job_names
from hostler_cli.decision_words import without_decisions
from hostler_cli.located import located, open_client
from hostler_cli.output import DataFormat, DataOutput, columns, print_json

if TYPE_CHECKING:
    from hostler_client import (
        Explanation,
        ScalingDecision,
    )  # for signatures; the client is loaded when the command runs


@located
def explain(
    job: Annotated[
        str, typer.Argument(metavar="JOB", autocompletion=job_names, help="Id or name of the job.")
    ],
    *,
    since: Annotated[
        str | None, typer.Option(help="Also every decision about its number of replicas: 30m, 6h, 2d.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="With --since: a line for each, also for those that say the same.")
    ] = False,
    project: Annotated[str | None, typer.Option(help="Project to look in; by default the key's own.")] = None,
    output: DataOutput = DataFormat.TABLE,
) -> None:
    """Tell why a job waits, what each replica does since when, how it was scaled, and what happens next.

    With --since and -o json the decisions alone are printed, with everything that they were made from.
    """
    from hostler_cli.metrics import span

    now = datetime.now(UTC)
    back = None if since is None else span(since)
    with open_client() as client:
        decisions = (
            None if back is None else list(client.scaling.decisions(job, since=now - back, project=project))
        )
        if output is DataFormat.JSON and decisions is not None:
            print_json(decisions)
            return
        found = client.jobs.explain(job, project=project)
        none = "" if decisions else without_decisions(client.jobs.get(job, project=project), since or "")
    if output is DataFormat.JSON:
        print_json(found)
        return
    for line in explanation_lines(found, now):
        print(line)
    if decisions is not None:
        print()
        for line in decision_lines(decisions, full=every, none=none):
            print(line)


def decision_lines(decisions: "Sequence[ScalingDecision]", *, full: bool, none: str = "") -> Iterator[str]:
    """The timeline, and what the latest decision weighed; `none` where there is no decision."""
    from hostler_cli.decision_text import HEADINGS, timeline, weighed

    if not decisions:
        yield none
        return
    yield from columns(HEADINGS, timeline(decisions, full=full))
    yield ""
    yield from weighed(decisions[-1])


def explanation_lines(found: "Explanation", now: datetime) -> Iterator[str]:
    """The explanation as text."""
    from hostler_cli.job_text import age, short

    reason = f" ({found.phase_reason})" if found.phase_reason else ""
    yield (
        f"{found.name} is {found.phase}{reason} for {age(found.phase_since, now)}: "
        f"{found.ready_replicas} ready of {found.desired_replicas} wanted, generation {found.generation}"
    )
    placement = found.placement
    told = {node.node for node in placement.nodes} if placement is not None else set()
    # What a scheduler says of a node, and it speaks of all of them, takes the place of what the record says of the first few.
    yield from (f"  {line}" for line in found.why if not told or not _of_nodes(line, told))
    if placement is not None:
        for node in placement.nodes:
            yield f"  {node.node}: {', '.join(node.refusals) or 'can take one more'}"
        yield from (f"  {line}" for line in (*placement.share, *placement.gives_way))
    for replica in found.replicas:
        share = "" if replica.fraction is None else f" {replica.fraction:.0%}"
        old = f" (generation {replica.generation}, to be replaced)" if replica.outdated else ""
        what = ": ".join(text for text in (replica.reason, replica.text) if text)
        yield (
            f"replica {short(replica.replica_id)} on {replica.node}: {replica.state}{share} for "
            f"{age(replica.since, now)}{old}{f', {what}' if what else ''}"
        )
    if found.scaling is not None:
        scaling = found.scaling
        yield (
            f"last scaled {age(scaling.at, now)} ago, {scaling.previous_replicas} -> {scaling.desired_replicas}: "
            f"{'; '.join(scaling.reasons)}"
        )
    yield from (f"next: {line}" for line in found.next)


def _of_nodes(line: str, nodes: set[str]) -> bool:
    return line.partition(": ")[0] in nodes or (line.startswith("and ") and line.endswith(" more nodes"))
